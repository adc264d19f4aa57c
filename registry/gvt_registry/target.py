"""Things that plugins offer under a name: sections of a recipe, names of `gvt`."""

from __future__ import annotations

import importlib
import traceback
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gvt_registry.errors import AmbiguousComponent, BrokenComponent, GvtError
from gvt_registry.plugin import Plugin

if TYPE_CHECKING:
    from gvt_registry.plugins import Plugins

NOUNS = {"gvt_sections": "section", "gvt_names": "name"}
"""What each hook that returns targets by name offers, for messages."""


@dataclass(frozen=True)
class Target:
    """Something that a plugin offers under a name.

    Attributes:
        noun: What it is, for messages.
        name: Its name.
        offers: Each plugin that offers it, with its place, `"package.module:attribute"` or
            `"package.module"`.
    """

    noun: str
    name: str
    offers: tuple[tuple[Plugin, str], ...]

    def load(self) -> Any:
        """Import the target and return it.

        Raises:
            AmbiguousComponent: If two plugins offer the name; names both distributions.
            BrokenComponent: If the module cannot be imported or has no such attribute; its
                `details` are the full traceback.
        """
        if len(self.offers) > 1:
            both = " and ".join(sorted(f"{p.origin} (plugin {p.name})" for p, _ in self.offers))
            raise AmbiguousComponent(f"{self.noun} {self.name!r} is offered by {both}; block one")
        ((plugin, place),) = self.offers
        return load_target(place, f"{self.noun} {self.name!r} from {plugin.origin}")


def load_target(place: str, what: str) -> Any:
    """Import `"package.module:attribute"` and return the attribute, or a module itself.

    Args:
        place: Where it is.
        what: The beginning of an error.

    Raises:
        BrokenComponent: If the module cannot be imported or has no such attribute; its `details`
            are the full traceback.
    """
    module, _, path = place.partition(":")
    try:
        value: Any = importlib.import_module(module)
        for attribute in path.split(".") if path else ():
            value = getattr(value, attribute)
    except (Exception, SystemExit) as error:
        raise BrokenComponent(
            f"{what} is broken: {type(error).__name__}: {error}", details=traceback.format_exc()
        ) from error
    return value


def targets(plugins: Plugins, hook: str) -> dict[str, Target]:
    """Return what plugins offer through a hook that returns targets by name.

    A plugin that offers something else is left out, with the reason among its warnings.
    """
    offers: dict[str, list[tuple[Plugin, str]]] = {}
    for plugin, answer in plugins.call(hook):
        if isinstance(answer, BaseException):
            continue  # which is among the plugin's warnings
        try:
            for name, place in checked_targets(hook, answer):
                offers.setdefault(name, []).append((plugin, place))
        except GvtError as error:
            plugin.warn(str(error))
    return {name: Target(NOUNS[hook], name, tuple(of_name)) for name, of_name in offers.items()}


def checked_targets(hook: str, answer: Any) -> Iterator[tuple[str, str]]:
    """Yield the names in a hook's answer with their places.

    Raises:
        GvtError: If it is not a mapping from identifiers to `"package.module:attribute"`.
    """
    if not isinstance(answer, Mapping):
        raise GvtError(f"{hook} returned {answer!r}, which is not a mapping from names to targets")
    for name, place in answer.items():
        if not (isinstance(name, str) and name.isidentifier() and not name.startswith("_")):
            raise GvtError(f"{hook}: {name!r} is not a name that can be used in Python")
        if not (isinstance(place, str) and place.strip(":") == place != ""):
            raise GvtError(
                f"{hook}: target {place!r} of {name!r} is not of the form "
                "'package.module:attribute'"
            )
        yield name, place
