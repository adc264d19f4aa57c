"""What the segmentation family brings."""

from gvt_registry import Component, hookimpl


@hookimpl
def gvt_components() -> list[Component]:
    """Offer the heads, the losses and the recipes."""
    return []
