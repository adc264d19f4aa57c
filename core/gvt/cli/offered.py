"""Commands of plugins: new ones, and those merged into a group of the same name."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from typing import Any, TypeVar

import click

from gvt_registry import Plugin, default_registry
from gvt_registry.choice import BLOCK_VARIABLE
from gvt_registry.plugins import OWN_DISTRIBUTION

T = TypeVar("T")

Offer = tuple[click.Command, Plugin | None]
"""A command and the plugin that offers it; None for gvt itself."""


class MergedGroup(click.Group):
    """Several groups of one name as one: help and options of the first, commands of all.

    A command is looked up in the groups when it is needed, so a group may import its commands
    lazily.
    """

    def __init__(self, groups: Sequence[tuple[click.Group, Plugin | None]]) -> None:
        vars(self).update(vars(groups[0][0]))
        self._groups = groups

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the commands, those of the first group first."""
        names = (_answer(plugin, group.list_commands, ctx) or () for group, plugin in self._groups)
        return list(dict.fromkeys(chain.from_iterable(names)))

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Return the command of a name, None if no group has it."""
        answers = [(_answer(p, group.get_command, ctx, name), p) for group, p in self._groups]
        offers = [(command, plugin) for command, plugin in answers if command]
        return merge(offers, f"{ctx.command_path} {name}")


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
        candidates: list[object] | None = _answer(plugin, list, offers)
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
    groups: list[tuple[click.Group, Plugin | None]] = []
    for command, plugin in offers:
        if isinstance(first, click.Group) and isinstance(command, click.Group):
            groups.append((command, plugin))
        elif command is not first and plugin is not None:
            text = (
                f"command {path!r} is offered by {_label(owner)} and by {_label(plugin)}; the "
                f"first is used; block the other with {BLOCK_VARIABLE}={plugin.name}"
            )
            plugin.warn(text)
            warnings.warn(text, stacklevel=2)
    return MergedGroup(groups) if len(groups) > 1 else first


def _label(plugin: Plugin | None) -> str:
    return f"the plugin {plugin.name} ({plugin.origin})" if plugin else "gvt itself"


def is_own(plugin: Plugin | None) -> bool:
    """Return whether a plugin belongs to gvt's own distribution, as gvt itself (None) does."""
    return plugin is None or plugin.distribution == OWN_DISTRIBUTION


def _answer(plugin: Plugin | None, call: Callable[..., T], *arguments: Any) -> T | None:
    """Return the result of calling a plugin's code, or None with a warning if it raises."""
    try:
        return call(*arguments)
    except (Exception, SystemExit) as error:
        if plugin is None:
            raise
        plugin.warn(f"gvt_commands raised {type(error).__name__}: {error}")
        return None
