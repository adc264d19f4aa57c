"""Pictures with boxes: what data sets of them share once their files are read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import ClassVar

import torch
from PIL import Image
from torch import Tensor

from gvt import DataError, PictureReader, Sample
from gvt.geometry import boxes_through
from gvt.pictures.fitting import fitted
from gvt.pictures.reader import pixels_of
from gvt.pictures.reading import UnreadablePicture
from gvt.printable import printable

from ..listing import fingerprint
from ..splits import SPLITS
from .annotation import Annotated
from .checks import Boxed, OnError, checked


class BoxSet:
    """Pictures with boxes, and masks where all outlines of a picture's objects are known.

    Opening reads the size of each picture and checks each box; pixels are decoded when they are
    asked for.

    Attributes:
        problems: What was found to be bad: of each kind the places, as in
            `a.xml: object 3 (cat)`.
        left_out: How many objects are left out on purpose, by what they are.

    Args:
        split: `train`, `val` or `test`.
        found: Its pictures.
        classes: The names of the classes, in the order of their numbers.
        reader: How pictures are read.
        on_error: `error`, `clip` or `skip`; see `gvt_data.boxes.checks.checked`.
        masks: Whether masks are asked for.
        problems: What was found to be bad before.
        left_out: How many objects are left out on purpose, by what they are.

    Raises:
        DataError: If something is bad and `on_error` is `error`, or no picture is left.
    """

    splits: ClassVar[tuple[str, ...]] = SPLITS
    problems: Mapping[str, Sequence[str]] = {}
    left_out: Mapping[str, int] = {}

    def __init__(
        self,
        split: str,
        found: Sequence[Annotated],
        classes: Sequence[str],
        reader: PictureReader,
        on_error: OnError,
        *,
        masks: bool = False,
        problems: Mapping[str, Sequence[str]] | None = None,
        left_out: Mapping[str, int] | None = None,
    ) -> None:
        self.split, self.reader, self._on_error = split, reader, on_error
        self.classes: Sequence[str] = tuple(classes)
        self.image_shape = reader.image_shape
        self.left_out = left_out or {}
        self._pictures, self.problems = checked(found, classes, on_error, split, problems or {})
        if not self._pictures:
            places = [f"{kind}: {at}" for kind, of in self.problems.items() for at in of]
            text = f"data: no picture of split {split} can be used"
            raise DataError(text, details="\n".join(places))
        self._masks = masks and any(t.outline for p in self._pictures for t in p.of.things)
        self.fingerprint = fingerprint(
            [
                f"{p.of.name} {p.boxes.tobytes().hex()} {p.labels.tobytes().hex()}"
                for p in self._pictures
            ]
        )

    def __len__(self) -> int:
        return len(self._pictures)

    def __getitem__(self, index: int) -> Sample:
        """Return one picture, (C, H, W) uint8, with its boxes, labels, and perhaps masks.

        Raises:
            UnreadablePicture: If its pixels cannot be decoded.
            DataError: If the file cannot be read.
        """
        picture = self._pictures[index]
        try:
            image, record = self.reader.read(picture.of.image)
        except UnreadablePicture as error:
            if self._on_error == "error":
                raise
            known = str(error).partition("; mend")[0]
            raise UnreadablePicture(
                f"{known}; mend or remove it: of each picture only the size was read at opening"
            ) from error
        if record.size != picture.size:
            raise DataError(f"{printable(record.source)}: has another size than at opening")
        assert record.geometry is not None
        boxes = boxes_through(record.geometry, torch.from_numpy(picture.boxes))
        height, width = image.shape[1:]
        boxes = boxes.clamp(min=0).minimum(boxes.new_tensor([width, height, width, height]))
        # Of what `crop` takes away, nothing may be left.
        seen = (boxes[:, 2:] > boxes[:, :2]).all(dim=1)
        targets = {"boxes": boxes[seen], "labels": torch.tensor(picture.labels)[seen]}
        if self._masks and all(thing.outline for thing in picture.of.things):
            targets["masks"] = self._drawn(picture, (height, width))[seen]
        return Sample(image, targets, replace(record, id=picture.of.id))

    def _drawn(self, picture: Boxed, canvas: tuple[int, int]) -> Tensor:
        """Return the masks of a picture's objects, (M, H, W) uint8 of 0 and 1."""
        from gvt.coco import decoded  # brings pycocotools, which boxes alone do not need

        masks = torch.zeros(len(picture.of.things), *canvas, dtype=torch.uint8)
        for mask, thing in zip(masks, picture.of.things, strict=True):
            try:
                values = decoded(thing.outline, *picture.size)
            except ValueError as error:
                where = f"{printable(picture.of.said)}: {thing.place}"
                raise DataError(f"{where}: its segmentation: {error}") from error
            image, reader = Image.fromarray(values), self.reader
            image, _ = fitted(image, reader.size, reader.fit, "nearest", reader.share)
            mask[:] = pixels_of(image)[0]
        return masks
