"""Turn errors of drawing into warnings, so that the run continues."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gvt.files import attempting


@contextmanager
def drawing(path: Path) -> Iterator[None]:
    """Warn if a file cannot be written or drawn, instead of raising the error.

    Args:
        path: The file, which the warning names.
    """
    try:
        with attempting(path):
            yield
    except Exception as error:  # a plot must not fail the run that it shows
        warnings.warn(f"{path}: not drawn: {type(error).__name__}: {error}", stacklevel=3)
