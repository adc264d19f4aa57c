"""Which plugins may be imported: what is blocked, and by whom, and which ones alone are wanted."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gvt_registry.errors import UsageError, nearest

BLOCK_VARIABLE = "GVT_BLOCK_PLUGINS"
ONLY_VARIABLE = "GVT_ONLY_PLUGINS"
ONLY_OPTION = "--only-plugins"


@dataclass(frozen=True)
class Choice:
    """What is said about plugins before any of them is imported.

    Attributes:
        blocked: Where each blocked plugin is named.
        only: The plugins beside which none is wanted; None for all.
        source: Where these are named.
    """

    blocked: Mapping[str, str]
    only: tuple[str, ...] | None = None
    source: str = ONLY_OPTION

    @classmethod
    def made(cls, only: tuple[str, ...] | None) -> Choice:
        """Return what the user's file and the environment say.

        Args:
            only: The plugins named on the command line, which go before the environment's.

        Raises:
            UsageError: If the user's file cannot be read, or says something unknown.
        """
        path = settings_file()
        blocked = dict.fromkeys(_blocked_in(path), str(path))
        blocked |= dict.fromkeys(names_in(os.environ.get(BLOCK_VARIABLE, "")), BLOCK_VARIABLE)
        if only is None and (named := names_in(os.environ.get(ONLY_VARIABLE, ""))):
            return cls(blocked, named, ONLY_VARIABLE)
        return cls(blocked, only)

    def check(self, known: Iterable[str]) -> None:
        """Check that there is a plugin of every name that is wanted.

        Raises:
            UsageError: If there is not; names the nearest, or all.
        """
        known = sorted(known)
        for name in self.only or ():
            if name not in known:
                hint = nearest(name, known) or f"; there are {', '.join(known)}"
                raise UsageError(f"{self.source}: no plugin is called {name!r}{hint}")

    def objection(self, *names: str) -> str:
        """Return why a plugin of these names is not to be imported, or an empty text."""
        for name in names:
            if name in self.blocked:
                return f"named in {self.blocked[name]}"
        return f"not named in {self.source}" if self.leaves_out(*names) else ""

    def leaves_out(self, *names: str) -> bool:
        """Return whether a plugin of these names is only not wanted, and nobody blocks it."""
        named = {*names}
        return (
            self.only is not None and named.isdisjoint(self.only) and named.isdisjoint(self.blocked)
        )


def settings_file() -> Path:
    """Return where the user's settings are, whether or not there is such a file."""
    import platformdirs

    return Path(platformdirs.user_config_dir("gvt", appauthor=False)) / "config.toml"


def names_in(text: str) -> tuple[str, ...]:
    """Return the names in a list with commas."""
    return tuple(name for part in text.split(",") if (name := part.strip()))


def _blocked_in(path: Path) -> list[str]:
    """Return the plugins that the user's settings block.

    A file that is wrong stops everything: what it was to keep out is not let in.

    Raises:
        UsageError: If the file cannot be read, is no TOML, or has an unknown key or a wrong value.
    """
    settings = _read(path)
    _check_keys(path, "", settings, ("plugins",))
    plugins = settings.get("plugins", {})
    if not isinstance(plugins, dict):
        raise UsageError(f"{path}: plugins is {plugins!r}; write a table, [plugins]")
    _check_keys(path, "plugins.", plugins, ("block",))
    names = plugins.get("block", [])
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise UsageError(f'{path}: plugins.block is {names!r}; write names, such as ["a", "b"]')
    return names


def _check_keys(path: Path, prefix: str, found: Iterable[str], known: tuple[str, ...]) -> None:
    for key in found:
        if key not in known:
            hint = nearest(key, known) or f"; there is {', '.join(prefix + k for k in known)}"
            raise UsageError(f"{path}: no setting is called {prefix + key!r}{hint}")


def _read(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UsageError(f"{path}: cannot be read: {reason}") from error
    import tomllib

    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path}: is no TOML: {error}") from error
