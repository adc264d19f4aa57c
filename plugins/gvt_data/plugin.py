"""Plugin with the built-in data sets, mosaics, `gvt data`, and `gvt.dataset`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gvt_registry import Component, hookimpl

if TYPE_CHECKING:
    import click


@hookimpl
def gvt_components() -> list[Component]:
    """Register the data sets and the transform."""
    return [
        Component(
            "dataset",
            "mnist",
            "gvt_data.mnist:MNIST",
            summary="MNIST: 70,000 handwritten digits, 28x28 grey; included, no download",
        ),
        Component(
            "dataset",
            "image_folder",
            "gvt_data.image_folder:ImageFolder",
            summary="Your own images, of any kind and size; one folder for each class, if any",
        ),
        Component(
            "dataset",
            "scenes",
            "gvt_data.scenes:Scenes",
            summary="MNIST digits on textured backgrounds: class, boxes, masks; no download",
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
            summary="Pascal VOC segmentation: masks of 20 classes and a background",
        ),
        Component(
            "dataset",
            "voc",
            "gvt_data.boxes.voc:VOC",
            summary="Boxes in Pascal VOC's XML format: the VOC challenge, or your own",
        ),
        Component(
            "dataset",
            "coco",
            "gvt_data.boxes.coco:COCO",
            summary="Boxes and masks in COCO's JSON format: the COCO challenge, or your own",
        ),
        Component(
            "dataset",
            "yolo",
            "gvt_data.boxes.yolo:YOLO",
            summary="Boxes in YOLO's text format, one file for each image",
        ),
        Component(
            "dataset",
            "mixed",
            "gvt_data.mixed:Mixed",
            summary="Several data sets as one, sampled by weight, each labelled for other heads",
        ),
        Component(
            "dataset",
            "imagenet",
            "gvt_data.imagenet:ImageNet",
            summary="ImageNet's 1,000 class names, for pretrained models; and its images, if given",
        ),
        Component(
            "dataset",
            "fashion_mnist",
            "gvt_data.torchvision_sets:FashionMNIST",
            summary="Fashion-MNIST: 70,000 articles of clothing, 28x28 grey; downloadable",
        ),
        Component(
            "dataset",
            "kmnist",
            "gvt_data.torchvision_sets:KMNIST",
            summary="Kuzushiji-MNIST: 70,000 cursive Japanese characters, 28x28 grey; downloadable",
        ),
        Component(
            "dataset",
            "emnist",
            "gvt_data.torchvision_sets:EMNIST",
            summary="EMNIST: handwritten letters and digits in six variants, 28x28; downloadable",
        ),
        Component(
            "dataset",
            "cifar10",
            "gvt_data.torchvision_sets:CIFAR10",
            summary="CIFAR-10: 60,000 photographs of ten classes, 32x32 in colour; downloadable",
        ),
        Component(
            "transform",
            "mosaic",
            "gvt_data.mosaic:Mosaic",
            summary="Training samples composed of four, with their boxes, masks and classes",
        ),
    ]


@hookimpl
def gvt_commands() -> list[click.Command]:
    """Register `gvt data`."""
    from .commands import data

    return [data]


@hookimpl
def gvt_names() -> dict[str, str]:
    """Add the function that makes data sets in code."""
    return {"dataset": "gvt_data.adapted.dataset:dataset"}


@hookimpl
def gvt_adapt_data(data: Any) -> Any:
    """Return a data set of torch, or a list of pairs (image, target), as a data set of gvt."""
    from .adapted.dataset import dataset, is_map_style

    return dataset(data) if is_map_style(data) else None
