"""Paths in a recipe. `${NAME}` and `~/` are expanded in paths alone, when something is opened.

A configuration keeps them as they are written, and so do checkpoints: on another machine the same
variable may lead elsewhere, and no other text can carry the value of a variable out.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import PurePath
from typing import Annotated, Any

from pydantic import AfterValidator

from gvt.errors import ConfigError
from gvt.printable import quoted

_VARIABLE = re.compile(r"\$\{([^}]*)\}")

PATH_NAME = "root"
"""A parameter of this name is a path, whatever its annotation says."""


@dataclass(frozen=True)
class RecipePath:
    """A path as a recipe has it, which is expanded when its component is built."""

    text: str


PathText = Annotated[str, AfterValidator(RecipePath)]
"""The type of a constructor's parameter that is a path.

The constructor gets a str in which `${NAME}` and a `~/` at its start are expanded. A parameter
`root`, and those of the type `pathlib.Path`, are expanded, too.
"""


def expanded(where: str, text: str, *, about: str = "", strict: bool = True) -> str:
    """Return a path with its environment variables and the home folder in their places.

    Args:
        where: The setting that has it, for messages.
        text: The path.
        about: What a message adds, such as where the data is to be had.
        strict: Refuse a variable that is not set; otherwise it stays as it is.

    Raises:
        ConfigError: If a variable is not set, or its value cannot be in a path.
    """

    def variable(match: re.Match[str]) -> str:
        value = os.environ.get(match[1])
        if value is not None:
            return value
        if not strict:
            return match[0]
        raise ConfigError(
            f"{where}: the environment variable {quoted(match[1])[1:-1]} is not set; set it, or "
            f"give {where}=...{f'; {about}' if about else ''}"
        )

    path = _VARIABLE.sub(variable, text)
    return os.path.expanduser(path) if path.startswith("~/") else path  # noqa: PTH111


def with_paths_expanded(where: str, value: Any, about: str = "", *, strict: bool = True) -> Any:
    """Return a parameter's value with every path in it expanded; `where` is the parameter.

    Raises:
        ConfigError: If a variable is not set.
    """
    if isinstance(value, RecipePath):
        return expanded(where, value.text, about=about, strict=strict)
    if isinstance(value, PurePath):
        return type(value)(expanded(where, str(value), about=about, strict=strict))
    if isinstance(value, dict):
        return {
            k: with_paths_expanded(f"{where}.{k}", v, about, strict=strict)
            for k, v in value.items()
        }
    if type(value) in (list, tuple):
        inside = enumerate(value)
        return type(value)(
            with_paths_expanded(f"{where}[{i}]", v, about, strict=strict) for i, v in inside
        )
    return value
