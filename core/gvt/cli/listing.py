"""`gvt list`: components and plugins as columns of plain text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby

from gvt.printable import on_one_line
from gvt_registry import Plugin, default_registry


def listing(kind: str | None = None) -> str:
    """Return the components of all plugins by kind, and the plugins that cannot be used."""
    registry = default_registry()
    offers = registry.offers(kind)
    blocks = []
    for heading, group in groupby(offers, key=lambda o: o.component.kind):
        rows = [(o.component.name, o.component.summary, f"({o.origin})") for o in group]
        blocks.append(f"{heading}\n{aligned(rows)}")
    if not offers:
        blocks.append(f"no plugin offers any {kind or 'component'}")
    states = [(p.name, p.state, p.problem, f"({p.origin})") for p in registry.plugins]
    if unusable := [row for row in states if row[1] != "ok"]:
        blocks.append(f"plugins that cannot be used\n{aligned(unusable)}")
    return "\n\n".join([*blocks, *warnings_of(registry.plugins)])


def warnings_of(plugins: Iterable[Plugin]) -> list[str]:
    """Return a block with the warnings of plugins; none if there are no warnings."""
    warnings = [(plugin.name, text) for plugin in plugins for text in plugin.warnings]
    return [f"warnings\n{aligned(warnings)}"] if warnings else []


def aligned(rows: Iterable[Sequence[str]], indent: str = "  ") -> str:
    """Return rows of text as lines with aligned columns."""
    rows = [[on_one_line(cell) for cell in row] for row in rows]
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    lines = ("  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(f"{indent}{line}".rstrip() for line in lines)
