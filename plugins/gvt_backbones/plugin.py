"""The backbones that gvt brings."""

from gvt_registry import Component, hookimpl


@hookimpl
def gvt_components() -> list[Component]:
    """Offer the backbones."""
    return [
        Component(
            "backbone",
            "small_cnn",
            "gvt_backbones.small_cnn:SmallCNN",
            summary="3x3 convolutions, ReLU and pooling, a stage for each width",
        )
    ]
