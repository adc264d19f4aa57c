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
        ),
        Component(
            "dataset",
            "image_folder",
            "gvt_data.image_folder:ImageFolder",
            summary="Your own pictures, of any kind and size; class folders if you have classes",
        ),
        Component(
            "dataset",
            "fashion_mnist",
            "gvt_data.torchvision_sets:FashionMNIST",
            summary="70,000 articles of clothing, 28x28 grey; can be downloaded",
        ),
        Component(
            "dataset",
            "kmnist",
            "gvt_data.torchvision_sets:KMNIST",
            summary="70,000 cursive Japanese characters, 28x28 grey; can be downloaded",
        ),
        Component(
            "dataset",
            "emnist",
            "gvt_data.torchvision_sets:EMNIST",
            summary="Handwritten letters and digits in six variants, 28x28; can be downloaded",
        ),
        Component(
            "dataset",
            "cifar10",
            "gvt_data.torchvision_sets:CIFAR10",
            summary="60,000 photographs of ten kinds, 32x32 in colour; can be downloaded",
        ),
    ]
