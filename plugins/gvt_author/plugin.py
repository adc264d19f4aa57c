"""`gvt plugin check` and `gvt plugin new`; the conformance kit as `gvt.testing`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gvt_registry import hookimpl

if TYPE_CHECKING:
    import click


@hookimpl
def gvt_commands() -> list[click.Command]:
    """Return the group with `gvt plugin check` and `gvt plugin new`."""
    from gvt_author.commands import plugin

    return [plugin]


@hookimpl
def gvt_names() -> dict[str, str]:
    """Return the conformance kit as `gvt.testing`."""
    return {"testing": "gvt_author.testing"}
