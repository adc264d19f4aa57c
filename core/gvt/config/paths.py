"""Paths in a recipe, in which `${NAME}` and `~/` are expanded when a component is built.

Configurations and checkpoints keep the unexpanded text, since a variable may have another value on
another machine. Nothing but paths is expanded, so no other setting can reveal a variable.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import AfterValidator

from gvt.config.pretrained import restoring
from gvt.errors import ConfigError
from gvt.printable import quoted

_VARIABLE = re.compile(r"\$\{([^}]*)\}")

PATH_NAME = "root"
"""A parameter of this name is a path, regardless of its annotation."""


@dataclass(frozen=True)
class RecipePath:
    """An unexpanded path of a recipe."""

    text: str

    def __str__(self) -> str:
        return self.text


PathText = Annotated[str, AfterValidator(RecipePath)]
"""Annotation of a parameter of a constructor that is a path.

The constructor receives a str in which `${NAME}`, and `~/` at its start, are expanded. A parameter
`root`, and parameters of the type `pathlib.Path`, are expanded, too.
"""


def expanded(where: str, text: str, *, about: str = "") -> str:
    """Return a path with environment variables and the home folder expanded.

    If the weights of a checkpoint follow, a variable that is not set is left unexpanded.

    Args:
        where: Name of the setting, for messages.
        text: The path.
        about: Text to append to the message, such as where the data is available.

    Raises:
        ConfigError: If a variable is not set.
    """

    def variable(match: re.Match[str]) -> str:
        if match[1] not in os.environ and not restoring():
            raise ConfigError(
                f"{where}: the environment variable {quoted(match[1])[1:-1]} is not set; set it, "
                f"or give {where}=...{f'; {about}' if about else ''}"
            )
        return os.environ.get(match[1], match[0])

    path = _VARIABLE.sub(variable, text)
    return os.path.expanduser(path) if path.startswith("~/") else path  # noqa: PTH111


def mapped(where: str, value: Any, change: Callable[[str, Any], Any]) -> Any:
    """Return a value in which the items of nested lists and mappings are replaced.

    Args:
        where: Name of the setting.
        value: The value.
        change: Called with the place and the value of an item that is neither list nor mapping.
    """
    if isinstance(value, dict):
        return {k: mapped(f"{where}.{k}", v, change) for k, v in value.items()}
    if type(value) in (list, tuple):
        return type(value)(mapped(f"{where}[{i}]", v, change) for i, v in enumerate(value))
    return change(where, value)


def items_in(where: str, value: Any) -> list[tuple[str, Any]]:
    """Return the place and the value of each item of nested lists and mappings."""
    items: list[tuple[str, Any]] = []
    mapped(where, value, lambda *item: items.append(item))
    return items
