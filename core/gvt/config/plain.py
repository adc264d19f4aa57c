"""Check that the data of a recipe is plain: values that JSON and YAML can represent."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from gvt.config.text import MAX_DEPTH
from gvt.errors import ConfigError
from gvt.printable import quoted, shortened

LONGEST_KEY = 200
LARGEST_INTEGER = 2**63 - 1


def plain(value: Any, where: str, path: str = "", depth: int = 0) -> Any:
    """Return a copy of the data of a recipe as JSON has it, with integer keys as strings.

    Raises:
        ConfigError: If it contains anything but finite numbers, strings, booleans, null, lists,
            and mappings with strings as keys. The message names the place.
    """
    at = f"{where}: {shortened(path)}" if path else where
    if depth > MAX_DEPTH:
        raise ConfigError(f"{at}: is nested more than {MAX_DEPTH} levels deep, or contains itself")
    if isinstance(value, Mapping):
        values: dict[str, Any] = {}
        for key, item in value.items():
            name = _key(key, at)
            if name in values:
                raise ConfigError(f"{at}: the key {quoted(name)} is given twice")
            values[name] = plain(item, where, f"{path}.{name}".strip("."), depth + 1)
        return values
    if isinstance(value, list | tuple):
        return [plain(v, where, f"{path}[{i}]", depth + 1) for i, v in enumerate(value)]
    if isinstance(value, str):
        return _text(value, at)
    if isinstance(value, int) and not isinstance(value, bool):
        if abs(value) > LARGEST_INTEGER:
            raise ConfigError(f"{at}: is an integer beyond 64 bits")
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise ConfigError(f"{at}: is {value}; numbers must be finite")
    elif value is not None and not isinstance(value, bool):
        raise ConfigError(f"{at}: a value of type {type(value).__name__} is not allowed")
    return value


def _key(key: Any, at: str) -> str:
    """Return a key of a mapping as a string.

    Raises:
        ConfigError: If it is neither a string nor an integer, or too long.
    """
    if not isinstance(key, str | int) or isinstance(key, bool):
        raise ConfigError(f"{at}: the key {quoted(key)} is not a string; quote it")
    if isinstance(key, int):
        return str(plain(key, at))
    if len(key) > LONGEST_KEY:
        raise ConfigError(f"{at}: the key {quoted(key)} is longer than {LONGEST_KEY} characters")
    return _text(key, at)


def _text(value: str, at: str) -> str:
    """Return a string that can be written into a file and be part of a path.

    Raises:
        ConfigError: If it is not valid UTF-8, or contains a NUL character.
    """
    try:
        # JSON writes a character beyond 16 bits as two escapes, which YAML does not join.
        value = value.encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{at}: {quoted(value)} is not valid UTF-8") from error
    if "\0" in value:
        raise ConfigError(f"{at}: {quoted(value)} contains a NUL character")
    return value
