"""What the data of a recipe may hold: what JSON and YAML files can say, and nothing else."""

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
    """Return a copy of a recipe's data as JSON has it: integers as keys become texts.

    Raises:
        ConfigError: If it holds anything but finite numbers, texts, truth values, null, lists and
            mappings with texts as keys; names the place.
    """
    at = f"{where}: {shortened(path)}" if path else where
    if depth > MAX_DEPTH:
        raise ConfigError(f"{at}: is nested more than {MAX_DEPTH} deep, or contains itself")
    if isinstance(value, Mapping):
        copied: dict[str, Any] = {}
        for key, inside in value.items():
            name = _key(key, at)
            if name in copied:
                raise ConfigError(f"{at}: the key {quoted(name)} is given twice")
            copied[name] = plain(inside, where, f"{path}.{name}".strip("."), depth + 1)
        return copied
    if isinstance(value, list | tuple):
        return [plain(v, where, f"{path}[{i}]", depth + 1) for i, v in enumerate(value)]
    if isinstance(value, str):
        return _text(value, at)
    if isinstance(value, int) and not isinstance(value, bool):
        if abs(value) > LARGEST_INTEGER:
            raise ConfigError(f"{at}: is an integer beyond 64 bits")
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise ConfigError(f"{at}: is {value}, and a recipe takes finite numbers")
    elif value is not None and not isinstance(value, bool):
        raise ConfigError(f"{at}: a {type(value).__name__} cannot be in a recipe")
    return value


def _key(key: Any, at: str) -> str:
    """Return a mapping's key as text.

    Raises:
        ConfigError: If it is neither a text nor an integer, or too long.
    """
    if not isinstance(key, str | int) or isinstance(key, bool):
        raise ConfigError(f"{at}: the key {quoted(key)} is not a text; quote it")
    if isinstance(key, int):
        return str(plain(key, at))
    if len(key) > LONGEST_KEY:
        raise ConfigError(f"{at}: the key {quoted(key)} is longer than {LONGEST_KEY}")
    return _text(key, at)


def _text(value: str, at: str) -> str:
    """Return a text that can be written into a file and be part of a path.

    Raises:
        ConfigError: If it is not UTF-8, or has a NUL character.
    """
    try:
        # JSON writes a character beyond 16 bits as two escapes, which YAML leaves as two.
        value = value.encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{at}: {quoted(value)} is not valid text (UTF-8)") from error
    if "\0" in value:
        raise ConfigError(f"{at}: {quoted(value)} has a NUL character")
    return value
