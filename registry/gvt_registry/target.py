"""Objects that plugins offer by name: sections of a recipe, names of `gvt`."""

from __future__ import annotations

import pkgutil
import traceback
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from gvt_registry.errors import AmbiguousComponent, BrokenComponent, GvtError
from gvt_registry.plugin import Plugin

NOUNS = {"gvt_sections": "section", "gvt_names": "name", "gvt_fields": "field"}
"""Hooks that return targets by name, with what they offer, for messages."""


@dataclass(frozen=True)
class Target:
    """An object that a plugin offers by name.

    Attributes:
        noun: Its kind, for messages.
        name: Its name.
        offers: The plugins that offer it, each with its place, `"package.module:attribute"` or
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
        place: Place of the object.
        what: Its description, for messages.

    Raises:
        BrokenComponent: If the module cannot be imported or has no such attribute; its `details`
            are the full traceback.
    """
    try:
        return pkgutil.resolve_name(place if ":" in place else f"{place}:")
    except (Exception, SystemExit) as error:
        raise BrokenComponent(
            f"{what} is broken: {type(error).__name__}: {error}", details=traceback.format_exc()
        ) from error


def checked_targets(hook: str, answer: Any) -> Iterator[tuple[str, str]]:
    """Yield the names in the answer of a hook, with their places.

    Raises:
        GvtError: If it is not a mapping from identifiers to `"package.module:attribute"`.
    """
    if not isinstance(answer, Mapping):
        raise GvtError(f"{hook} returned {answer!r}, which is not a mapping from names to targets")
    for name, place in answer.items():
        if not (isinstance(name, str) and name.isidentifier() and not name.startswith("_")):
            raise GvtError(f"{hook}: {name!r} is not a name that can be used in Python")
        if not (isinstance(place, str) and place.strip(":") == place != ""):
            form = "'package.module:attribute'"
            raise GvtError(f"{hook}: target {place!r} of {name!r} is not of the form {form}")
        yield name, place
