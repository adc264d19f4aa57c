"""Components of the classification family."""

from gvt_registry import Component, hookimpl


@hookimpl
def gvt_components() -> list[Component]:
    """Offer the heads and the recipes."""
    return [
        Component(
            "head",
            "classifier",
            "gvt_classify.classifier:Classifier",
            summary="Image classifier: dense layers on the coarsest feature map, cross entropy",
        ),
        Component(
            "head",
            "multilabel",
            "gvt_classify.multilabel:MultiLabelClassifier",
            summary="Multi-label image classifier: dense layers, binary cross entropy",
        ),
        Component(
            "recipe",
            "classify.mnist",
            "gvt_classify:recipes/mnist.yaml",
            summary="MNIST digit classifier: the textbook CNN, 99 % in five epochs",
        ),
        Component(
            "recipe",
            "classify.folder",
            "gvt_classify:recipes/folder.yaml",
            summary="Image classifier for your own images, one folder for each class",
        ),
        Component(
            "recipe",
            "classify.finetune",
            "gvt_classify:recipes/finetune.yaml",
            summary="Fine-tuned ImageNet classifier for your own images, also for few of them",
        ),
        Component(
            "recipe",
            "classify.imagenet",
            "gvt_classify:recipes/imagenet.yaml",
            summary="ImageNet classifier with 1,000 classes, from imported weights",
        ),
    ]
