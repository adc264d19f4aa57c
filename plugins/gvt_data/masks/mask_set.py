"""Pictures with a mask each: what data sets of masks share once their files are found."""

from __future__ import annotations

import warnings
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import ClassVar

import torch
from PIL import Image
from torch import Tensor

from gvt import IGNORED, DataError, DataInfo, PictureReader, Record, Sample
from gvt.printable import printable
from gvt.vision.pictures import (
    UnreadablePicture,
    fitted,
    pages_in,
    picture_file,
    pixels_of,
)

from ..broken import threads, without_broken
from ..header import Header, read_header
from ..listing import fingerprint
from ..splits import SPLITS
from .file import MaskReader, UnusableMask, check_lossless
from .pairs import Pair

_NAMED = 20
"""Broken pairs that are named one by one."""

KEPT = 1 << 28
"""Bytes of decoded pictures that a process keeps, so that tiles of one are not decoded anew."""

MOST_PIXELS = 1 << 30
"""Pixels of a picture that is cut into tiles."""


@dataclass(frozen=True)
class Decoded:
    """An image with its mask, both as networks see them.

    Attributes:
        image: (C, H, W) uint8.
        semantic: (H, W) uint8.
        record: Their origin.
    """

    image: Tensor
    semantic: Tensor
    record: Record

    @property
    def bytes(self) -> int:
        """How much memory they take."""
        return self.image.numel() + self.semantic.numel()


class MaskSet:
    """Pictures with a mask each.

    Opening looks at every file's size; pixels are decoded when they are asked for.

    Args:
        split: `train`, `val` or `test`.
        pairs: Its images and masks.
        reader: How images are read.
        masks: How masks are read.
        tile: Pictures that are larger on a side are cut into tiles of this many pixels a side.
        on_error: `error` stops at pairs that are broken, `skip` leaves them out with a warning.

    Raises:
        DataError: If a pair is broken, or none is left.
        ValueError: If pictures are to be brought to a size and cut into tiles as well.
    """

    splits: ClassVar[tuple[str, ...]] = SPLITS

    def __init__(
        self,
        split: str,
        pairs: Sequence[Pair],
        reader: PictureReader,
        masks: MaskReader,
        tile: int | None,
        on_error: str,
    ) -> None:
        if tile is not None and reader.size is not None:
            raise ValueError("size and tile: pictures brought to a size are not cut; give one")
        self.split, self.reader, self._masks = split, reader, masks
        self._most_pixels = masks.most_pixels
        if on_error == "skip":
            pairs = without_broken(pairs, self._broken, split)
            if not pairs:
                raise DataError(f"data: of split {split} no picture with its mask can be used")
        sizes = self._checked_sizes(pairs)
        self._tell_pages(pairs)
        self._pairs = pairs
        self.files = [pair.image for pair in pairs if pair.image is not None]
        self._places: list[tuple[int, tuple[int, int] | None]] = [
            (number, corner)
            for number, size in enumerate(sizes)
            for corner in (tiles(size, tile) if tile else [None])
        ]
        self._tile = tile
        self.info = DataInfo(
            tuple(masks.values.classes),
            reader.image_shape,
            fingerprint=fingerprint([f"{p.name}{corner or ''}" for p, corner in self.places]),
            background=masks.values.background,
            reader=reader.document(),
        )
        self._kept: OrderedDict[int, Decoded] = OrderedDict()
        self._records: list[Record] = []

    @property
    def places(self) -> list[tuple[Pair, tuple[int, int] | None]]:
        """Of each sample the pair, and the (top, left) of its tile if it is one."""
        return [(self._pairs[number], corner) for number, corner in self._places]

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, index: int) -> Sample:
        """Return one picture or tile, (C, H, W) uint8, with `semantic` (H, W) uint8."""
        number, corner = self._places[index]
        found = self._decoded(number)
        if corner is not None and self._tile is not None:
            found = self._cut(found, corner, self._tile)
        # Copies, since a transform may work in place, and these are kept.
        semantic = found.semantic.clone()
        return Sample(found.image.clone(), {"semantic": semantic}, found.record)

    def tensors(self) -> tuple[Tensor, Mapping[str, Tensor]]:
        """Return all images (N, C, H, W) uint8, and `semantic` (N, H, W) uint8.

        Raises:
            DataError: If they differ in size, or one cannot be read.
        """
        images = torch.empty(0, dtype=torch.uint8)
        semantic = images
        records: list[Record] = []
        for index, sample in enumerate(self._samples()):
            if index == 0:
                images = sample.image.new_empty((len(self), *sample.image.shape))
                semantic = sample.image.new_empty((len(self), *sample.image.shape[1:]))
            if sample.image.shape != images.shape[1:]:
                raise DataError(
                    f"data.resident: {printable(sample.record.source)} has another size than the "
                    "first picture, so they cannot be kept as whole tensors; give data.size, or "
                    "data.resident=false"
                )
            images[index], semantic[index] = sample.image, sample.targets["semantic"]
            records.append(sample.record)
        self._records = records
        return images, {"semantic": semantic}

    def record(self, index: int) -> Record:
        """Return the origin of one picture or tile."""
        return self._records[index] if self._records else self[index].record

    def _samples(self) -> Iterator[Sample]:
        """Yield all samples in their order, pictures decoded by several threads."""
        if self._tile is not None:  # tiles of one picture follow each other
            yield from (self[index] for index in range(len(self)))
            return
        with threads() as pool:
            for found in pool.map(self._read, self._pairs):
                yield Sample(found.image, {"semantic": found.semantic}, found.record)

    def _decoded(self, number: int) -> Decoded:
        """Return a pair, from those that were decoded last if it is among them."""
        if number in self._kept:
            self._kept.move_to_end(number)
            return self._kept[number]
        found = self._kept[number] = self._read(self._pairs[number])
        while len(self._kept) > 1 and sum(pair.bytes for pair in self._kept.values()) > KEPT:
            self._kept.popitem(last=False)
        return found

    def _read(self, pair: Pair) -> Decoded:
        """Return an image with its mask.

        Raises:
            UnusableMask: If the mask does not fit.
            UnreadablePicture: If one of them cannot be taken for a picture.
            DataError: If a file cannot be read.
        """
        if pair.image is None or pair.mask is None:
            raise UnusableMask(pair.missing or "")
        picture = self.reader.open(pair.image, self._most_pixels)
        numbers = self._masks.read(pair.mask)
        height, width = picture.image.height, picture.image.width
        if numbers.shape != (height, width):
            raise UnusableMask(self._of_other_size(pair, (height, width), numbers.shape))
        image, geometry = self.reader.fitted(picture.image)
        mask, _ = fitted(
            Image.fromarray(numbers),
            self.reader.size,
            self.reader.fit,
            "nearest",
            self.reader.share,
            IGNORED,
        )
        record = Record(str(pair.image), (height, width), geometry, picture.mode)
        return Decoded(image, pixels_of(mask)[0], record)

    def _cut(self, found: Decoded, corner: tuple[int, int], side: int) -> Decoded:
        """Return a tile, which is a picture of its own."""
        top, left = corner
        image = found.image[:, top : top + side, left : left + side]
        semantic = found.semantic[top : top + side, left : left + side]
        if self.split != "train":  # each pixel is judged once
            semantic = semantic.clone()
            semantic[: -top % side] = IGNORED
            semantic[:, : -left % side] = IGNORED
        source = f"{found.record.source} at x={left}, y={top}"
        size = (image.shape[1], image.shape[2])
        return Decoded(image, semantic, Record(source, size, mode=found.record.mode))

    def _broken(self, pair: Pair) -> Path | None:
        """Return the file of a pair that cannot be used, None if all is well."""
        try:
            self._read(pair)
        except UnreadablePicture as error:
            return error.file or pair.mask or pair.image
        return None

    def _checked_sizes(self, pairs: Sequence[Pair]) -> list[tuple[int, int]]:
        """Return every image's (H, W), by what the files say of themselves.

        Raises:
            UnusableMask: If images and masks do not go together; its details name all of them.
        """
        with threads() as pool:
            found = list(pool.map(self._size_or_problem, pairs))
        problems = [problem for problem in found if isinstance(problem, str)]
        if len(problems) == 1:
            raise UnusableMask(problems[0])
        if problems:
            more = [f"and {len(problems) - _NAMED:,} more"] if len(problems) > _NAMED else []
            raise UnusableMask(
                f"data: {len(problems)} of {len(pairs)} pictures of split {self.split} have no "
                "mask that fits, or are broken; mend them, or leave them out with "
                "data.on_error=skip",
                details="\n".join([*problems[:_NAMED], *more]),
            )
        return [size for size in found if not isinstance(size, str)]

    def _tell_pages(self, pairs: Sequence[Pair]) -> None:
        """Warn of masks of several pages whose images have others, where no page is given.

        Where images hold several, whoever opens the set says so.
        """
        if self._masks.page is not None:
            return
        with threads() as pool:
            other = [text for text in pool.map(self._other_pages, pairs) if text]
        if other:
            warnings.warn(
                f"data: split {self.split}: {len(other):,} of {len(pairs):,} masks "
                f"{'has' if len(other) == 1 else 'have'} several pages, unlike their images "
                f"({other[0]}), of which the first is read; data.page=N reads another one of both, "
                "counted from 1",
                stacklevel=4,
            )

    def _other_pages(self, pair: Pair) -> str:
        """Return what to say of a mask of several pages whose image has another number."""
        if pair.image is None or pair.mask is None:
            return ""
        with picture_file(pair.mask, self._most_pixels) as file:
            pages = pages_in(file)
        if pages == 1:
            return ""
        with picture_file(pair.image, self._most_pixels) as file:
            same = pages == pages_in(file)
        return "" if same else f"{printable(pair.mask)}: {pages:,}"

    def _size_or_problem(self, pair: Pair) -> tuple[int, int] | str:
        if pair.image is None or pair.mask is None:
            return pair.missing or ""
        try:
            image = self._header(pair.image, self.reader.page)
            mask = self._header(pair.mask, self._masks.page)
            check_lossless(pair.mask, mask.format)
            if image.size == mask.size:
                return image.size
            # Before pixels are decoded, not every file tells its EXIF data.
            picture = self.reader.open(pair.image, self._most_pixels).image
        except UnreadablePicture as error:
            return str(error)
        size = (picture.height, picture.width)
        return size if size == mask.size else self._of_other_size(pair, size, mask.size)

    def _header(self, path: Path, page: int | None) -> Header:
        return read_header(path, self._most_pixels, page)

    def _of_other_size(self, pair: Pair, image: tuple[int, int], mask: tuple[int, int]) -> str:
        """Return what to say of an image and a mask whose (H, W) differ."""
        sizes = (
            f"{printable(pair.image)}: is {image[1]}x{image[0]} pixels, and its mask "
            f"{printable(pair.mask)} is {mask[1]}x{mask[0]}"
        )
        lying = mask == image[::-1]
        if lying and pair.image is not None and self._header(pair.image, self.reader.page).turned:
            return f"{sizes}: the image's EXIF data turns it, and not the mask; turn the mask"
        return f"{sizes}; bring them to one size"


def tiles(size: tuple[int, int], side: int) -> list[tuple[int, int]]:
    """Return the (top, left) of each tile of a picture, the last ones aligned to its edge."""
    tops, lefts = ([min(at, max(0, n - side)) for at in range(0, n, side)] for n in size)
    return list(product(tops, lefts))
