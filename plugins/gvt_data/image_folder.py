"""A folder of one's own pictures, with or without class folders."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, ClassVar, Literal

import torch
from PIL import Image
from torch import Tensor

from gvt import DataError, DataInfo, PassedTo, PathText, Record, Sample
from gvt.printable import printable
from gvt.vision.pictures import SUFFIXES, UnreadablePicture, by_suffix, counted, overlooked

from .broken import threads, without_broken
from .label_list import read_label_list
from .layout import read_layout
from .listing import composed, fingerprint
from .pictures import Pictures
from .splits import SPLITS, check_shares


class ImageFolder:
    """Pictures in a folder; the sub-folders that hold pictures are the classes.

    Folders below a class belong to it. Pictures directly in the folder have no class, and then no
    sub-folder may hold any. If the folder holds `train`, `val` or `test`, these are the splits and
    are laid out like this themselves; `training`, `valid`, `validation`, `dev` and `testing` are
    other names of them, in any case of letters. Pictures are files of the suffixes in
    `gvt.vision.pictures.reading.SUFFIXES`; others are passed over, and a warning counts those that
    may be pictures as well. Hidden files do not count, nor folders that systems keep for
    themselves. Links are followed; a folder that several ways lead to counts once.
    Classes are numbered over all splits. Opening lists the files; they are read when asked for.

    Where pictures have several labels, or none, a list says which, and folders mean nothing.

    Args:
        split: `train`, `val` or `test`.
        root: The folder.
        fit: How a picture meets a size of another shape: `crop` fills it and takes the centre,
            `pad` keeps everything and adds zeros at the right and the bottom, `stretch` gives up
            the proportions. Pictures are resized by Pillow's bilinear filter, with antialiasing.
        channels: 1 for grey, 3 for colour; pictures of any mode become so.
        background: Red, green and blue, 0 to 255, behind what is transparent.
        labels: A CSV file below the root, in UTF-8, with a line `photos/1.jpg,cat,dog` for each
            picture, or a table with a heading and a column of yes and no for each class; see
            `gvt_data.label_list`. Then samples have `labels` and no `class`.
        classes: The class folders to take, in the order of their numbers; all unless given. 5 is
            the folder called 5. Of pictures with a list, the labels to take.
        val: The share of the training pictures that is `val`, where that has no folder. The choice
            depends on the seed and each picture's own name, so the share is met roughly, and no
            picture changes sides when others are added.
        test: The same for `test`.
        split_seed: Another number makes another choice.
        on_error: What happens to files that cannot be read: `error` stops at one when it is
            read; `skip` reads all once at opening, leaves those out and warns of them. It skips
            what is no picture, damaged, or larger than 89 million pixels, but stops where the
            machine fails, as for want of rights or on a broken disk.
        **reading: Those of `Pictures`.

    Attributes:
        files: The pictures' files.
        reader: How they are read.
        tensors: Returns all images (N, C, H, W) uint8, and `class` (N,) if there are class
            folders; raises a DataError if pictures keep their own sizes, or one cannot be read.

    Raises:
        DataError: If the folder is missing, its layout is ambiguous, the split is empty, a
            picture cannot be read, or the list does not fit the pictures.
        ValueError: If a size, share, background or class is impossible.
    """

    splits: ClassVar[tuple[str, ...]] = SPLITS
    tensors: Callable[[], tuple[Tensor, Mapping[str, Tensor]]]

    def __init__(
        self,
        split: str,
        root: str,
        background: tuple[int, int, int] = (255, 255, 255),
        labels: PathText | None = None,
        classes: list[int | str] | None = None,
        val: float = 0.0,
        test: float = 0.0,
        split_seed: int = 0,
        on_error: Literal["error", "skip"] = "error",
        **reading: Annotated[Any, PassedTo(Pictures)],
    ) -> None:
        shares = {"val": val, "test": test}
        check_shares(shares)
        self.split = split
        self.reader = Pictures(**reading).reader(background=background)
        folder = Path(root).expanduser()
        found = _found(folder, split, labels, classes, shares, split_seed)
        pictures = found.pictures
        _warn_of(folder, split, found)
        if on_error == "skip":
            pictures = without_broken(pictures, self._broken, split)
        if not pictures:
            raise DataError(_empty(folder, split, shares))
        self.files = [path for path, _ in pictures]
        self._numbers = [numbers for _, numbers in pictures]
        numbers = [number for numbers in self._numbers for number in numbers]
        if labels is None:
            # Only so is this a gvt.ResidentDataset: labels differ in number, and stay lists.
            self.tensors = self._tensors
        self._several = labels is not None
        self.info = DataInfo(
            tuple(found.classes),
            self.reader.image_shape,
            fingerprint=fingerprint([p.relative_to(folder).as_posix() for p in self.files]),
            reader=self.reader.document(),
            labels=torch.tensor(numbers) if numbers and labels is None else None,
            hint=found.hint,
            passed_over=by_suffix(found.others),
        )
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
        return len(self.files)

    def __getitem__(self, index: int) -> Sample:
        """Return one picture: image (C, H, W) uint8, and `class` () or `labels` (M,) if any."""
        image, record = self._read(index)
        numbers = torch.tensor(self._numbers[index], dtype=torch.int64)
        targets: dict[str, Any] = {}
        if self._several:
            targets = {"labels": numbers}
        elif self.info.labels is not None:
            targets = {"class": numbers[0]}
        return Sample(image, targets, record)

    def _tensors(self) -> tuple[Tensor, Mapping[str, Tensor]]:
        shape, labels = self.info.image_shape, self.info.labels
        if shape is None:
            raise DataError(
                "data.resident: pictures of their own sizes cannot be kept as whole tensors; give "
                "data.size, or data.resident=false"
            )
        images = torch.empty((len(self), *shape), dtype=torch.uint8)
        records = []
        with threads() as pool:
            for index, (image, record) in enumerate(pool.map(self._read, range(len(self)))):
                images[index] = image
                records.append(record)
        self._records = records
        return images, {} if labels is None else {"class": labels}

    def record(self, index: int) -> Record:
        """Return the origin of one picture."""
        return self._records[index] if self._records else self._read(index)[1]

    def _read(self, index: int) -> tuple[Tensor, Record]:
        return self.reader.read(self.files[index])

    def _broken(self, picture: tuple[Path, Any]) -> Path | None:
        """Return the picture's file if it cannot be read."""
        try:
            self.reader.open(picture[0])
        except UnreadablePicture:
            return picture[0]
        return None


@dataclass(frozen=True)
class _Found:
    """What a split of a folder has.

    Attributes:
        classes: The classes that are taken, in the order of their numbers.
        pictures: The split's files, each with the numbers of its classes.
        others: Its files that are passed over, relative to the folder.
        empty: Folders without a picture, where some are expected.
        hint: What to do if one class is too few.
    """

    classes: Sequence[str]
    pictures: list[tuple[Path, tuple[int, ...]]]
    others: Sequence[PurePosixPath]
    empty: Sequence[PurePosixPath] = ()
    hint: str = ""


def _found(
    folder: Path,
    split: str,
    labels: str | None,
    wanted: Sequence[int | str] | None,
    shares: Mapping[str, float],
    seed: int,
) -> _Found:
    """Return what a split has, by the names of folders or by a list."""
    if labels is None:
        layout = read_layout(folder, shares, seed, by_name=wanted is not None)
        classes = _chosen(wanted, layout.classes)
        by_name = {name: (number,) for number, name in enumerate(classes)}
        pictures = [
            (path, () if of is None else by_name[of])
            for path, of in layout.pictures[split]
            if of is None or of in by_name
        ]
        empty = layout.empty if wanted is None and split == "train" else ()
        hint = layout.hint if wanted is None else ""
        return _Found(classes, pictures, layout.others.get(split, ()), empty, hint)
    listed = read_label_list(folder, labels, shares, seed, by_name=wanted is not None)
    classes = _chosen(wanted, listed.classes)
    return _Found(
        classes,
        [
            (path, tuple(classes.index(name) for name in names if name in classes))
            for path, names in listed.pictures[split]
        ],
        listed.others.get(split, ()),
    )


def _warn_of(folder: Path, split: str, found: _Found) -> None:
    """Warn of folders without pictures, and of files that may be pictures and are not read."""
    if found.empty:
        names = printable(", ".join(map(str, found.empty)))
        warnings.warn(
            f"data.root: {str(folder)!r} has folders without pictures, which become neither "
            f"classes nor splits: {names}",
            stacklevel=4,
        )
    if passed_over := overlooked(folder, found.others):
        warnings.warn(
            f"data.root: split {split} of {str(folder)!r}: passed over: {counted(passed_over)}; "
            f"read are {' '.join(sorted(SUFFIXES))}",
            stacklevel=4,
        )


def _chosen(wanted: Sequence[int | str] | None, there: Sequence[str]) -> tuple[str, ...]:
    """Return the classes that are taken, in their order."""
    if wanted is None:
        return tuple(there)
    names = tuple(composed(str(name)) for name in wanted)  # a folder's name may be a number
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
