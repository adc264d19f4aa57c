"""Recipes with heads of several families; `gvt merge`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gvt_registry import Component, hookimpl

if TYPE_CHECKING:
    import click


@hookimpl
def gvt_components() -> list[Component]:
    """Offer the recipes."""
    return [
        Component(
            "recipe",
            "multi.scenes",
            "gvt_multi:recipes/scenes.yaml",
            summary="Classes, boxes, masks and segmentation of synthetic scenes on one backbone",
        ),
    ]


@hookimpl
def gvt_commands() -> list[click.Command]:
    """Return the command `gvt merge`."""
    from gvt_multi.command import merge

    return [merge]


@hookimpl
def gvt_names() -> dict[str, str]:
    """Return the function `gvt.merge`."""
    return {"merge": "gvt_multi.merge:merge"}
