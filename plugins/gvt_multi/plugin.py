"""What is mixed of the other families."""

from gvt_registry import Component, hookimpl


@hookimpl
def gvt_components() -> list[Component]:
    """Offer the recipes."""
    return [
        Component(
            "recipe",
            "multi.scenes",
            "gvt_multi:recipes/scenes.yaml",
            summary="A class, boxes, masks and a map of the pixels from one backbone",
        ),
    ]
