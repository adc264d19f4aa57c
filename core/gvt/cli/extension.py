"""Options that plugins add to gvt's own commands."""

from __future__ import annotations

from collections.abc import Sequence
from inspect import cleandoc
from typing import Any

import click
from click.core import ParameterSource


class Extension(click.Command):
    """Options that a plugin adds to one of gvt's commands, for `gvt_commands` to return.

    It has the name of that command. Its parameters are the new options, and those parameters of
    the command that its callback takes. If one of the new options is used, its callback is called
    instead of the command's. Its help is appended to that of the command.

        @click.command("eval", cls=Extension)
        @click.argument("run", required=False)
        @click.option("--flips", is_flag=True, help="Evaluate flipped copies.")
        def evaluate_flipped(run: str | None, flips: bool) -> None: ...
    """


class ExtendedCommand(click.Command):
    """A command with the options of its extensions.

    Args:
        command: The command.
        extensions: The extensions of it. The first of several options with one name is used.
    """

    def __init__(self, command: click.Command, extensions: Sequence[Extension]) -> None:
        vars(self).update(vars(command))
        self.help = "\n\n".join(cleandoc(c.help) for c in (command, *extensions) if c.help)
        names = {p.name for p in command.params}
        added: dict[str, tuple[click.Parameter, Extension]] = {}
        for extension in extensions:
            for option in extension.params:
                if option.name is not None and option.name not in names:
                    added.setdefault(option.name, (option, extension))
        self._callbacks = {name: extension for name, (_, extension) in added.items()}
        self.params = [*command.params, *(option for option, _ in added.values())]
        self.params.sort(key=lambda p: not p.expose_value)  # --plugin and --debug are the last

    def invoke(self, ctx: click.Context) -> Any:
        """Call the extension of the first option that is used, or else the command."""
        for name, extension in self._callbacks.items():
            if ctx.get_parameter_source(name) not in (None, ParameterSource.DEFAULT):
                names = [p.name for p in extension.params if p.name and p.expose_value]
                return ctx.invoke(extension, **{name: ctx.params[name] for name in names})
        ctx.params = {n: v for n, v in ctx.params.items() if n not in self._callbacks}
        return super().invoke(ctx)
