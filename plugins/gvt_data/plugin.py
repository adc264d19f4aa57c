"""The data sets that gvt brings, and the commands that look at a recipe's data."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gvt_registry import Component, hookimpl

if TYPE_CHECKING:
    import click


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
            "scenes",
            "gvt_data.scenes:Scenes",
            summary="MNIST's digits on textured grounds: class, boxes, masks; nothing to download",
        ),
        Component(
            "dataset",
            "mask_folder",
            "gvt_data.masks.folder:MaskFolder",
            summary="Your own images and masks, paired by name; classes by value or colour",
        ),
        Component(
            "dataset",
            "voc_segmentation",
            "gvt_data.masks.voc:VOCSegmentation",
            summary="Pascal VOC's photographs, with 20 classes of pixels and a background",
        ),
        Component(
            "dataset",
            "voc",
            "gvt_data.boxes.voc:VOC",
            summary="Boxes in Pascal VOC's XML: the challenge's, or your own",
        ),
        Component(
            "dataset",
            "coco",
            "gvt_data.boxes.coco:COCO",
            summary="Boxes and masks in COCO's JSON: the challenge's, or your own",
        ),
        Component(
            "dataset",
            "yolo",
            "gvt_data.boxes.yolo:YOLO",
            summary="Boxes in YOLO's text files, one beside each picture",
        ),
        Component(
            "dataset",
            "mixed",
            "gvt_data.mixed:Mixed",
            summary="Several data sets as one, drawn by weight, each labelled for other heads",
        ),
        Component(
            "dataset",
            "imagenet",
            "gvt_data.imagenet:ImageNet",
            summary="ImageNet's 1,000 names, for networks that know them; and its pictures",
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


@hookimpl
def gvt_commands() -> list[click.Command]:
    """Offer `gvt data`."""
    from .commands import data

    return [data]
