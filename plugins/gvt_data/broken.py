"""Reading all files once, to leave out those that are broken."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from gvt.printable import printable

_NAMED = 3
"""How many of the files that are left out are named."""

T = TypeVar("T")


def threads() -> ThreadPoolExecutor:
    """Return a pool for reading pictures: Pillow decodes without holding Python's lock."""
    return ThreadPoolExecutor(os.cpu_count())


def without_broken(
    items: Sequence[T], broken_in: Callable[[T], object | None], split: str
) -> list[T]:
    """Return the items that can be used, and warn of the others.

    Args:
        items: Pictures, or pairs of a picture and its mask.
        broken_in: Reads an item, and returns the file that is broken or None.
        split: What they are of, for the warning.
    """
    with threads() as pool:
        found = list(pool.map(broken_in, items))
    broken = [printable(file) for file in found if file is not None]
    if broken:
        more = f" and {len(broken) - _NAMED} more" if len(broken) > _NAMED else ""
        warnings.warn(
            f"{len(broken)} of {len(items)} pictures of split {split} cannot be used and are left "
            f"out: {', '.join(broken[:_NAMED])}{more}",
            stacklevel=3,
        )
    return [item for item, file in zip(items, found, strict=True) if file is None]
