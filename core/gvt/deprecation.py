"""What is to go warns for one minor version, and names what to use instead."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import typing_extensions  # warnings.deprecated is in Python 3.13 and later only

T = TypeVar("T", bound=Callable[..., object])


def deprecated(*, replacement: str, since: str, gone: str) -> Callable[[T], T]:
    """Mark a function, method or class as one that is to go (PEP 702).

    A test fails once gvt's version is `gone` and the marked thing is still there.

    Args:
        replacement: What to use instead, as the user would write it: `gvt.evaluate(task, data)`.
        since: The version that it warns from, `0.2`.
        gone: The version without it, a minor or major one later, `0.3`.

    Returns:
        A decorator; calling what it decorates, or making an instance of it, gives a
        DeprecationWarning that points at the caller.

    Raises:
        ValueError: If `gone` is not a later minor or major version than `since`.
    """
    if _minor(gone) <= _minor(since):
        raise ValueError(
            f"deprecated since {since}, gone in {gone}: it has to warn for one minor version"
        )

    def mark(thing: T) -> T:
        name = getattr(thing, "__qualname__", repr(thing))
        return typing_extensions.deprecated(
            f"{name} is deprecated since gvt {since} and gone in {gone}; use {replacement}"
        )(thing)

    return mark


def _minor(version: str) -> tuple[int, int]:
    major, minor = version.split(".")[:2]
    return int(major), int(minor)
