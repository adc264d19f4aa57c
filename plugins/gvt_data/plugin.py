"""The data sets that gvt brings."""

from gvt_registry import Component, hookimpl


@hookimpl
def gvt_components() -> list[Component]:
    """Offer the data sets."""
    return [
        Component(
            "dataset",
            "mnist",
            "gvt_data.mnist:MNIST",
            summary="70,000 handwritten digits, 28x28 grey; carried inside the package",
        )
    ]
