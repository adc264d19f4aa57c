"""Base class of data sets of images with masks."""

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
"""Largest number of broken pairs listed in an error."""

KEPT = 1 << 28
"""Bytes of decoded images that a process caches, so that tiles of one image decode it once."""

MOST_PIXELS = 1 << 30
"""Largest number of pixels of an image that is cut into tiles."""


@dataclass(frozen=True)
class Decoded:
    """An image with its mask, both as a model sees them.

    Attributes:
        image: The image, (C, H, W) uint8.
        semantic: The class indices, (H, W) uint8.
        record: Origin of the two.
    """

    image: Tensor
    semantic: Tensor
    record: Record

    @property
    def bytes(self) -> int:
        """Memory of both tensors in bytes."""
        return self.image.numel() + self.semantic.numel()


class MaskSet:
    """Images with a mask each.

    Opening reads the size of every file; pixels are decoded on access.

    Args:
        split: `train`, `val` or `test`.
        pairs: Images and masks of the split.
        reader: Reader of the images.
        masks: Reader of the masks.
        tile: Side in pixels of the tiles into which larger images are cut.
        on_error: `error` stops at broken pairs, `skip` leaves them out with a warning.

    Raises:
        DataError: If a pair is broken, or none is left.
        ValueError: If both a size and tiles are given.
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
            raise ValueError("size and tile: resized images are not cut into tiles; give only one")
        self.split, self.reader, self._masks = split, reader, masks
        self._most_pixels = masks.most_pixels
        if on_error == "skip":
            pairs = without_broken(pairs, self._broken, split)
            if not pairs:
                raise DataError(f"data: split {split} has no usable image with a mask")
        sizes = self._checked_sizes(pairs)
        self._warn_of_pages(pairs)
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
        """Pair of each sample, and the (top, left) of its tile, or None for a whole image."""
        return [(self._pairs[number], corner) for number, corner in self._places]

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, index: int) -> Sample:
        """Return one image or tile, (C, H, W) uint8, with `semantic` (H, W) uint8."""
        number, corner = self._places[index]
        decoded = self._decoded(number)
        if corner is not None and self._tile is not None:
            decoded = self._cut(decoded, corner, self._tile)
        # Copies, since a transform may work in place on tensors that are cached.
        semantic = decoded.semantic.clone()
        return Sample({"image": decoded.image.clone()}, {"semantic": semantic}, decoded.record)

    def tensors(self) -> tuple[Mapping[str, Tensor], Mapping[str, Tensor]]:
        """Return all `image` (N, C, H, W) uint8, and `semantic` (N, H, W) uint8.

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
                    "first image, so the images do not fit one tensor; give data.size, or "
                    "data.resident=false"
                )
            images[index], semantic[index] = sample.image, sample.targets["semantic"]
            records.append(sample.record)
        self._records = records
        return {"image": images}, {"semantic": semantic}

    def record(self, index: int) -> Record:
        """Return the origin of one image or tile."""
        return self._records[index] if self._records else self[index].record

    def _samples(self) -> Iterator[Sample]:
        """Yield all samples in order; several threads decode the images."""
        if self._tile is not None:  # the tiles of one image are adjacent
            yield from (self[index] for index in range(len(self)))
            return
        with threads() as pool:
            for decoded in pool.map(self._read, self._pairs):
                yield Sample(
                    {"image": decoded.image}, {"semantic": decoded.semantic}, decoded.record
                )

    def _decoded(self, number: int) -> Decoded:
        """Return a decoded pair, from the cache if possible."""
        if number in self._kept:
            self._kept.move_to_end(number)
            return self._kept[number]
        decoded = self._kept[number] = self._read(self._pairs[number])
        while len(self._kept) > 1 and sum(pair.bytes for pair in self._kept.values()) > KEPT:
            self._kept.popitem(last=False)
        return decoded

    def _read(self, pair: Pair) -> Decoded:
        """Read an image with its mask.

        Raises:
            UnusableMask: If the mask does not fit the image.
            UnreadablePicture: If the content of a file is not a readable image.
            DataError: If a file cannot be read.
        """
        if pair.image is None or pair.mask is None:
            raise UnusableMask(pair.missing or "")
        picture = self.reader.open(pair.image, self._most_pixels)
        semantic = self._masks.read(pair.mask)
        height, width = picture.image.height, picture.image.width
        if semantic.shape != (height, width):
            raise UnusableMask(self._size_message(pair, (height, width), semantic.shape))
        image, geometry = self.reader.fitted(picture.image)
        mask, _ = fitted(
            Image.fromarray(semantic),
            self.reader.size,
            self.reader.fit,
            "nearest",
            self.reader.share,
            IGNORED,
        )
        record = Record(str(pair.image), (height, width), geometry, picture.mode)
        return Decoded(image, pixels_of(mask)[0], record)

    def _cut(self, decoded: Decoded, corner: tuple[int, int], side: int) -> Decoded:
        """Return a tile as an image of its own."""
        top, left = corner
        image = decoded.image[:, top : top + side, left : left + side]
        semantic = decoded.semantic[top : top + side, left : left + side]
        if self.split != "train":  # each pixel is evaluated once
            semantic = semantic.clone()
            semantic[: -top % side] = IGNORED
            semantic[:, : -left % side] = IGNORED
        source = f"{decoded.record.source} at x={left}, y={top}"
        size = (image.shape[1], image.shape[2])
        return Decoded(image, semantic, Record(source, size, mode=decoded.record.mode))

    def _broken(self, pair: Pair) -> Path | None:
        """Return the unusable file of a pair; None if the pair is usable."""
        try:
            self._read(pair)
        except UnreadablePicture as error:
            return error.file or pair.mask or pair.image
        return None

    def _checked_sizes(self, pairs: Sequence[Pair]) -> list[tuple[int, int]]:
        """Return the (H, W) of every image, from the headers of the files.

        Raises:
            UnusableMask: If images and masks do not match; the details list them.
        """
        with threads() as pool:
            results = list(pool.map(self._size_or_problem, pairs))
        problems = [result for result in results if isinstance(result, str)]
        if len(problems) == 1:
            raise UnusableMask(problems[0])
        if problems:
            more = [f"and {len(problems) - _NAMED:,} more"] if len(problems) > _NAMED else []
            raise UnusableMask(
                f"data: {len(problems)} of {len(pairs)} images of split {self.split} are broken "
                "or have no mask that fits; repair them, or leave them out with "
                "data.on_error=skip",
                details="\n".join([*problems[:_NAMED], *more]),
            )
        return [size for size in results if not isinstance(size, str)]

    def _warn_of_pages(self, pairs: Sequence[Pair]) -> None:
        """Warn of multi-page masks whose images have another number of pages, unless one is chosen.

        Multi-page images are reported when the data set is opened.
        """
        if self._masks.page is not None:
            return
        with threads() as pool:
            masks = [text for text in pool.map(self._page_mismatch, pairs) if text]
        if masks:
            warnings.warn(
                f"data: split {self.split}: {len(masks):,} of {len(pairs):,} masks "
                f"{'has' if len(masks) == 1 else 'have'} several pages, unlike their images "
                f"({masks[0]}); the first page is read; data.page=N reads another page of images "
                "and masks, counted from 1",
                stacklevel=4,
            )

    def _page_mismatch(self, pair: Pair) -> str:
        """Return a multi-page mask with its page count if its image has another; else empty."""
        if pair.image is None or pair.mask is None:
            return ""
        with picture_file(pair.mask, self._most_pixels) as file:
            pages = pages_in(file)
        if pages == 1:
            return ""
        with picture_file(pair.image, self._most_pixels) as file:
            return "" if pages == pages_in(file) else f"{printable(pair.mask)}: {pages:,}"

    def _size_or_problem(self, pair: Pair) -> tuple[int, int] | str:
        if pair.image is None or pair.mask is None:
            return pair.missing or ""
        try:
            image = self._header(pair.image, self.reader.page)
            mask = self._header(pair.mask, self._masks.page)
            check_lossless(pair.mask, mask.format)
            if image.size == mask.size:
                return image.size
            # Some formats give their EXIF data only once the pixels are decoded.
            picture = self.reader.open(pair.image, self._most_pixels).image
        except UnreadablePicture as error:
            return str(error)
        size = (picture.height, picture.width)
        return size if size == mask.size else self._size_message(pair, size, mask.size)

    def _header(self, path: Path, page: int | None) -> Header:
        return read_header(path, self._most_pixels, page)

    def _size_message(self, pair: Pair, image: tuple[int, int], mask: tuple[int, int]) -> str:
        """Return the message for an image and a mask whose (H, W) differ."""
        sizes = (
            f"{printable(pair.image)}: is {image[1]}x{image[0]} pixels, and its mask "
            f"{printable(pair.mask)} is {mask[1]}x{mask[0]}"
        )
        swapped = mask == image[::-1]
        if swapped and pair.image is not None and self._header(pair.image, self.reader.page).turned:
            return f"{sizes}: the image's EXIF data rotates it, but not the mask; rotate the mask"
        return f"{sizes}; give both the same size"


def tiles(size: tuple[int, int], side: int) -> list[tuple[int, int]]:
    """Return the (top, left) of each tile of an image, the last ones aligned with its edges."""
    tops, lefts = ([min(at, max(0, n - side)) for at in range(0, n, side)] for n in size)
    return list(product(tops, lefts))
