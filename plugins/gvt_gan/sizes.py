"""What no network can be built with, said in one line."""

from __future__ import annotations

from collections.abc import Sequence


def check_sizes(**sizes: int | Sequence[int]) -> None:
    """Check the lengths and widths of a network, each by its parameter's name.

    Raises:
        ValueError: If one is less than 1.
    """
    for name, size in sizes.items():
        if min([size] if isinstance(size, int) else [1, *size]) < 1:
            shown = size if isinstance(size, int) else list(size)
            raise ValueError(f"{name} {shown}: at least 1")


def check_dropout(dropout: float) -> None:
    """Check a share of what is dropped.

    Raises:
        ValueError: If it is not in [0, 1).
    """
    if not 0 <= dropout < 1:
        raise ValueError(f"dropout {dropout}: from 0 to less than 1")
