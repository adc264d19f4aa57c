"""Data set of your own images and masks in a folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from PIL import Image
from pydantic import Field, PositiveInt

from gvt import DataError, PassedTo, PathText
from gvt.printable import printable

from ..pictures import Pictures
from ..splits import check_shares, divided, listed, own_name, picked
from .file import MaskReader
from .layout import EXPECTED, Folders
from .mask_set import MOST_PIXELS, MaskSet
from .pairs import Naming, Pair, pairs_below
from .survey import surveyed
from .tally import Tally
from .values import WHITE, Given, mask_values

Held = Annotated[float, Field(ge=0, lt=1)] | str | list[int | str]
"""A share, a text file that lists images, or the names of the images."""


class MaskFolder(MaskSet):
    """Images and their masks, paired by their names without suffix.

    ROOT/images/1.jpg is paired with ROOT/masks/1.png; both folders may have subfolders. The splits
    are folders if ROOT has folders `train`, `val` or `test` (or another usual name such as
    `Training`, `valid` or `testing`) with such folders in them, if the folders of images and masks
    have folders of these names, or if the folders are side by side, as in ROOT/train and
    ROOT/trainannot. Otherwise the splits are lists, or shares of the images.

    A mask is grey (8 or 16 bits, or black and white) or has a palette. The value of a pixel gives
    its class. With a palette, the value is the index; in a GIF with a palette of greys, it is the
    grey. If the classes are colours, the colour gives the class, also with a palette.
    Masks are PNG, TIFF, BMP, GIF, PPM or PGM files; JPEG and WebP may change values and are
    rejected. Opening compares the sizes of the files; `gvt data check` reads everything.

    255 is an ordinary value. If it occurs with other values, it has to be a class, `background` or
    `ignore`. The only exception is a data set in which all masks of all splits are black and white,
    with 0 and 255 alone: then 255 is the second of two classes.

    Args:
        split: `train`, `val` or `test`.
        root: Root folder.
        images: Folder of images; `images` or `image` by default. With `{split}` there is one for
            each split, as in `{split}/photos`; `{split}` is any usual name of a split.
        masks: Folder of masks; `masks`, `mask`, `labels` or `label` by default. With `{split}`
            there is one for each split, as in `{split}annot`.
        mask_ending: Text after the image's name in the name of a mask, such as `_mask`.
        classes: Names of the values from 0 on; or a value, or a colour such as '#ff8000' or
            [255, 128, 0], for each name. By default every value in the masks is a class, and all
            masks are read to find them. Two names also fit black and white masks, in which 255 is
            the second class.
        background: Value or colour of the background.
        ignore: Value or colour of pixels that are ignored.
        size: Height and width in pixels of all images, or one number for both; by default each
            image keeps its size. Masks are resized by nearest neighbour.
        fit: How an image fits a size of another shape: `crop`, `pad` or `stretch`; see
            image_folder. The padding is ignored.
        channels: 1 for grey, 3 for colour; images of any mode are converted, transparent pixels on
            white.
        tile: Side in pixels of the tiles into which larger images are cut. Each tile is a sample.
            The last tiles of a row or column overlap the ones before, and outside `train` each
            pixel counts once. Images may then have 1,074 million pixels.
        train: Text file below the root that lists images, one name without suffix per line, or the
            names themselves, as in [a, b, 7]; a number is the name with that value. By default,
            all images that are not in `val` or `test`.
        val: List as for `train`, or a share of the training images, if there is no folder `val`.
            The choice depends on the seed and the name of each image: the share is approximate,
            and adding images moves no image to another split.
        test: The same for `test`.
        split_seed: Seed of the choice.
        on_error: Treatment of broken pairs: `error` stops at the first; `skip` reads all pairs on
            opening, and leaves the broken ones out with a warning. A pair is broken if the image
            cannot be read or has no mask, or if the mask has another size or a value that is not a
            class.
        about: Source, licence and layout, for the error if the folder is missing.
        mask_beginning: Text before the image's name in the name of a mask, such as `mask_`.
        page: Page of multi-page images and masks (TIFF, GIF), from 1; the first by default.
        **pictures: Parameters of `Pictures`.

    Raises:
        DataError: If a folder is missing, images and masks do not match, a file cannot be read, or
            the split is empty.
        ValueError: If a size, share, class or colour is impossible.
    """

    def __init__(
        self,
        split: str,
        root: str,
        images: PathText | None = None,
        masks: PathText | None = None,
        mask_ending: str = "",
        classes: list[str | int] | dict[str, Given] | None = None,
        background: Given | None = None,
        ignore: Given | None = None,
        tile: PositiveInt | None = None,
        train: str | list[int | str] | None = None,
        val: Held = 0.0,
        test: Held = 0.0,
        split_seed: int = 0,
        on_error: Literal["error", "skip"] = "error",
        about: str = "",
        mask_beginning: str = "",
        **pictures: Annotated[Any, PassedTo(Pictures)],
    ) -> None:
        folder = Path(root).expanduser()
        settings = Pictures(**pictures)
        reader = settings.reader()
        if not folder.is_dir():
            raise DataError(f"data.root: there is no folder {str(folder)!r}; {about or EXPECTED}")
        naming = Naming(mask_beginning, mask_ending)
        by_folder = pairs_below(folder, Folders(images, masks), naming)
        by_split = _by_split(
            folder, by_folder, {"train": train, "val": val, "test": test}, split_seed
        )
        most_pixels = None if tile is None else MOST_PIXELS

        def tally() -> Tally:
            paths = [p.mask for pairs in by_folder.values() for p in pairs if p.mask is not None]
            # If classes are named, an unreadable mask is an error only when it is used.
            white_bit, lenient = (WHITE, on_error == "skip") if classes is None else (1, True)
            return surveyed(paths, most_pixels, white_bit, settings.page, lenient=lenient)

        values = mask_values(classes, background, ignore, tally)
        mask_reader = MaskReader(values, most_pixels, settings.page)
        super().__init__(split, by_split[split], reader, mask_reader, tile, on_error)
        if not len(self):
            raise DataError(_empty(folder, split))

    @staticmethod
    def gvt_example(folder: Path) -> dict[str, object]:
        """Write images of discs with their masks, and return the parameters that read them."""
        for name in ("images", "masks"):
            (folder / name).mkdir()
        y, x = np.mgrid[:40, :48]
        for number in range(12):
            mask = ((y - 20) ** 2 + (x - 10 - 2 * number) ** 2 < 90).astype(np.uint8)
            noise = np.random.default_rng(number).integers(0, 100, (40, 48, 3), np.uint8)
            Image.fromarray(noise + 150 * mask[..., None]).save(folder / f"images/{number}.png")
            Image.fromarray(mask).save(folder / f"masks/{number}.png")
        return {"root": str(folder), "classes": ["ground", "disc"], "size": 32, "val": 0.3}


def _by_split(
    root: Path,
    by_folder: Mapping[str, Sequence[Pair]],
    parameters: Mapping[str, Held | None],
    seed: int,
) -> dict[str, list[Pair]]:
    """Return the pairs of every split, by folders, lists and shares."""
    shares = {split: p for split, p in parameters.items() if isinstance(p, int | float)}
    check_shares(shares)
    pool = {own_name(pair.name).as_posix(): pair for pair in by_folder.get("train", ())}
    lists: dict[str, dict[str, Pair]] = {}
    for split, parameter in parameters.items():
        if isinstance(parameter, str | list):
            if split != "train" and split in by_folder:
                raise ValueError(f"{split}: there is both a folder {split} and a list; give one")
            lists[split] = picked(pool, listed(root, split, parameter))
    for first, second in combinations(lists, 2):
        if both := sorted(lists[first].keys() & lists[second].keys()):
            raise DataError(f"data: {printable(both[0])} is in both {first} and {second}")
    held_out = {split: pairs for split, pairs in lists.items() if split != "train"}
    names = {name for pairs in held_out.values() for name in pairs}
    train = [pair for name, pair in lists.get("train", pool).items() if name not in names]
    by_split = divided({**by_folder, "train": train}, shares, seed, lambda pair: pair.name)
    return by_split | {split: [*pairs.values()] for split, pairs in held_out.items()}


def _empty(folder: Path, split: str) -> str:
    """Return the message for a split without images."""
    return (
        f"data.root: split {split} of {str(folder)!r} has no images; put some into "
        f"{str(folder / split)!r}, or give data.{split} a list of images"
        + ("" if split == "train" else " or a share")
    )
