"""What the classifier family brings."""

from gvt_registry import Component, hookimpl


@hookimpl
def gvt_components() -> list[Component]:
    """Offer the head and the recipes."""
    return [
        Component(
            "head",
            "classifier",
            "gvt_classify.classifier:Classifier",
            summary="Dense layers on the coarsest feature map, cross entropy, accuracy",
        ),
        Component(
            "recipe",
            "classify.mnist",
            "gvt_classify:recipes/mnist.yaml",
            summary="Digits to names: the textbook CNN, 99 % in five epochs",
        ),
        Component(
            "recipe",
            "classify.folder",
            "gvt_classify:recipes/folder.yaml",
            summary="Your own pictures to names: a folder of pictures for each class",
        ),
    ]
