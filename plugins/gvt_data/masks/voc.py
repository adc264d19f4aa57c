"""Pascal VOC's images with segmentation masks."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from PIL import Image
from pydantic import Field, PositiveInt

from gvt import DataError, PictureReader
from gvt.printable import printable
from gvt.vision.pictures import SUFFIXES, Fit

from ..splits import check_shares, divided
from ..voc_lists import files_by_name, split_lists
from .file import MaskReader
from .mask_set import MOST_PIXELS, MaskSet
from .pairs import Pair
from .tally import Tally
from .values import mask_values

CLASSES = (
    *("aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow"),
    *("diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa"),
    *("train", "tvmonitor"),
)

ABOUT = (
    "VOC2012 is at http://host.robots.ox.ac.uk/pascal/VOC/voc2012/ (photographs from Flickr under "
    "its terms of use), laid out as VOCdevkit/VOC2012 with JPEGImages/NAME.jpg, "
    "SegmentationClass/NAME.png and ImageSets/Segmentation/train.txt"
)

_LISTS = Path("ImageSets/Segmentation")


class VOCSegmentation(MaskSet):
    """Pascal VOC's photographs with 20 classes and a background; object borders are ignored.

    M. Everingham and others (2010), The Pascal Visual Object Classes (VOC) Challenge,
    https://doi.org/10.1007/s11263-009-0275-4. Masks are palette PNGs with the background as 0, the
    classes as 1 to 20 and the ignored borders as 255. The class indices of the data set begin at
    0, and the background is 20.

    Args:
        split: `train`, `val` or `test`.
        root: Folder with JPEGImages, SegmentationClass and ImageSets, or a folder above it with
            VOCdevkit/VOC2012 or another year.
        train: List of the training images: `train`, `trainval`, or the name of another list in
            ImageSets/Segmentation. If there is no list `train`, the default is `trainval` or the
            only other list, without the images in the lists of other splits.
        size: Height and width in pixels of all images, or one number for both; by default each
            image keeps its size.
        fit: How an image fits a size of another shape: `crop`, `pad` or `stretch`.
        channels: 1 for grey, 3 for colour.
        tile: Side in pixels of the tiles into which larger images are cut.
        val: Share of the training images for `val`, if it has no list. The choice depends on the
            seed and the name of each image.
        test: The same for `test`.
        split_seed: Seed of the choice.
        on_error: Treatment of broken pairs: `error` stops at the first; `skip` reads all pairs on
            opening, and leaves the broken ones out with a warning.

    Raises:
        DataError: If the folder or the list of the split is missing, or files are missing or
            broken.
        ValueError: If a size or a share is impossible.
    """

    def __init__(
        self,
        split: str,
        root: str,
        train: str = "train",
        size: int | tuple[int, int] | None = None,
        fit: Fit = "crop",
        channels: Literal[1, 3] = 3,
        tile: PositiveInt | None = None,
        val: Annotated[float, Field(ge=0, lt=1)] = 0.2,
        test: Annotated[float, Field(ge=0, lt=1)] = 0.0,
        split_seed: int = 0,
        on_error: Literal["error", "skip"] = "error",
    ) -> None:
        shares = {"val": val, "test": test}
        check_shares(shares)
        folder = _folder(Path(root).expanduser())
        pairs = _pairs(folder, split, train, shares, split_seed)
        values = mask_values({n: i for i, n in enumerate(CLASSES, 1)}, 0, 255, Tally)
        masks = MaskReader(values, None if tile is None else MOST_PIXELS)
        reader = PictureReader(channels, (size, size) if isinstance(size, int) else size, fit)
        super().__init__(split, pairs, reader, masks, tile, on_error)

    @staticmethod
    def gvt_example(folder: Path) -> dict[str, str]:
        """Write a few images in VOC's layout, and return the parameters that read them."""
        for name in ("JPEGImages", "SegmentationClass", _LISTS):
            (folder / name).mkdir(parents=True)
        for number in range(8):
            mask = np.zeros((30, 40), np.uint8)
            mask[5:20, 4 * number : 4 * number + 12] = 1 + 2 * number
            mask[5, 4 * number : 4 * number + 12] = 255
            Image.fromarray(mask * 8).save(folder / f"JPEGImages/{number}.jpg")
            palette = Image.fromarray(mask).convert("P")
            palette.putdata(mask.flatten().tolist())
            palette.save(folder / f"SegmentationClass/{number}.png")
        for split, part in (("train", range(5)), ("val", range(5, 8))):
            text = "".join(f"{number}\n" for number in part)
            (folder / _LISTS / f"{split}.txt").write_text(text, encoding="utf-8")
        return {"root": str(folder)}


def _folder(root: Path) -> Path:
    """Return the folder of the data set: the root, or a folder below."""
    if (root / "JPEGImages").is_dir():
        return root
    folders = sorted(p for p in root.glob("VOC*/**/") if (p / "JPEGImages").is_dir())
    if len(folders) == 1:
        return folders[0]
    if folders:
        years = ", ".join(printable(path) for path in folders)
        raise DataError(f"data.root: {str(root)!r} has several years: {years}; give one of them")
    raise DataError(f"data.root: there is no Pascal VOC in {str(root)!r}; {ABOUT}")


def _pairs(
    folder: Path, split: str, train: str, shares: Mapping[str, float], seed: int
) -> list[Pair]:
    """Return the pairs of a split, from its list or its share."""
    lists = split_lists(folder, _LISTS, split, train)
    if lists is None:
        raise DataError(f"data.root: {printable(folder / _LISTS)} has no lists of splits; {ABOUT}")
    images, masks = folder / "JPEGImages", folder / "SegmentationClass"
    image_of, mask_of = files_by_name(images, SUFFIXES), files_by_name(masks, {".png"})
    by_split = {
        part: [
            Pair(
                name,
                image_of.get(name),
                mask_of.get(name),
                printable(masks / f"{name}.png" if name in image_of else images / f"{name}.jpg"),
            )
            for name in names
        ]
        for part, names in lists.names(image_of).items()
    }
    pairs = divided(by_split, shares, seed, lambda pair: pair.name)[split]
    if not pairs:
        raise lists.missing(split)
    return pairs
