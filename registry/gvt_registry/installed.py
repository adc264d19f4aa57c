"""Installed plugins, found by the metadata of distributions and without importing them."""

from __future__ import annotations

from importlib.metadata import Distribution, EntryPoint, distributions, entry_points
from typing import Any

from gvt_registry.plugin import Plugin

GROUP = "gvt"


def installed() -> list[Plugin]:
    """Return a plugin for each entry point of the group `gvt`, sorted by name.

    If several have one name, the later ones get the name of their distribution as a prefix. A
    plugin whose entry points cannot be read is broken.
    """
    plugins: list[Plugin] = []
    try:
        points = list(entry_points(group=GROUP))
    except Exception:  # a damaged file of any distribution is an error for all of them
        points, plugins = _one_by_one()
    for point in sorted(points, key=lambda point: (point.name, *_origin(point.dist))):
        distribution, version = _origin(point.dist)
        is_second = any(p.name == point.name for p in plugins)
        name = f"{distribution}:{point.name}" if is_second else point.name
        plugins.append(Plugin(name, distribution, version, point=point))
    return plugins


def _one_by_one() -> tuple[list[EntryPoint], list[Plugin]]:
    """Return the entry points that can be read, and broken plugins for those that cannot."""
    points: list[EntryPoint] = []
    broken: list[Plugin] = []
    seen = set()
    for distribution in distributions():
        origin = _origin(distribution)
        if origin[0] in seen:  # an older version, in a later folder of the path
            continue
        seen.add(origin[0])
        try:
            points += distribution.entry_points.select(group=GROUP)
        except Exception as error:
            # Distributions without plugins do not matter.
            if f"[{GROUP}]" in (distribution.read_text("entry_points.txt") or ""):
                broken.append(Plugin(origin[0], *origin))
                broken[-1].fail(error)
    return points, broken


def _origin(distribution: Distribution | None) -> tuple[str, str]:
    """Return the name and version of a distribution."""
    if distribution is None:
        return "unknown", ""
    metadata: Any = distribution.metadata  # a half deleted distribution lacks keys
    return metadata.get("Name", "unknown"), metadata.get("Version", "")
