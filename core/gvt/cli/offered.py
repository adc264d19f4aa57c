"""Commands of plugins: new ones, and those merged into a group of the same name."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TypeVar

import click

from gvt_registry import Plugin, default_registry
from gvt_registry.choice import BLOCK_VARIABLE
from gvt_registry.plugins import OWN_DISTRIBUTION

T = TypeVar("T")

Offer = tuple[click.Command, Plugin | None]
"""A command and the plugin that offers it; None for gvt itself."""

GroupOffer = tuple[click.Group, Plugin | None]
"""A group of commands and the plugin that offers it; None for gvt itself."""


class MergedGroup(click.Group):
    """Several groups of one name as one: help and options of the first, commands of all.

    A command is looked up in the groups when it is needed, so a group may import its commands
    lazily.
    """

    def __init__(self, groups: Sequence[GroupOffer]) -> None:
        vars(self).update(vars(groups[0][0]))
        self._groups = groups

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the commands, those of the first group first."""
        names = [
            name
            for group, plugin in self._groups
            for name in _answer(plugin, partial(group.list_commands, ctx)) or ()
        ]
        return list(dict.fromkeys(names))

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Return the command of a name, None if no group has it."""
        commands = [
            (command, plugin)
            for group, plugin in self._groups
            if (command := _answer(plugin, partial(group.get_command, ctx, name)))
        ]
        return merge(commands, f"{ctx.command_path} {name}")


def commands_of_plugins() -> list[Offer]:
    """Return the commands that plugins offer.

    Commands of gvt's own distribution come first, so other plugins cannot replace them. A warning
    is recorded for a plugin that raises, and for an object that is not a named command.
    """
    commands: list[Offer] = []
    for plugin, answer in default_registry().plugins.call("gvt_commands"):
        if isinstance(answer, BaseException):
            continue  # the registry has recorded it
        offers: Iterable[object] = [answer] if isinstance(answer, click.Command) else answer or ()
        candidates: list[object] | None = _answer(plugin, partial(list, offers))
        for command in candidates or ():
            if isinstance(command, click.Command) and command.name:
                commands.append((command, plugin))
            else:
                plugin.warn(f"gvt_commands returned {command!r}, which is not a named command")
    return sorted(commands, key=lambda offer: not is_own(offer[1]))


def merge(offers: Sequence[Offer], path: str) -> click.Command | None:
    """Return the command for several offers of one name, None if there are none.

    If the first offer is a group, the other groups are merged into it; otherwise only the first
    is used. For each offer that is not used, a warning names both plugins.

    Args:
        offers: The offers, in order of precedence.
        path: The command as it is called, such as `gvt data check`.
    """
    if not offers:
        return None
    first, owner = offers[0]
    groups: list[GroupOffer] = []
    for command, plugin in offers:
        if isinstance(first, click.Group) and isinstance(command, click.Group):
            groups.append((command, plugin))
        elif command is not first and plugin is not None:
            _warn_of_conflict(path, owner, plugin)
    return MergedGroup(groups) if len(groups) > 1 else first


def _warn_of_conflict(path: str, owner: Plugin | None, other: Plugin) -> None:
    text = (
        f"command {path!r} is offered by {_label(owner)} and by {_label(other)}; the first is "
        f"used; block the other with {BLOCK_VARIABLE}={other.name}"
    )
    other.warn(text)
    warnings.warn(text, stacklevel=2)


def _label(plugin: Plugin | None) -> str:
    return f"the plugin {plugin.name} ({plugin.origin})" if plugin else "gvt itself"


def is_own(plugin: Plugin | None) -> bool:
    """Return whether a plugin belongs to gvt's own distribution, as gvt itself (None) does."""
    return plugin is None or plugin.distribution == OWN_DISTRIBUTION


def _answer(plugin: Plugin | None, call: Callable[[], T]) -> T | None:
    """Return the result of calling a plugin's code, or None with a warning if it raises."""
    try:
        return call()
    except (Exception, SystemExit) as error:
        if plugin is None:
            raise
        plugin.warn(f"gvt_commands raised {type(error).__name__}: {error}")
        return None
