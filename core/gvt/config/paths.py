"""Paths in a recipe, in which `${NAME}` and `~/` are expanded when a component is built.

Configurations and checkpoints keep the unexpanded text, since a variable may have another value on
another machine. Nothing but paths is expanded, so no other setting can reveal a variable.
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
"""A parameter of this name is a path, regardless of its annotation."""


@dataclass(frozen=True)
class RecipePath:
    """An unexpanded path of a recipe."""

    text: str


PathText = Annotated[str, AfterValidator(RecipePath)]
"""Annotation of a parameter of a constructor that is a path.

The constructor receives a str in which `${NAME}`, and `~/` at its start, are expanded. A parameter
`root`, and parameters of the type `pathlib.Path`, are expanded, too.
"""


def expanded(where: str, text: str, *, about: str = "", strict: bool = True) -> str:
    """Return a path with environment variables and the home folder expanded.

    Args:
        where: Name of the setting, for messages.
        text: The path.
        about: Text to append to the message, such as where the data is available.
        strict: Raise for a variable that is not set; otherwise it is left unexpanded.

    Raises:
        ConfigError: If a variable is not set and `strict` is true.
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
    """Return the value of a parameter with all paths in it expanded; see `expanded`.

    Raises:
        ConfigError: If a variable is not set and `strict` is true.
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
