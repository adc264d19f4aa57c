"""Leave out broken files by reading all files once."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from gvt.printable import printable

_NAMED = 3
"""The number of broken files that the warning lists."""

T = TypeVar("T")


def threads() -> ThreadPoolExecutor:
    """Return a thread pool for reading images, since Pillow releases the GIL while decoding."""
    return ThreadPoolExecutor(os.cpu_count())


def without_broken(
    items: Sequence[T], broken_in: Callable[[T], object | None], split: str
) -> list[T]:
    """Return the items that can be used, and warn of the others.

    Args:
        items: Images, or pairs of an image and its mask.
        broken_in: Function that reads an item and returns its broken file, or None.
        split: The split of the items, for the warning.
    """
    with threads() as pool:
        files = list(pool.map(broken_in, items))
    broken = [printable(file) for file in files if file is not None]
    if broken:
        more = f" and {len(broken) - _NAMED} more" if len(broken) > _NAMED else ""
        warnings.warn(
            f"{len(broken)} of {len(items)} images of split {split} cannot be used and are left "
            f"out: {', '.join(broken[:_NAMED])}{more}",
            stacklevel=3,
        )
    return [item for item, file in zip(items, files, strict=True) if file is None]
