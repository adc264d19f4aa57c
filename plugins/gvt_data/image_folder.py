"""A folder of one's own pictures, with or without class folders."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from typing import ClassVar, Literal

import torch
from PIL import Image
from torch import Tensor

from gvt import DataError, PictureReader, Record, Sample
from gvt.pictures.fitting import Fit
from gvt.pictures.reading import UnreadablePicture
from gvt.printable import printable

from .layout import SPLITS, read_layout

_NAMED = 3
"""How many of the files that cannot be read are named."""


class ImageFolder:
    """Pictures in a folder; the sub-folders that hold pictures are the classes.

    Folders below a class belong to it. Pictures directly in the folder have no class, and then no
    sub-folder may hold any. If the folder holds `train`, `val` or `test`, these are the splits and
    are laid out like this themselves. Hidden files and those that are no pictures are passed over.
    Links are followed; a folder that several ways lead to counts once.
    Classes are numbered over all splits. Opening lists the files; they are read when asked for.

    Args:
        split: `train`, `val` or `test`.
        root: The folder.
        size: Height and width in pixels of all images, or both in one number; each picture keeps
            its own unless given.
        fit: How a picture meets a size of another shape: `crop` fills it and takes the centre,
            `pad` keeps everything and adds zeros at the right and the bottom, `stretch` gives up
            the proportions. Pictures are resized by Pillow's bilinear filter, with antialiasing.
        channels: 1 for grey, 3 for colour; pictures of any mode become so.
        background: Red, green and blue, 0 to 255, behind what is transparent.
        classes: The class folders to take, in the order of their numbers; all unless given. 5 is
            the folder called 5.
        val: The share of the training pictures that is `val`, where that has no folder. The choice
            depends on the seed and each picture's own name, so the share is met roughly, and no
            picture changes sides when others are added.
        test: The same for `test`.
        split_seed: Another number makes another choice.
        on_error: What happens to files that cannot be read: `error` stops at one when it is
            read; `skip` reads all once at opening, leaves those out and warns of them. It skips
            what is no picture, damaged, or larger than 89 million pixels, but stops where the
            machine fails, as for want of rights or on a broken disk.

    Raises:
        DataError: If the folder is missing, its layout is ambiguous, the split is empty, or a
            picture cannot be read.
        ValueError: If a size, share, background or class is impossible.
    """

    splits: ClassVar[tuple[str, ...]] = SPLITS

    def __init__(
        self,
        split: str,
        root: str,
        size: int | tuple[int, int] | None = None,
        fit: Fit = "crop",
        channels: Literal[1, 3] = 3,
        background: tuple[int, int, int] = (255, 255, 255),
        classes: list[int | str] | None = None,
        val: float = 0.0,
        test: float = 0.0,
        split_seed: int = 0,
        on_error: Literal["error", "skip"] = "error",
    ) -> None:
        _check_shares(val, test)
        self.split = split
        size = (size, size) if isinstance(size, int) else size
        self.reader = PictureReader(channels, size, fit, background)
        self.image_shape = self.reader.image_shape
        folder = Path(root).expanduser()
        layout = read_layout(folder, {"val": val, "test": test}, split_seed)
        self.classes: Sequence[str] = _chosen(classes, layout.classes)
        numbers = {name: number for number, name in enumerate(self.classes)}
        pictures = [(p, of) for p, of in layout.pictures[split] if of is None or of in numbers]
        if on_error == "skip":
            pictures = self._readable(pictures)
        if not pictures:
            raise DataError(_empty(folder, split, {"val": val, "test": test}))
        self._paths = [path for path, _ in pictures]
        self._labels = [numbers[of] for _, of in pictures if of is not None]
        self.fingerprint = _fingerprint([path.relative_to(folder) for path in self._paths])
        self._records: list[Record] = []

    @staticmethod
    def gvt_example(folder: Path) -> dict[str, str]:
        """Write two classes of small pictures, and return the parameters that read them."""
        for number in range(24):
            picture = Image.linear_gradient("L").resize((20 + number, 30)).rotate(15 * number)
            path = folder / ("even" if number % 2 == 0 else "odd") / f"{number}.png"
            path.parent.mkdir(exist_ok=True)
            picture.save(path)
        return {"root": str(folder)}

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, index: int) -> Sample:
        """Return one picture: image (C, H, W) uint8, target `class` if there are class folders."""
        image, record = self._read(index)
        targets = {"class": torch.tensor(self._labels[index])} if self._labels else {}
        return Sample(image, targets, record)

    def tensors(self) -> tuple[Tensor, Mapping[str, Tensor]]:
        """Return all images (N, C, H, W) uint8, and `class` (N,) if there are class folders.

        Raises:
            DataError: If pictures keep their own sizes, or one cannot be read.
        """
        if self.image_shape is None:
            raise DataError(
                "data.resident: pictures of their own sizes cannot be kept as whole tensors; give "
                "data.size, or data.resident=false"
            )
        images = torch.empty((len(self), *self.image_shape), dtype=torch.uint8)
        records = []
        with _threads() as pool:
            for index, (image, record) in enumerate(pool.map(self._read, range(len(self)))):
                images[index] = image
                records.append(record)
        self._records = records
        return images, {"class": torch.tensor(self._labels)} if self._labels else {}

    def record(self, index: int) -> Record:
        """Return the origin of one picture."""
        return self._records[index] if self._records else self._read(index)[1]

    def _read(self, index: int) -> tuple[Tensor, Record]:
        return self.reader.read(self._paths[index])

    def _readable(
        self, pictures: Sequence[tuple[Path, str | None]]
    ) -> list[tuple[Path, str | None]]:
        """Return the pictures that can be read, and warn of the others."""

        def is_readable(picture: tuple[Path, str | None]) -> bool:
            try:
                self.reader.open(picture[0])
            except UnreadablePicture:
                return False
            return True

        with _threads() as pool:
            readable = list(pool.map(is_readable, pictures))
        broken = [printable(p) for (p, _), fine in zip(pictures, readable, strict=True) if not fine]
        if broken:
            more = f" and {len(broken) - _NAMED} more" if len(broken) > _NAMED else ""
            warnings.warn(
                f"{len(broken)} of {len(pictures)} pictures of split {self.split} cannot be read "
                f"and are left out: {', '.join(broken[:_NAMED])}{more}",
                stacklevel=3,
            )
        return [picture for picture, fine in zip(pictures, readable, strict=True) if fine]


def _fingerprint(names: Sequence[Path]) -> str:
    """Return a short text that changes when a picture comes, goes or is renamed."""
    lines = "".join(f"{name.as_posix()}\n" for name in names)
    return sha256(os.fsencode(lines)).hexdigest()[:16]


def _threads() -> ThreadPoolExecutor:
    """Return a pool for reading pictures: Pillow decodes without holding Python's lock."""
    return ThreadPoolExecutor(os.cpu_count())


def _check_shares(val: float, test: float) -> None:
    if not (val >= 0 and test >= 0 and val + test < 1):
        raise ValueError(f"val {val} and test {test}: shares from 0, together less than 1")


def _chosen(wanted: Sequence[int | str] | None, there: Sequence[str]) -> tuple[str, ...]:
    """Return the classes that are taken, in their order."""
    if wanted is None:
        return tuple(there)
    names = tuple(str(name) for name in wanted)  # a folder's name may be a number
    if not names or len(set(names)) != len(names) or not set(names) <= set(there):
        known = printable(", ".join(there))
        raise ValueError(
            f"classes {list(wanted)}: give class folders, each once; there "
            + (f"are {known}" if there else "are none, only pictures without class")
        )
    return names


def _empty(folder: Path, split: str, shares: Mapping[str, float]) -> str:
    """Return what to say of a split without pictures."""
    share = (
        f", or raise its share of the training pictures, data.{split}, which is {shares[split]}"
        if split in shares
        else ""
    )
    return (
        f"data.root: split {split} of {str(folder)!r} has no pictures; put some into "
        f"{str(folder / split)!r}{share}"
    )
