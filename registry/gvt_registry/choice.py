"""The choice of plugins to import: blocked plugins, and the only plugins to import."""

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
    """The plugins to import and to block.

    Attributes:
        blocked: Names of the blocked plugins, each with the setting that names it.
        only: Names of the only plugins to import; None for all.
        source: The setting that names these.
    """

    blocked: Mapping[str, str]
    only: tuple[str, ...] | None = None
    source: str = ONLY_OPTION

    @classmethod
    def made(cls, only: tuple[str, ...] | None) -> Choice:
        """Read the choice from the user's settings and the environment.

        Args:
            only: Plugins named on the command line, instead of those in the environment.

        Raises:
            UsageError: If the settings cannot be read, or have an unknown key or a wrong value.
        """
        path = settings_file()
        blocked = dict.fromkeys(_blocked_in(path), str(path))
        blocked |= dict.fromkeys(names_in(os.environ.get(BLOCK_VARIABLE, "")), BLOCK_VARIABLE)
        if only is None and (names := names_in(os.environ.get(ONLY_VARIABLE, ""))):
            return cls(blocked, names, ONLY_VARIABLE)
        return cls(blocked, only)

    def check(self, names: Iterable[str]) -> None:
        """Check that `only` names plugins that exist.

        Raises:
            UsageError: If one does not exist; the message names the nearest plugin, or all.
        """
        names = sorted(names)
        for name in self.only or ():
            if name not in names:
                hint = nearest(name, names) or f"; there are {', '.join(names)}"
                raise UsageError(f"{self.source}: no plugin is called {name!r}{hint}")

    def objection(self, *names: str) -> str:
        """Return why a plugin of these names is not imported, or an empty string."""
        for name in names:
            if name in self.blocked:
                return f"named in {self.blocked[name]}"
        return f"not named in {self.source}" if self.leaves_out(*names) else ""

    def leaves_out(self, *names: str) -> bool:
        """Return whether a plugin of these names is not blocked, but `only` does not name it."""
        return self.only is not None and {*names}.isdisjoint((*self.only, *self.blocked))


def settings_file() -> Path:
    """Return the path of the user's settings, whether or not the file exists."""
    import platformdirs

    return Path(platformdirs.user_config_dir("gvt", appauthor=False)) / "config.toml"


def names_in(text: str) -> tuple[str, ...]:
    """Return the names in a comma-separated list."""
    return tuple(name for part in text.split(",") if (name := part.strip()))


def _blocked_in(path: Path) -> list[str]:
    """Return the plugins that the user's settings block.

    Invalid settings are an error, since otherwise a blocked plugin could be imported.

    Raises:
        UsageError: If the file cannot be read, is not TOML, or has an unknown key or wrong value.
    """
    settings = _read(path)
    plugins = settings.get("plugins", {})
    if not isinstance(plugins, dict):
        raise UsageError(f"{path}: plugins is {plugins!r}; write a table, [plugins]")
    for table, prefix, key in ((settings, "", "plugins"), (plugins, "plugins.", "block")):
        for name in table:
            if name != key:
                hint = nearest(name, [key]) or f"; there is {prefix}{key}"
                raise UsageError(f"{path}: no setting is called {prefix + name!r}{hint}")
    names = plugins.get("block", [])
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise UsageError(f'{path}: plugins.block is {names!r}; write names, such as ["a", "b"]')
    return names


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
        raise UsageError(f"{path}: is not TOML: {error}") from error
