"""Recipes with heads of several families."""

from gvt_registry import Component, hookimpl


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
