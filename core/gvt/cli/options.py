"""Options shared by all commands, accepted before and after the name of a command."""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import click

from gvt.printable import emit
from gvt_registry import default_registry
from gvt_registry.choice import ONLY_OPTION, names_in

TRACE_OPTION = "--trace-plugins"

_option = partial(click.option, expose_value=False)


def _load_files(ctx: click.Context, option: click.Parameter, paths: tuple[str, ...]) -> None:
    for path in paths:
        default_registry().plugins.load_file(path)


def apply_plugin_options(arguments: list[str]) -> None:
    """Apply `--only-plugins` and `--trace-plugins` before a command is looked up.

    They may be anywhere among the arguments. click reads the options of a command after looking it
    up, when its plugin is imported already.
    """
    for argument, following in pairwise([*arguments, ""]):
        name, equals, value = argument.partition("=")
        if name == "--":
            return
        if name == ONLY_OPTION:
            default_registry().plugins.restrict(names_in(value if equals else following))
        elif argument == TRACE_OPTION:
            default_registry().plugins.trace = lambda line: emit(line, err=True)


def plugin_option(command: Any) -> Any:
    """Add the options `--plugin FILE`, `--only-plugins NAMES` and `--trace-plugins`."""
    trace = _option(TRACE_OPTION, is_flag=True, help="Time hook calls.")
    text = "Import only these installed plugins, and gvt's own tools."
    only = _option(ONLY_OPTION, metavar="NAME,NAME", help=text)
    text = "Load a plugin from a Python file, which runs with your permissions."
    file = _option(
        "--plugin", metavar="FILE.py", multiple=True, callback=_load_files, is_eager=True, help=text
    )
    return file(trace(only(command)))


def debug_option(command: Any) -> Any:
    """Add the option `--debug` to a command."""
    return _option("--debug", is_flag=True, help="Show tracebacks of errors.")(command)


def common_options(command: Any) -> Any:
    """Add the options for plugins, and `--debug`, to a command."""
    return plugin_option(debug_option(command))


def shifted(run: str | None, overrides: tuple[str, ...]) -> tuple[str | None, tuple[str, ...]]:
    """Return a run and overrides; if the run is an override itself, None and all overrides."""
    if run is not None and "=" in run and not Path(run).exists():
        return None, (run, *overrides)
    return run, overrides


class Output(click.Path):
    """A path to write to, checked before the command does its work.

    Args:
        suffix: Suffix of the file; empty for a folder.
        either: Accept a file or a folder; the command checks the suffix.
    """

    def __init__(self, suffix: str = "", *, either: bool = False) -> None:
        is_file, is_folder = bool(suffix) or either, not suffix or either
        super().__init__(file_okay=is_file, dir_okay=is_folder, writable=True, path_type=Path)
        self._suffix = suffix

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """Return the path.

        Raises:
            click.BadParameter: If its parent folder does not exist, or its suffix is wrong.
        """
        path = super().convert(value, param, ctx)
        assert isinstance(path, Path)  # by `path_type`
        if not path.parent.is_dir():
            self.fail(f"Folder {str(path.parent)!r} does not exist.", param, ctx)
        if self._suffix and path.suffix.lower() != self._suffix:
            self.fail(f"{str(path)!r} does not end in {self._suffix}.", param, ctx)
        return path
