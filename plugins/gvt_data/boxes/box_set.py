"""Pictures with boxes: what data sets of them share once their files are read."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import ClassVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from gvt import DataError, PictureReader, Sample
from gvt.data import tidied
from gvt.geometry import boxes_through
from gvt.printable import printable
from gvt.vision.pictures import UnreadablePicture, fitted, pixels_of

from ..listing import fingerprint
from ..splits import SPLITS
from .annotation import Annotated
from .checks import FEW, Boxed, OnError, checked, listed, summary
from .outlines import drawn
from .truth import Truth

MASKS = "masks, where an object has no outline"
"""What pictures are counted as whose masks are left out."""

REPEATED = "object annotated twice"
"""What objects are counted as that repeat another one of their image."""


class BoxSet:
    """Pictures with boxes, and masks where all outlines of a picture's objects are known.

    Opening reads the size of each picture and checks each box and outline; pixels are decoded when
    they are asked for. An object that is annotated twice in one image counts once; see
    `gvt_data.boxes.duplicates`. Evaluation goes by each record's `truth`, which is the picture's
    own whatever became of it at the reader's size, and has the objects that are ignored.

    Attributes:
        problems: What was found to be bad: of each kind the places, as in
            `a.xml: object 3 (cat)`.
        left_out: How many objects are left out on purpose, by what they are, and of how many
            pictures the masks, since not all of their objects have outlines.
        lacks: Why there are no boxes and labels, if no picture has an object to learn from.

    Args:
        split: `train`, `val` or `test`.
        found: Its pictures.
        classes: The names of the classes, in the order of their numbers.
        reader: How pictures are read.
        on_error: `error`, `clip` or `skip`; see `gvt_data.boxes.checks.checked`.
        problems: What was found to be bad before.
        left_out: How many objects are left out on purpose, by what they are.
        absent: Why there may be no object at all; used if nothing is bad or left out.

    Raises:
        DataError: If something is bad and `on_error` is `error`, or no picture is left.
    """

    splits: ClassVar[tuple[str, ...]] = SPLITS
    problems: Mapping[str, Sequence[str]] = {}
    left_out: Mapping[str, int] = {}
    lacks: Mapping[str, str] = {}

    def __init__(
        self,
        split: str,
        found: Sequence[Annotated],
        classes: Sequence[str],
        reader: PictureReader,
        on_error: OnError,
        *,
        problems: Mapping[str, Sequence[str]] | None = None,
        left_out: Mapping[str, int] | None = None,
        absent: str = "",
    ) -> None:
        self.split, self.reader, self._on_error = split, reader, on_error
        self.classes: Sequence[str] = tuple(classes)
        self.image_shape = reader.image_shape
        self._pictures, self.problems = checked(
            found, classes, on_error, split, problems or {}, reader.page
        )
        if not self._pictures:
            places = [f"{kind}: {at}" for kind, of in self.problems.items() for at in of]
            text = f"data: no picture of split {split} can be used"
            raise DataError(text, details="\n".join(places))
        counted = [t for p in self._pictures for t in p.of.things if not t.ignored]
        self._masks = any(thing.outline for thing in counted)
        without = sum(not p.outlined for p in self._pictures) if self._masks else 0
        repeated = [place for picture in self._pictures for place in picture.repeated]
        self.left_out = {**(left_out or {}), **({REPEATED: len(repeated)} if repeated else {})}
        if repeated:
            warnings.warn(
                f"split {split}: objects annotated twice in one image, each counted once: "
                f"{len(repeated):,} ({listed(repeated, FEW)})",
                stacklevel=3,
            )
        if not counted:
            reason = self._why_empty() or absent or "no object is annotated"
            self.lacks = dict.fromkeys(("boxes", "labels", "masks"), reason)
            if split != "train":
                text = f"split {split}: no object to measure by, so that figures are NaN: {reason}"
                warnings.warn(text, stacklevel=3)
        if without:
            self.left_out = {**self.left_out, MASKS: without}
        self.fingerprint = fingerprint([_described(picture) for picture in self._pictures])
        self.files = [picture.of.image for picture in self._pictures]

    def _why_empty(self) -> str:
        """Return what was left out of a split in which no object is left."""
        reasons = [summary(self.problems, FEW)] if self.problems else []
        reasons += [f"{count:,} {kind}" for kind, count in self.left_out.items() if count]
        return f"left out: {', '.join(reasons)}" if reasons else ""

    def __len__(self) -> int:
        return len(self._pictures)

    @property
    def object_counts(self) -> tuple[int, ...]:
        """How many objects of each class count, in the order of `classes`."""
        labels = [picture.labels[picture.counted] for picture in self._pictures]
        counts = np.bincount(np.concatenate(labels), minlength=len(self.classes))
        return tuple(int(count) for count in counts)

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
        canvas = (image.shape[1], image.shape[2])
        boxes = boxes_through(record.geometry, torch.from_numpy(picture.boxes[picture.counted]))
        targets = {"boxes": boxes, "labels": torch.tensor(picture.labels[picture.counted])}
        masks = self._masks and picture.outlined
        if masks:
            targets["masks"] = self._drawn(picture, canvas)
        # Of what `crop` takes away nothing may be left, and of what was made smaller less than a
        # pixel. Boxes of files may say more than their masks, so that none is made tight.
        targets = tidied(targets, canvas, torch.zeros(len(boxes), dtype=torch.bool))
        truth = Truth(picture.of.things, picture.labels, picture.size, masks)
        return Sample(image, targets, replace(record, id=picture.of.id, truth=truth))

    def _drawn(self, picture: Boxed, canvas: tuple[int, int]) -> Tensor:
        """Return the masks of a picture's objects, (M, H, W) uint8 of 0 and 1."""
        reader = self.reader
        things = [thing for thing in picture.of.things if not thing.ignored]
        masks = torch.zeros(len(things), *canvas, dtype=torch.uint8)
        for mask, thing in zip(masks, things, strict=True):
            image = Image.fromarray(drawn(thing.outline, picture.size))
            image, _ = fitted(image, reader.size, reader.fit, "nearest", reader.share)
            mask[:] = pixels_of(image)[0]
        return masks


def _described(picture: Boxed) -> str:
    """Return what a fingerprint has of a picture."""
    text = f"{picture.of.name} {picture.boxes.tobytes().hex()} {picture.labels.tobytes().hex()}"
    return text if picture.counted.all() else f"{text} {picture.counted.tobytes().hex()}"
