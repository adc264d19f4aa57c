"""Data set of your own images in a folder, with or without classes."""

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
    """Images in a folder; the subfolders with images are the classes.

    Folders below a class belong to it. If images are directly in the folder, they have no class,
    and no subfolder may have images. Folders `train`, `val` or `test` are the splits, each with
    this layout; `training`, `valid`, `validation`, `dev` and `testing` are aliases, in upper or
    lower case. Images are files with a suffix in `gvt.vision.pictures.reading.SUFFIXES`. Other
    files are left out, and a warning counts those that may be images. Hidden files and system
    folders are left out. Links are followed; a folder that is reached several times counts once.
    Classes are indexed over all splits. Opening lists the files; each is read on access.

    If images have several labels, or none, a list gives them, and folders are not classes.

    Args:
        split: `train`, `val` or `test`.
        root: Root folder.
        fit: How an image fits a size of another shape: `crop` fills it and keeps the centre, `pad`
            keeps the whole image and adds zeros on the right and at the bottom, `stretch` changes
            the aspect ratio. Images are resized by Pillow's bilinear filter, with antialiasing.
        channels: 1 for grey, 3 for colour; images of any mode are converted.
        background: Red, green and blue, 0 to 255, behind transparent pixels.
        labels: CSV file below the root, in UTF-8, with a line `photos/1.jpg,cat,dog` for each
            image, or a table with a heading and a column of yes and no for each class; see
            `gvt_data.label_list`. Samples then have `labels` and no `class`.
        classes: Class folders to use, in the order of their indices; all by default. 5 is the
            folder named 5. With a list, the labels to use.
        val: Share of the training images for `val`, if it has no folder. The choice depends on the
            seed and the name of each image: the share is approximate, and adding images moves no
            image to another split.
        test: The same for `test`.
        split_seed: Seed of the choice.
        on_error: Treatment of unreadable files: `error` stops at one when it is read; `skip` reads
            all files on opening, and leaves out with a warning those that are not images, are
            damaged, or have more than 89 million pixels. System errors, such as missing
            permissions or a broken disk, always stop.
        **reading: Parameters of `Pictures`.

    Attributes:
        files: Image files.
        reader: Reader of the images.
        tensors: Function that returns all images (N, C, H, W) uint8, and `class` (N,) if there are
            class folders; raises a DataError if images keep their own sizes, or one cannot be read.

    Raises:
        DataError: If the folder is missing, its layout is ambiguous, the split is empty, an image
            cannot be read, or the list does not match the images.
        ValueError: If a size, share, background or class is impossible.
    """

    splits: ClassVar[tuple[str, ...]] = SPLITS
    tensors: Callable[[], tuple[Mapping[str, Tensor], Mapping[str, Tensor]]]

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
        contents = _contents(folder, split, labels, classes, shares, split_seed)
        images = contents.images
        _warn(folder, split, contents)
        if on_error == "skip":
            images = without_broken(images, self._broken, split)
        if not images:
            raise DataError(_empty(folder, split, shares))
        self.files = [path for path, _ in images]
        self._indices = [indices for _, indices in images]
        indices = [index for indices in self._indices for index in indices]
        if labels is None:
            # Images with labels are not a gvt.ResidentDataset: the number of labels varies.
            self.tensors = self._tensors
        self._has_labels = labels is not None
        self.info = DataInfo(
            tuple(contents.classes),
            self.reader.image_shape,
            fingerprint=fingerprint([p.relative_to(folder).as_posix() for p in self.files]),
            reader=self.reader.document(),
            labels=torch.tensor(indices) if indices and labels is None else None,
            hint=contents.hint,
            passed_over=by_suffix(contents.other_files),
        )
        self._records: list[Record] = []

    @staticmethod
    def gvt_example(folder: Path) -> dict[str, str]:
        """Write two classes of small images, and return the parameters that read them."""
        for number in range(24):
            image = Image.linear_gradient("L").resize((20 + number, 30)).rotate(15 * number)
            path = folder / ("even" if number % 2 == 0 else "odd") / f"{number}.png"
            path.parent.mkdir(exist_ok=True)
            image.save(path)
        return {"root": str(folder)}

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> Sample:
        """Return one image (C, H, W) uint8, with `class` () or `labels` (M,) if there are any."""
        image, record = self._read(index)
        indices = torch.tensor(self._indices[index], dtype=torch.int64)
        targets: dict[str, Any] = {}
        if self._has_labels:
            targets = {"labels": indices}
        elif self.info.labels is not None:
            targets = {"class": indices[0]}
        return Sample({"image": image}, targets, record)

    def _tensors(self) -> tuple[Mapping[str, Tensor], Mapping[str, Tensor]]:
        shape, labels = self.info.image_shape, self.info.labels
        if shape is None:
            raise DataError(
                "data.resident: images that keep their own sizes do not fit one tensor; give "
                "data.size, or data.resident=false"
            )
        images = torch.empty((len(self), *shape), dtype=torch.uint8)
        records = []
        with threads() as pool:
            for index, (image, record) in enumerate(pool.map(self._read, range(len(self)))):
                images[index] = image
                records.append(record)
        self._records = records
        return {"image": images}, {} if labels is None else {"class": labels}

    def record(self, index: int) -> Record:
        """Return the origin of one image."""
        return self._records[index] if self._records else self._read(index)[1]

    def _read(self, index: int) -> tuple[Tensor, Record]:
        return self.reader.read(self.files[index])

    def _broken(self, image: tuple[Path, Any]) -> Path | None:
        """Return the image's file if it cannot be read."""
        try:
            self.reader.open(image[0])
        except UnreadablePicture:
            return image[0]
        return None


@dataclass(frozen=True)
class _Contents:
    """Contents of a folder for one split.

    Attributes:
        classes: Names of the classes in use, in the order of their indices.
        images: Image files of the split, each with its class indices.
        other_files: Further files of the split, relative to the folder.
        empty: Folders without images where some are expected.
        hint: Advice for a task that needs several classes.
    """

    classes: Sequence[str]
    images: list[tuple[Path, tuple[int, ...]]]
    other_files: Sequence[PurePosixPath]
    empty: Sequence[PurePosixPath] = ()
    hint: str = ""


def _contents(
    folder: Path,
    split: str,
    labels: str | None,
    chosen: Sequence[int | str] | None,
    shares: Mapping[str, float],
    seed: int,
) -> _Contents:
    """Return the contents for a split, with classes from folders or from a list."""
    if labels is None:
        layout = read_layout(folder, shares, seed, by_name=chosen is not None)
        classes = _chosen(chosen, layout.classes)
        by_name = {name: (index,) for index, name in enumerate(classes)}
        images = [
            (path, () if name is None else by_name[name])
            for path, name in layout.pictures[split]
            if name is None or name in by_name
        ]
        empty = layout.empty if chosen is None and split == "train" else ()
        hint = layout.hint if chosen is None else ""
        return _Contents(classes, images, layout.others.get(split, ()), empty, hint)
    label_list = read_label_list(folder, labels, shares, seed, by_name=chosen is not None)
    classes = _chosen(chosen, label_list.classes)
    return _Contents(
        classes,
        [
            (path, tuple(classes.index(name) for name in names if name in classes))
            for path, names in label_list.pictures[split]
        ],
        label_list.others.get(split, ()),
    )


def _warn(folder: Path, split: str, contents: _Contents) -> None:
    """Warn of folders without images, and of files that may be images but are not read."""
    if contents.empty:
        names = printable(", ".join(map(str, contents.empty)))
        warnings.warn(
            f"data.root: {str(folder)!r} has folders without images, which become neither classes "
            f"nor splits: {names}",
            stacklevel=4,
        )
    if left_out := overlooked(folder, contents.other_files):
        warnings.warn(
            f"data.root: split {split} of {str(folder)!r}: left out: {counted(left_out)}; image "
            f"files end with {' '.join(sorted(SUFFIXES))}",
            stacklevel=4,
        )


def _chosen(chosen: Sequence[int | str] | None, available: Sequence[str]) -> tuple[str, ...]:
    """Return the chosen classes in order; all available classes by default."""
    if chosen is None:
        return tuple(available)
    names = tuple(composed(str(name)) for name in chosen)  # the name of a folder may be a number
    if not names or len(set(names)) != len(names) or not set(names) <= set(available):
        raise ValueError(
            f"classes {list(chosen)}: give class folders, each once; "
            + (
                f"there are {printable(', '.join(available))}"
                if available
                else "there are none, only images without classes"
            )
        )
    return names


def _empty(folder: Path, split: str, shares: Mapping[str, float]) -> str:
    """Return the message for a split without images."""
    share = (
        f", or raise data.{split}, its share of the training images, from {shares[split]}"
        if split in shares
        else ""
    )
    return (
        f"data.root: split {split} of {str(folder)!r} has no images; put some into "
        f"{str(folder / split)!r}{share}"
    )
