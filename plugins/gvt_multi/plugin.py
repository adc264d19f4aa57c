"""Recipes with heads of several families, weightings of the heads, and `gvt merge`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gvt_registry import Component, hookimpl

if TYPE_CHECKING:
    import click

_WEIGHTINGS = {
    "uncertainty": ("uncertainty:Uncertainty", "Learns a factor of the losses of each head"),
    "famo": ("famo:FAMO", "Factors of the losses, so that all fall equally fast; cheap"),
    "pcgrad": ("pcgrad:PCGrad", "Removes from each gradient what conflicts with the others"),
    "cagrad": ("cagrad:CAGrad", "Near the mean gradient, the step that is best for the worst head"),
    "nash": ("nash:Nash", "Balances gradients by bargaining, for losses of any scale"),
    "aligned": ("aligned:Aligned", "Gives the principal components of the gradients equal lengths"),
}


@hookimpl
def gvt_components() -> list[Component]:
    """Offer the recipes and the weightings."""
    scenes = "Classes, boxes, masks and segmentation of synthetic scenes on one backbone"
    return [
        Component("recipe", "multi.scenes", "gvt_multi:recipes/scenes.yaml", summary=scenes),
        *(
            Component("weighting", name, f"gvt_multi.{place}", summary=summary)
            for name, (place, summary) in _WEIGHTINGS.items()
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
