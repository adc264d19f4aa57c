"""Recipes with heads of several families, weightings of the heads, and `gvt merge`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gvt_registry import Component, hookimpl

if TYPE_CHECKING:
    import click

_WEIGHTINGS = {
    "fixed": ("gvt:Weighting", "Sum of the losses of all heads, with the factors of task.weights"),
    "uncertainty": ("gvt_multi.uncertainty:Uncertainty", "Learns a factor of each head's losses"),
    "famo": ("gvt_multi.famo:FAMO", "Factors of the losses, so that all fall equally fast; cheap"),
    "pcgrad": ("gvt_multi.pcgrad:PCGrad", "Removes from each gradient what conflicts with others"),
    "cagrad": (
        "gvt_multi.cagrad:CAGrad",
        "Near the mean gradient, the best step for the worst head",
    ),
    "nash": ("gvt_multi.nash:Nash", "Balances gradients by bargaining, for losses of any scale"),
    "aligned": (
        "gvt_multi.aligned:Aligned",
        "Gives the gradients' principal components equal lengths",
    ),
}


@hookimpl
def gvt_components() -> list[Component]:
    """Offer the recipes and the weightings."""
    scenes = "Classes, boxes, masks and segmentation of synthetic scenes on one backbone"
    return [
        Component("recipe", "multi.scenes", "gvt_multi:recipes/scenes.yaml", summary=scenes),
        *(
            Component("weighting", name, target, summary=summary)
            for name, (target, summary) in _WEIGHTINGS.items()
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
