"""ImageNet: its names of classes, and its pictures where somebody has them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import torch
from PIL import Image
from pydantic import Field, PositiveInt

from gvt import DataError, PictureReader, Sample
from gvt.vision.pictures import Filter
from gvt_registry import nearest

from .image_folder import ImageFolder

_TWICE = {
    "n02012849": "crane (bird)",
    "n03126707": "crane (machine)",
    "n03710637": "maillot (tights)",
    "n03710721": "maillot (tank suit)",
}
"""Names of classes that another one has as well, with what tells them apart."""


class ImageNet:
    """The 1,000 classes of ImageNet's challenge, with its pictures if there are any.

    Without a folder it has no samples, and says what a network that has learned ImageNet has to
    know to predict: the classes, and how pictures are read. Russakovsky et al. 2015,
    https://arxiv.org/abs/1409.0575.

    Args:
        split: `train` or `val`.
        root: A folder with `train` and `val`, and in these a folder for each class, called as in
            WordNet (ROOT/train/n01440764/1.JPEG); there may be fewer classes than 1,000. ImageNet
            comes from https://www.image-net.org, for research, to who has agreed to its terms.
        size: Height and width of all images in pixels.
        share: Of the shorter side of a picture, the part that fills the image.
        filter: How pictures are resampled.
        on_error: What happens to files that cannot be read, as for the data set image_folder.

    Raises:
        DataError: If the folder is missing, has no pictures in this split, or a folder in it is
            no class of ImageNet's.
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
        self.image_shape = self.reader.image_shape
        synsets, self.classes = _synsets_and_names()
        self._folder: ImageFolder | None = None
        if root is None:
            return
        place = Path(root).expanduser()
        if place.is_dir() and not (place / split).is_dir():
            raise DataError(
                f"data.root: {root!r} has no folder {split}; expected is "
                f"ROOT/{split}/n01440764/1.JPEG"
            )
        self._folder = folder = ImageFolder(split, root, size=size, on_error=on_error)
        folder.reader = self.reader
        number_of = {synset: number for number, synset in enumerate(synsets)}
        if folder.labels is None:
            raise DataError(
                f"data.root: the pictures in {root!r} are in no folders of their classes; expected "
                "is ROOT/train/n01440764/1.JPEG"
            )
        for name in folder.classes:
            if name not in number_of:
                raise DataError(
                    f"data.root: {name!r} in {root!r} is no class of ImageNet's, which are called "
                    f"like n01440764{nearest(name, synsets)}"
                )
        self.labels = [number_of[folder.classes[label]] for label in folder.labels]
        self.fingerprint = folder.fingerprint
        self.files, self.passed_over = folder.files, folder.passed_over

    @staticmethod
    def gvt_example(folder: Path) -> dict[str, str | int]:
        """Write a few pictures of two classes, and return the parameters that read them."""
        for number in range(16):
            synset = ("n01440764", "n02951358")[number % 2]
            path = folder / ("train" if number < 12 else "val") / synset / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.linear_gradient("L").resize((40 + number, 50)).rotate(15 * number).save(path)
        return {"root": str(folder), "size": 32}

    def __len__(self) -> int:
        return 0 if self._folder is None else len(self._folder)

    def __getitem__(self, index: int) -> Sample:
        """Return one picture: image (3, size, size) uint8, and `class` ()."""
        if self._folder is None:
            raise IndexError("ImageNet's pictures are not here; give data.root")
        sample = self._folder[index]
        return replace(sample, targets={"class": torch.tensor(self.labels[index])})


def _synsets_and_names() -> tuple[Sequence[str], Sequence[str]]:
    """Return WordNet's names of the classes, and the first English one of each, in their order."""
    from timm.data import ImageNetInfo

    info = ImageNetInfo()
    synsets = info.label_names()
    names = [_TWICE.get(s) or info.label_name_to_description(s).split(",")[0] for s in synsets]
    return synsets, tuple(names)
