"""Deprecated functions and classes, which warn for one minor version."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import typing_extensions  # warnings.deprecated is in Python 3.13 and later only

T = TypeVar("T", bound=Callable[..., object])


def deprecated(*, replacement: str, since: str, gone: str) -> Callable[[T], T]:
    """Mark a function, method or class as deprecated (PEP 702).

    A test fails if it still exists in version `gone` of gvt.

    Args:
        replacement: Code to use instead, such as `gvt.evaluate(task, data)`.
        since: First version that warns, such as `0.2`.
        gone: First version without it, a later minor or major one, such as `0.3`.

    Returns:
        A decorator. Calling the function, or creating an instance of the class, gives a
        DeprecationWarning at the line of the caller.

    Raises:
        ValueError: If `gone` is not a later minor or major version than `since`.
    """
    if _minor(gone) <= _minor(since):
        raise ValueError(
            f"deprecated since {since}, gone in {gone}: it has to warn for one minor version"
        )

    def decorate(target: T) -> T:
        name = getattr(target, "__qualname__", repr(target))
        return typing_extensions.deprecated(
            f"{name} is deprecated since gvt {since} and gone in {gone}; use {replacement}"
        )(target)

    return decorate


def _minor(version: str) -> tuple[int, int]:
    major, minor = version.split(".")[:2]
    return int(major), int(minor)
