"""ImageNet: the names of its classes, and its images if they are available."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import torch
from PIL import Image
from pydantic import Field, PositiveInt

from gvt import DataError, DataInfo, PictureReader, Sample
from gvt.vision.pictures import Filter
from gvt_registry import nearest

from .image_folder import ImageFolder

_TWICE = {
    "n02012849": "crane (bird)",
    "n03126707": "crane (machine)",
    "n03710637": "maillot (tights)",
    "n03710721": "maillot (tank suit)",
}
"""Distinct names for classes whose first names in WordNet are equal."""


class ImageNet:
    """The 1,000 classes of the ImageNet challenge, with its images if a folder is given.

    Without a folder there are no samples, only the information that a model pretrained on ImageNet
    needs for prediction: the classes, and how images are read. Russakovsky et al. 2015,
    https://arxiv.org/abs/1409.0575.

    Args:
        split: `train` or `val`.
        root: Folder with `train` and `val`, each with a folder for each class, named as in WordNet
            (ROOT/train/n01440764/1.JPEG); a subset of the 1,000 classes is enough. ImageNet is
            available from https://www.image-net.org for research, under its terms.
        size: Height and width of all images in pixels.
        share: Share of the shorter side of an image that is kept by the central crop.
        filter: Resampling filter.
        on_error: Treatment of unreadable files, as for the data set image_folder.

    Raises:
        DataError: If the folder is missing, has no images in this split, or has a folder that is
            not a class of ImageNet.
    """

    splits: ClassVar[tuple[str, ...]] = ("train", "val")

    def __init__(
        self,
        split: str,
        root: str | None = None,
        size: PositiveInt = 224,
        share: Annotated[float, Field(gt=0, le=1)] = 0.875,
        filter: Filter = "bicubic",
        on_error: Literal["error", "skip"] = "error",
    ) -> None:
        self.reader = PictureReader(3, (size, size), "crop", filter=filter, share=share)
        synsets, classes = _synsets_and_names()
        document = self.reader.document()
        self.info = DataInfo(classes, self.reader.image_shape, reader=document)
        self._folder: ImageFolder | None = None
        if root is None:
            return
        place = Path(root).expanduser()
        if place.is_dir() and not (place / split).is_dir():
            raise DataError(
                f"data.root: {root!r} has no folder {split}; expected: "
                f"ROOT/{split}/n01440764/1.JPEG"
            )
        self._folder = folder = ImageFolder(split, root, size=size, on_error=on_error)
        folder.reader = self.reader
        index_of = {synset: index for index, synset in enumerate(synsets)}
        info, labels = folder.info, folder.info.labels
        if labels is None:
            raise DataError(
                f"data.root: the images in {root!r} are not in folders of classes; expected: "
                "ROOT/train/n01440764/1.JPEG"
            )
        for name in info.classes:
            if name not in index_of:
                raise DataError(
                    f"data.root: {name!r} in {root!r} is not a class of ImageNet; the folders are "
                    f"named like n01440764{nearest(name, synsets)}"
                )
        self._labels = torch.tensor([index_of[name] for name in info.classes])[labels]
        self.info = replace(info, classes=classes, reader=document, labels=self._labels, hint="")
        self.files = folder.files

    @staticmethod
    def gvt_example(folder: Path) -> dict[str, str | int]:
        """Write a few images of two classes, and return the parameters that read them."""
        for number in range(16):
            synset = ("n01440764", "n02951358")[number % 2]
            path = folder / ("train" if number < 12 else "val") / synset / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.linear_gradient("L").resize((40 + number, 50)).rotate(15 * number).save(path)
        return {"root": str(folder), "size": 32}

    def __len__(self) -> int:
        return 0 if self._folder is None else len(self._folder)

    def __getitem__(self, index: int) -> Sample:
        """Return one image (3, size, size) uint8, with `class` ()."""
        if self._folder is None:
            raise IndexError("ImageNet has no images without a folder; give data.root")
        sample = self._folder[index]
        return replace(sample, targets={"class": self._labels[index]})


def _synsets_and_names() -> tuple[Sequence[str], tuple[str, ...]]:
    """Return the WordNet IDs of the classes in order, and the first English name of each."""
    from timm.data import ImageNetInfo

    info = ImageNetInfo()
    synsets = info.label_names()
    names = [_TWICE.get(s) or info.label_name_to_description(s).split(",")[0] for s in synsets]
    return synsets, tuple(names)
