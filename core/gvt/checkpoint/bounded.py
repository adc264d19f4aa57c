"""Parse JSON from untrusted files, with limits that are checked beforehand."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

MOST_BYTES = 32 << 20
"""Bytes of a header; that of a model with 3,000 tensors has about 2 MB."""

MOST_VALUES = 1_000_000
"""Values in a header; parsing one takes up to a microsecond and a hundred bytes."""

MOST_DIGITS = 40
"""Characters of a number; gvt writes at most 25, with the exponent."""

SHOWN = 80
"""Characters of a text from a file that a message shows."""


def check_length(length: int) -> None:
    """Check that the length of JSON in bytes is within the limit.

    Raises:
        ValueError: If it is not.
    """
    if length > MOST_BYTES:
        raise ValueError(f"it has {length:,} bytes; at most {MOST_BYTES:,} are read")


def check_cost(text: bytes) -> None:
    """Check that the length and the number of values of JSON are within the limits.

    Raises:
        ValueError: If they are not.
    """
    check_length(len(text))
    values = sum(map(text.count, (b",", b"[", b"{")))
    if values > MOST_VALUES:
        raise ValueError(f"it has {values:,} values; at most {MOST_VALUES:,} are read")


def parse(text: str) -> dict[str, Any]:
    """Parse a JSON object; `check_cost` has to be called before.

    Raises:
        ValueError: If it is not a JSON object, or a key occurs twice.
    """
    try:
        numbers: Any = {"parse_int": partial(_number, int), "parse_float": partial(_number, float)}
        value = json.loads(text, object_pairs_hook=_unique, **numbers)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    except json.JSONDecodeError as error:
        raise ValueError(f"it is not JSON ({error.msg})") from error
    if not isinstance(value, dict):
        raise ValueError("it is not a JSON object")
    return value


def shortened(text: object) -> str:
    """Return a text from a file for a message: quoted, on one line, and cut if it is long."""
    text = str(text)
    start = repr(text[:SHOWN])
    return start if len(text) <= SHOWN else f"{start}... ({len(text):,} characters)"


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) != len(pairs):
        raise ValueError("a key occurs twice")
    return values


def _number(kind: type[int] | type[float], digits: str) -> float:
    if len(digits) > MOST_DIGITS:
        raise ValueError(f"a number has {len(digits):,} digits")
    return kind(digits)
