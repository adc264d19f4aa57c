"""A folder of one's own images and masks."""

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
"""A share, a file that lists pictures, or the pictures themselves."""


class MaskFolder(MaskSet):
    """Images and their masks, paired by their names without suffix.

    ROOT/images/1.jpg goes with ROOT/masks/1.png, and both may have folders below them. If ROOT
    has folders of splits (`train`, `val` or `test`, or others of their usual names such as
    `Training`, `valid` or `testing`) with such folders in them, or there are folders of these
    names below both, these are the splits; so they are if the folders are beside each other, as
    in ROOT/train and ROOT/trainannot. Otherwise the splits are lists, or shares of the pictures.

    A mask is grey (8 or 16 bits, or black and white) or of a palette, and the value of a pixel,
    in a palette its index (in a GIF's palette of greys the grey), says its class. Where the classes
    are given as colours, the colours count, also those of a palette. PNG, TIFF, BMP, GIF, PPM and
    PGM are taken; JPEG and WebP, which may change values, are not. Opening compares the files'
    sizes; `gvt data check` reads everything.

    255 is a value like any other. Where it is beside other values, it has to be given as a class,
    as `background` or as `ignore`; only where all masks of all splits are black and white, with 0
    and 255 and nothing else, it is the second of two classes.

    Args:
        split: `train`, `val` or `test`.
        root: The folder.
        images: The folder of images; `images` or `image` unless given. With `{split}` in it there
            is one for each split, as in `{split}/photos`; `{split}` is any of a split's usual
            names.
        masks: The folder of masks; `masks`, `mask`, `labels` or `label` unless given. With
            `{split}` in it there is one for each split, as in `{split}annot`.
        mask_ending: What masks' names have behind their images', such as `_mask`.
        classes: The names of the values from 0 on; or a value, or a colour such as '#ff8000' or
            [255, 128, 0], for each name. Unless given, every value that is found in a mask is a
            class, and all masks are read to find them. Two names are also those of black and
            white masks: 255 is then the second.
        background: The value or colour of pixels of no class.
        ignore: That of pixels that count nowhere.
        size: Height and width in pixels of all images, or both in one number; each picture keeps
            its own unless given. Masks are brought to it by their nearest pixels.
        fit: How a picture meets a size of another shape: `crop`, `pad` or `stretch`; see
            image_folder. What `pad` adds counts nowhere.
        channels: 1 for grey, 3 for colour; pictures of any mode become so, white behind what is
            transparent.
        tile: Pictures that are larger on a side are cut into a grid of tiles of so many pixels a
            side, each a sample of its own; the last ones overlap those before them, and outside
            of `train` each pixel counts once. Pictures may then have 1,074 million pixels.
        train: A text file below the root that lists pictures, a name without suffix on each line,
            or the names themselves, as in [a, b, 7]; a number is the name with that value. Unless
            given, all that are not in `val` or `test`.
        val: The same, or a share of the training pictures, where there is no folder `val`. The
            choice depends on the seed and each picture's own name, so the share is met roughly,
            and no picture changes sides when others are added.
        test: The same for `test`.
        split_seed: Another number makes another choice.
        on_error: What happens to pairs that are broken: `error` stops at one; `skip` reads all
            once at opening, leaves those out and warns of them. Broken is a picture that cannot
            be read or has no mask, a mask of another size, or one with a value of no class.
        about: What is said where the folder is absent: source, licence, layout.
        mask_beginning: What masks' names have before their images', such as `mask_`.
        page: Which picture of images and masks that hold several (TIFF, GIF), from 1; the first
            unless given.
        **pictures: Those of `Pictures`.

    Raises:
        DataError: If a folder is missing, images and masks do not go together, a file cannot be
            read, or the split is empty.
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
        found = pairs_below(folder, Folders(images, masks), naming)
        parts = _parted(folder, found, {"train": train, "val": val, "test": test}, split_seed)
        most = None if tile is None else MOST_PIXELS

        def tally() -> Tally:
            masks = [p.mask for pairs in found.values() for p in pairs if p.mask is not None]
            # Where classes are named, a mask that cannot be read is an error when it is used.
            white_bit, lenient = (WHITE, on_error == "skip") if classes is None else (1, True)
            return surveyed(masks, most, white_bit, settings.page, lenient=lenient)

        meaning = mask_values(classes, background, ignore, tally)
        pairs = parts[split]
        mask_reader = MaskReader(meaning, most, settings.page)
        super().__init__(split, pairs, reader, mask_reader, tile, on_error)
        if not len(self):
            raise DataError(_empty(folder, split))

    @staticmethod
    def gvt_example(folder: Path) -> dict[str, object]:
        """Write pictures of discs with their masks, and return the parameters that read them."""
        for name in ("images", "masks"):
            (folder / name).mkdir()
        y, x = np.mgrid[:40, :48]
        for number in range(12):
            mask = ((y - 20) ** 2 + (x - 10 - 2 * number) ** 2 < 90).astype(np.uint8)
            noise = np.random.default_rng(number).integers(0, 100, (40, 48, 3), np.uint8)
            Image.fromarray(noise + 150 * mask[..., None]).save(folder / f"images/{number}.png")
            Image.fromarray(mask).save(folder / f"masks/{number}.png")
        return {"root": str(folder), "classes": ["ground", "disc"], "size": 32, "val": 0.3}


def _parted(
    root: Path,
    found: Mapping[str, Sequence[Pair]],
    wanted: Mapping[str, Held | None],
    seed: int,
) -> dict[str, list[Pair]]:
    """Return the pairs of every split: those listed, of the rest shares, and what is left."""
    shares = {split: it for split, it in wanted.items() if isinstance(it, int | float)}
    check_shares(shares)
    pool = {own_name(pair.name).as_posix(): pair for pair in found.get("train", ())}
    lists: dict[str, dict[str, Pair]] = {}
    for split, it in wanted.items():
        if isinstance(it, str | list):
            if split != "train" and split in found:
                raise ValueError(f"{split}: there is a folder {split}, and a list; give one")
            lists[split] = picked(pool, listed(root, split, it))
    for one, other in combinations(lists, 2):
        if both := sorted(lists[one].keys() & lists[other].keys()):
            raise DataError(f"data: {printable(both[0])} is in {one} and in {other}")
    held = {name for split, names in lists.items() if split != "train" for name in names}
    left = {name: pair for name, pair in lists.get("train", pool).items() if name not in held}
    parts = divided({**found, "train": [*left.values()]}, shares, seed, lambda pair: pair.name)
    return parts | {split: [*names.values()] for split, names in lists.items() if split != "train"}


def _empty(folder: Path, split: str) -> str:
    """Return what to say of a split without pictures."""
    return (
        f"data.root: split {split} of {str(folder)!r} has no pictures; put some into "
        f"{str(folder / split)!r}, or give data.{split} a list of them"
        + ("" if split == "train" else " or a share")
    )
