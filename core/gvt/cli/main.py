"""The command `gvt`. Errors are printed as one line, and give an exit code."""

from __future__ import annotations

import os
import sys
import traceback
import warnings
from functools import cache, partial
from typing import Any, NoReturn

import click

from gvt.cli.commands import COMMANDS
from gvt.cli.extension import ExtendedCommand, Extension
from gvt.cli.offered import Offer, commands_of_plugins, is_own, merge
from gvt.cli.options import apply_plugin_options, common_options
from gvt.cli.plugins import plugin as plugin_commands
from gvt.printable import emit, on_one_line
from gvt.screen import screens
from gvt_registry import GvtError, default_registry

INTERRUPTED = 130


class _BrokenPipe(Exception):
    """A wrapped BrokenPipeError; click would exit silently on one that is not of the output."""


class Commands(click.Group):
    """The commands of gvt and of plugins."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            raise _BrokenPipe from error

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Apply the options for plugins, then parse the arguments."""
        apply_plugin_options(args)
        return super().parse_args(ctx, args)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands, those of gvt's own distribution first."""
        offers = [offer for offer in commands_of_plugins() if not isinstance(offer[0], Extension)]
        first = {*self.commands, *(str(c.name) for c, plugin in offers if is_own(plugin))}
        return [*sorted(first), *sorted({str(c.name) for c, _ in offers} - first)]

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Return the command of a name, None if there is none.

        Plugins add commands to groups, and options to commands with an `Extension`. They cannot
        replace a command of gvt.
        """
        command = super().get_command(ctx, name)
        of_plugins = [offer for offer in commands_of_plugins() if offer[0].name == name]
        if command is None or isinstance(command, click.Group):
            offers: list[Offer] = [] if command is None else [(command, None)]
            offers += [offer for offer in of_plugins if not isinstance(offer[0], Extension)]
            command = merge(offers, f"{ctx.command_path} {name}")
        extensions = [c for c, _ in of_plugins if isinstance(c, Extension)]
        if command is None or isinstance(command, click.Group) or not extensions:
            return command
        return ExtendedCommand(command, extensions)


@click.group(
    cls=Commands,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(package_name="gvt", prog_name="gvt")
@common_options
@click.pass_context
def cli(ctx: click.Context) -> None:
    """Generative and discriminative vision, from plugins.

    \b
    gvt list                            list recipes and components
    gvt run gan.mnist                   train a recipe
    gvt run gan.mnist train.steps=500   train it with a changed setting
    """
    if ctx.invoked_subcommand is None:
        emit(ctx.get_help())


for command in (*COMMANDS, plugin_commands):
    cli.add_command(command)


def main() -> NoReturn:
    """Run the command line and exit: 0 done, 1 failed, 2 wrong usage, 130 interrupted."""
    print_once = cache(partial(emit, err=True))
    warnings.showwarning = lambda message, *_, **__: print_once(
        f"warning: {' '.join(str(message).split())}"
    )
    with screens() as output:
        code = _exit_code(sys.argv[1:])
        output.flush()  # it may still hold what plugins have printed
        if output.is_missed and not code:
            code = _print_line(f"error: standard output: {output.lost}", 1)
    sys.exit(code)


def _exit_code(arguments: list[str]) -> int:
    debugging = "--debug" in arguments or bool(os.environ.get("GVT_DEBUG"))
    try:
        code = cli.main(arguments, prog_name="gvt", standalone_mode=False)
        return code if isinstance(code, int) else 0
    except click.exceptions.Abort as error:  # raised by click for a KeyboardInterrupt
        if isinstance(error.__cause__, EOFError):  # and for a file that ends too early
            return _failed(error.__cause__, debugging)
        return _print_line(str(error.__cause__ or "") or "interrupted, without saving", INTERRUPTED)
    except click.ClickException as error:
        return _usage(error, arguments)
    except _BrokenPipe as error:
        assert isinstance(error.__cause__, OSError)
        return _failed(error.__cause__, debugging)
    except Exception as error:
        if debugging:
            emit(traceback.format_exc(), err=True, end="")
        return _failed(error, debugging)


def _failed(error: Exception, debugging: bool) -> int:
    if isinstance(error, GvtError):
        if error.details and not (debugging and error.__cause__):  # else the traceback has them
            emit(error.details.rstrip(), err=True)
        return _print_line(f"error: {error}", error.exit_code)
    if isinstance(error, OSError):  # such as a full disk or a missing permission
        where = f"{error.filename}: " if error.filename else ""
        return _print_line(f"error: {where}{error.strerror or error}", 1)
    text = " ".join(str(error).split())
    hint = "" if debugging else " (for the traceback, add --debug)"
    return _print_line(f"error: {type(error).__name__}: {text}{hint}", 1)


def _usage(error: click.ClickException, arguments: list[str]) -> int:
    message = error.format_message()
    if message.startswith("Usage:"):  # the help of a group that is called without a command
        emit(message, err=True)
        return 2
    if isinstance(error, click.NoSuchOption) and "." in error.option_name:
        message += f" Settings are written without dashes: {error.option_name.lstrip('-')}=VALUE."
    if isinstance(error, click.exceptions.NoSuchCommand):
        problems = [w for p in default_registry().plugins for w in p.warnings if "_commands" in w]
        message = " ".join([message, *problems, default_registry().unavailable()])
        if any(o.component.name == arguments[0] for o in default_registry().offers("recipe")):
            message += f" To train the recipe: gvt run {arguments[0]}."
    context: Any = getattr(error, "ctx", None)
    command = context.command_path if context else "gvt"
    return _print_line(f"error: {' '.join(message.split())} See '{command} --help'.", 2)


def _print_line(line: str, code: int) -> int:
    """Print a line on standard error and return the exit code."""
    emit(on_one_line(line), err=True)
    return code
