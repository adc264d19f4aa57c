"""Options that several commands share; each may stand before or behind the command."""

from __future__ import annotations

import os
from typing import Any

import click

from gvt_registry import default_registry

DEBUG_VARIABLE = "GVT_DEBUG"


def is_debugging(arguments: list[str]) -> bool:
    """Return whether tracebacks are wanted."""
    return "--debug" in arguments or bool(os.environ.get(DEBUG_VARIABLE))


def _load_plugins(ctx: click.Context, option: click.Parameter, paths: tuple[str, ...]) -> None:
    for path in paths:
        default_registry().plugins.load_file(path)


def plugin_option(command: Any) -> Any:
    """Add `--plugin FILE`."""
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
