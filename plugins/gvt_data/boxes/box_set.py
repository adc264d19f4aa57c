"""The base of the data sets of images with boxes."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from gvt import DataError, DataInfo, PictureReader, Sample
from gvt.data import tidied
from gvt.geometry import boxes_through
from gvt.printable import printable
from gvt.vision.pictures import UnreadablePicture, fitted, pixels_of

from ..listing import fingerprint
from ..splits import SPLITS
from .annotation import Annotated
from .checks import FEW, Boxed, OnError, check_images, first_places, summary
from .outlines import drawn
from .truth import Truth

MASKS = "masks, where an object has no outline"
"""Key of `left_out` for images whose masks are left out."""

REPEATED = "object annotated twice"
"""Key of `left_out` for objects that repeat another one of their image."""


class BoxSet:
    """Images with boxes, and with masks if all objects of an image have outlines.

    Opening reads the size of each image and checks each box and outline. Pixels are decoded on
    access. An object that is annotated twice in one image counts once; see
    `gvt_data.boxes.duplicates`. Evaluation uses the `truth` of each record, which is in pixels of
    the original image and includes ignored objects.

    Attributes:
        info: Its `problems` have places such as `a.xml: object 3 (cat)`. Its `left_out` includes
            the number of images without masks because not all their objects have outlines.
        files: Paths of the images.
        reader: Reader of the images.

    Args:
        split: `train`, `val` or `test`.
        images: The annotated images of the split.
        classes: Names of the classes, in the order of their indices.
        reader: Reader of the images.
        on_error: `error`, `clip` or `skip`; see `gvt_data.boxes.checks.check_images`.
        problems: Problems that were detected before, by kind.
        left_out: Numbers of objects that are left out on purpose, by kind.
        absent: Reason why there may be no objects, if no problem or `left_out` explains it.

    Raises:
        DataError: If there is a problem and `on_error` is `error`, or no image is left.
    """

    splits: ClassVar[tuple[str, ...]] = SPLITS

    def __init__(
        self,
        split: str,
        images: Sequence[Annotated],
        classes: Sequence[str],
        reader: PictureReader,
        on_error: OnError,
        *,
        problems: Mapping[str, Sequence[str]] | None = None,
        left_out: Mapping[str, int] | None = None,
        absent: str = "",
    ) -> None:
        self.split, self.reader, self._on_error = split, reader, on_error
        self._images, problems = check_images(
            images, classes, on_error, split, problems or {}, reader.page
        )
        if not self._images:
            lines = [f"{kind}: {at}" for kind, places in problems.items() for at in places]
            text = f"data: no image of split {split} can be used"
            raise DataError(text, details="\n".join(lines))
        things = [t for image in self._images for t in image.annotated.things if not t.ignored]
        self._masks = any(thing.outline for thing in things)
        maskless = sum(not image.outlined for image in self._images) if self._masks else 0
        repeated = [place for image in self._images for place in image.repeated]
        left_out = {**(left_out or {}), **({REPEATED: len(repeated)} if repeated else {})}
        lacks: Mapping[str, str] = {}
        if repeated:
            warnings.warn(
                f"split {split}: objects annotated twice in one image, each counted once: "
                f"{len(repeated):,} ({first_places(repeated, FEW)})",
                stacklevel=3,
            )
        if not things:
            reason = _why_empty(problems, left_out) or absent or "no object is annotated"
            lacks = dict.fromkeys(("boxes", "labels", "masks"), reason)
            if split != "train":
                text = f"split {split}: no objects to evaluate on, so metrics are NaN: {reason}"
                warnings.warn(text, stacklevel=3)
        if maskless:
            left_out[MASKS] = maskless
        self.files = [image.annotated.image for image in self._images]
        self.info = DataInfo(
            tuple(classes),
            reader.image_shape,
            fingerprint=fingerprint([_identity(image) for image in self._images]),
            reader=reader.document(),
            object_counts=_object_counts(self._images, len(classes)),
            problems=problems,
            left_out=left_out,
            lacks=lacks,
        )

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: int) -> Sample:
        """Return an image, (C, H, W) uint8, with its boxes, labels, and masks if it has any.

        Raises:
            UnreadablePicture: If its pixels cannot be decoded.
            DataError: If the file cannot be read.
        """
        boxed = self._images[index]
        annotated = boxed.annotated
        try:
            image, record = self.reader.read(annotated.image)
        except UnreadablePicture as error:
            if self._on_error == "error":
                raise
            reason = str(error).partition("; mend")[0]
            raise UnreadablePicture(
                f"{reason}; mend or remove it: only the size was read at opening"
            ) from error
        if record.size != boxed.size:
            raise DataError(f"{printable(record.source)}: has another size than at opening")
        assert record.geometry is not None
        canvas = (image.shape[1], image.shape[2])
        boxes = boxes_through(record.geometry, torch.from_numpy(boxed.boxes[boxed.counted]))
        targets = {"boxes": boxes, "labels": torch.tensor(boxed.labels[boxed.counted])}
        masks = self._masks and boxed.outlined
        if masks:
            targets["masks"] = self._masks_of(boxed, canvas)
        # `crop` may remove an object, and resizing may leave less than a pixel of it. A box of a
        # file may be larger than its mask, so no box is tightened.
        targets = tidied(targets, canvas)
        truth = Truth(annotated.things, boxed.labels, boxed.size, masks)
        return Sample({"image": image}, targets, replace(record, id=annotated.id, truth=truth))

    def _masks_of(self, boxed: Boxed, canvas: tuple[int, int]) -> Tensor:
        """Return the masks of an image's objects, (M, H, W) uint8 of 0 and 1."""
        reader = self.reader
        things = [thing for thing in boxed.annotated.things if not thing.ignored]
        masks = torch.zeros(len(things), *canvas, dtype=torch.uint8)
        for mask, thing in zip(masks, things, strict=True):
            image = Image.fromarray(drawn(thing.outline, boxed.size))
            image, _ = fitted(image, reader.size, reader.fit, "nearest", reader.share)
            mask[:] = pixels_of(image)[0]
        return masks


def save_example(path: Path, number: int) -> tuple[int, int]:
    """Save an example image, 48x64, with a bright object 20 pixels high and 24 wide.

    Returns:
        The left and the top of the object.
    """
    left, top = 4 * number, 5 + number
    pixels = np.random.default_rng(number).integers(0, 100, (48, 64, 3), np.uint8)
    pixels[top : top + 20, left : left + 24] += 150
    Image.fromarray(pixels).save(path)
    return left, top


def _why_empty(problems: Mapping[str, Sequence[str]], left_out: Mapping[str, int]) -> str:
    """Return why a split has no objects left; empty if nothing was left out."""
    reasons = [summary(problems, FEW)] if problems else []
    reasons += [f"{count:,} {kind}" for kind, count in left_out.items() if count]
    return f"left out: {', '.join(reasons)}" if reasons else ""


def _object_counts(images: Sequence[Boxed], classes: int) -> tuple[int, ...]:
    """Return the number of objects of each class, without ignored ones."""
    labels = np.concatenate([image.labels[image.counted] for image in images])
    return tuple(np.bincount(labels, minlength=classes).tolist())


def _identity(image: Boxed) -> str:
    """Return the text that represents an image in the fingerprint."""
    name = image.annotated.name
    text = f"{name} {image.boxes.tobytes().hex()} {image.labels.tobytes().hex()}"
    return text if image.counted.all() else f"{text} {image.counted.tobytes().hex()}"
