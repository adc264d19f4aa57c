"""Finding the plugins that are installed, by what their distributions say and with no import."""

from __future__ import annotations

from importlib.metadata import Distribution, EntryPoint, distributions, entry_points
from typing import Any

from gvt_registry.plugin import Plugin

GROUP = "gvt"


def installed() -> list[Plugin]:
    """Return a plugin for every entry point of the group `gvt`, in the order of their names.

    Of several with one name, the later ones bear their distribution's name before it. One whose
    distribution's entry points cannot be read is broken.
    """
    found: list[Plugin] = []
    try:
        points = list(entry_points(group=GROUP))
    except Exception:  # a single damaged file, of whatever distribution, fails them all
        points, found = _one_by_one()
    for point in sorted(points, key=lambda point: (point.name, *_origin(point.dist))):
        distribution, version = _origin(point.dist)
        taken = any(p.name == point.name for p in found)
        name = f"{distribution}:{point.name}" if taken else point.name
        found.append(Plugin(name, distribution, version, point=point))
    return found


def _one_by_one() -> tuple[list[EntryPoint], list[Plugin]]:
    """Return the entry points that can be read, and a broken plugin where some cannot."""
    points: list[EntryPoint] = []
    broken: list[Plugin] = []
    seen = set()
    for distribution in distributions():
        origin = _origin(distribution)
        if origin[0] in seen:  # a later folder of the path has an older one
            continue
        seen.add(origin[0])
        try:
            points += distribution.entry_points.select(group=GROUP)
        except Exception as error:
            # Of others than ours it is not our business.
            if f"[{GROUP}]" in (distribution.read_text("entry_points.txt") or ""):
                broken.append(Plugin(origin[0], *origin))
                broken[-1].fail(error)
    return points, broken


def _origin(distribution: Distribution | None) -> tuple[str, str]:
    """Return a distribution's name and version."""
    if distribution is None:
        return "unknown", ""
    metadata: Any = distribution.metadata  # either key lacks where a distribution is half deleted
    return metadata.get("Name", "unknown"), metadata.get("Version", "")
