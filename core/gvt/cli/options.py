"""Options that several commands share; each may stand before or behind the command."""

from __future__ import annotations

import os
from itertools import pairwise
from pathlib import Path
from typing import Any

import click

from gvt_registry import default_registry
from gvt_registry.choice import ONLY_OPTION, names_in

DEBUG_VARIABLE = "GVT_DEBUG"


def is_debugging(arguments: list[str]) -> bool:
    """Return whether tracebacks are wanted."""
    return "--debug" in arguments or bool(os.environ.get(DEBUG_VARIABLE))


def _load_plugins(ctx: click.Context, option: click.Parameter, paths: tuple[str, ...]) -> None:
    for path in paths:
        default_registry().plugins.load_file(path)


def restrict_plugins(arguments: list[str]) -> None:
    """Import no installed plugins but those that `--only-plugins` names among these arguments.

    A command's own options are read once it is found, too late for a command of a plugin.
    """
    for argument, following in pairwise([*arguments, ""]):
        name, equals, value = argument.partition("=")
        if name == "--":
            return
        if name == ONLY_OPTION:
            default_registry().plugins.restrict(names_in(value if equals else following))


def _restrict_plugins(ctx: click.Context, option: click.Parameter, names: str | None) -> None:
    if names is not None:
        default_registry().plugins.restrict(names_in(names))


def plugin_option(command: Any) -> Any:
    """Add `--plugin FILE` and `--only-plugins NAMES`, in whichever order they are given."""
    command = click.option(
        ONLY_OPTION,
        "names",
        metavar="NAME,NAME",
        callback=_restrict_plugins,
        expose_value=False,
        is_eager=True,
        help="Import no installed plugins but these.",
    )(command)
    return click.option(
        "--plugin",
        "paths",
        multiple=True,
        metavar="FILE.py",
        callback=_load_plugins,
        expose_value=False,
        is_eager=True,
        help="Load a plugin from a Python file; it is run with your rights.",
    )(command)


def debug_option(command: Any) -> Any:
    """Add `--debug`, which `main` looks for."""
    return click.option(
        "--debug", is_flag=True, expose_value=False, help="Show tracebacks of errors."
    )(command)


def shifted(run: str | None, overrides: tuple[str, ...]) -> tuple[str | None, tuple[str, ...]]:
    """Return a run that was left out as None, where an override stands in its place."""
    if run is not None and "=" in run and not Path(run).exists():
        return None, (run, *overrides)
    return run, overrides


class Output(click.Path):
    """Where something is to be written, judged before there is anything to write.

    Args:
        suffix: What the name of a file ends in; none for a folder.
        either: A folder is as good as a file, and whoever writes judges the suffix.
    """

    def __init__(self, suffix: str = "", *, either: bool = False) -> None:
        is_file = bool(suffix)
        super().__init__(
            file_okay=is_file or either,
            dir_okay=not is_file or either,
            writable=True,
            path_type=Path,
        )
        self._suffix = suffix

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """Return the path."""
        path = super().convert(value, param, ctx)
        assert isinstance(path, Path)  # as `path_type` says
        if not path.parent.is_dir():
            self.fail(f"There is no folder {str(path.parent)!r}.", param, ctx)
        if self._suffix and path.suffix.lower() != self._suffix:
            self.fail(f"{str(path)!r} does not end in {self._suffix}.", param, ctx)
        return path
