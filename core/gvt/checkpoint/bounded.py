"""JSON from files that nobody has checked: what reading it costs is bounded beforehand."""

from __future__ import annotations

import json
from typing import Any

MOST_BYTES = 32 << 20
"""Length of a header; that of a network with 3,000 tensors has about 2 MB."""

MOST_VALUES = 1_000_000
"""Values in a header; each costs up to a microsecond and a hundred bytes."""

MOST_DIGITS = 40
"""Digits of a number; the longest that is ever written has 25 with its exponent."""

SHOWN = 80
"""Characters of a text from a file that a message repeats."""


def check_length(length: int) -> None:
    """Check that JSON of so many bytes is not too long to read.

    Raises:
        ValueError: If it is.
    """
    if length > MOST_BYTES:
        raise ValueError(f"it has {length:,} bytes; at most {MOST_BYTES:,} are read")


def check_cost(text: bytes) -> None:
    """Check that JSON is not too expensive to read.

    Raises:
        ValueError: If it is too long, or has too many values.
    """
    check_length(len(text))
    values = sum(map(text.count, (b",", b"[", b"{")))
    if values > MOST_VALUES:
        raise ValueError(f"it has {values:,} values; at most {MOST_VALUES:,} are read")


def parse(text: str) -> dict[str, Any]:
    """Parse a JSON object, whose cost is checked, in which every key occurs once.

    Raises:
        ValueError: If it is none.
    """
    try:
        value = json.loads(text, object_pairs_hook=_unique, parse_int=_integer, parse_float=_float)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    except json.JSONDecodeError as error:
        raise ValueError(f"it is not JSON ({error.msg})") from error
    if not isinstance(value, dict):
        raise ValueError("it is not a JSON object")
    return value


def shortened(text: object) -> str:
    """Return a text from a file as a message repeats it: quoted, on one line, cut if it is long."""
    whole = str(text)
    shown = repr(whole[:SHOWN])
    return shown if len(whole) <= SHOWN else f"{shown}... ({len(whole):,} characters)"


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) != len(pairs):
        raise ValueError("a key occurs twice")
    return values


def _integer(digits: str) -> int:
    if len(digits) > MOST_DIGITS:
        raise ValueError(f"a number has {len(digits):,} digits")
    return int(digits)


def _float(digits: str) -> float:
    if len(digits) > MOST_DIGITS:
        raise ValueError(f"a number has {len(digits):,} digits")
    return float(digits)
