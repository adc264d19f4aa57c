"""What the classifier family brings."""

from gvt_registry import Component, hookimpl


@hookimpl
def gvt_components() -> list[Component]:
    """Offer the heads and the recipes."""
    return [
        Component(
            "head",
            "classifier",
            "gvt_classify.classifier:Classifier",
            summary="Dense layers on the coarsest feature map, cross entropy, accuracy",
        ),
        Component(
            "head",
            "multilabel",
            "gvt_classify.multilabel:MultiLabelClassifier",
            summary="The same for pictures of several classes: a yes or no for each of them",
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
        Component(
            "recipe",
            "classify.finetune",
            "gvt_classify:recipes/finetune.yaml",
            summary="The same by a network that has learned ImageNet: few pictures will do",
        ),
        Component(
            "recipe",
            "classify.imagenet",
            "gvt_classify:recipes/imagenet.yaml",
            summary="Photographs to ImageNet's 1,000 names, by weights that you import",
        ),
    ]
