"""Components: the parts that plugins offer by kind and name."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from gvt_registry.errors import UsageError, nearest
from gvt_registry.target import load_target

KINDS = (
    "recipe", "task", "dataset", "generator", "discriminator", "backbone", "network", "head",
    "loss", "metric", "weighting", "optimizer", "schedule", "transform", "exporter", "explainer",
)  # fmt: skip
"""The kinds of component."""


@dataclass(frozen=True)
class Component:
    """A named part that a plugin offers.

    Attributes:
        kind: One of `KINDS`.
        name: Its name, such as `dcgan` or `gan.mnist`; unique within its kind.
        target: Place of the code, a string so that listing imports nothing:
            `"package.module:Attr"`, or `"package:folder/file.yaml"` for a recipe. In code and
            notebooks it may be the object itself.
        summary: One line for `gvt list`.

    Raises:
        UsageError: If the kind is unknown, or the name or the target is malformed.
    """

    kind: str
    name: str
    target: Any = field(compare=False)
    summary: str = ""

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            hint = nearest(str(self.kind), KINDS) or f"; the kinds are {', '.join(KINDS)}"
            raise UsageError(f"component {self.name!r}: unknown kind {self.kind!r}{hint}")
        if not isinstance(self.name, str) or not self.name or self.name != self.name.strip():
            raise UsageError(f"{self.kind}: {self.name!r} is not a name for a component")
        where, place = f"{self.kind} {self.name!r}", self.target
        if not isinstance(self.summary, str):
            raise UsageError(f"{where}: its summary {self.summary!r} is not a string")
        if isinstance(place, str) and not all(place.partition(":")):
            raise UsageError(f"{where}: target {place!r} is not of the form 'package.module:Attr'")


@dataclass(frozen=True)
class Offer:
    """A component together with the plugin that offers it.

    Attributes:
        component: The component.
        plugin: Name of the plugin.
        distribution: Name of its distribution, or the path of its code if it has none.
        version: Version of the distribution, empty if it has none.
    """

    component: Component
    plugin: str
    distribution: str
    version: str = ""

    @property
    def origin(self) -> str:
        """The distribution and its version, for display."""
        return f"{self.distribution} {self.version}".strip()

    def load(self) -> Any:
        """Import the target and return it.

        Raises:
            BrokenComponent: If the module cannot be imported or has no such attribute; its
                `details` are the full traceback.
        """
        component = self.component
        if not isinstance(component.target, str):
            return component.target
        what = f"{component.kind} {component.name!r} from {self.origin}"
        return load_target(component.target, what)
