"""From a picture of any size to the predictions of the heads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from gvt import IGNORED, Opened, OutOfMemoryError, Prediction, UsageError
from gvt.device import deterministic_algorithms, explained_memory
from gvt_predict.merging import merged
from gvt_predict.objects import Objects, objects_in
from gvt_predict.reader import reader_of
from gvt_predict.resampled import resampled
from gvt_predict.scoring import Scorer
from gvt_predict.settings import PredictConfig
from gvt_predict.tiles import Box, Scores, blended, grid

PROBE = 256
"""Side in pixels of the image that heads are tried on, if the model prescribes none."""

TILE_OF_PIXELS, TILE_OF_OBJECTS = 512, 1024
"""Default sides of tiles: objects are found the better, the more is around them."""

_Gathered = dict[str, dict[Box, Any]]
"""By head the predictions for each part of a picture, except those of pixels."""


class Predictor:
    """Predicts pictures with a trained model, one after the other.

    Args:
        opened: The model.
        settings: The section `predict`.

    Attributes:
        forms: The form of each head's predictions, by the head's name.
        reader: The reader of picture files. Objects are found in all of a picture: if no pixels
            are classified, and the training's reader crops, this one pads.

    Raises:
        UsageError: If the task makes no predictions, or some that cannot be written, or
            `predict.tile` is set for a model that takes no tiles.
    """

    def __init__(self, opened: Opened, settings: PredictConfig) -> None:
        self._opened, self._settings = opened, settings
        self._scorer = Scorer(opened.task, opened.placement, settings.flips)
        shape = opened.info.image_shape
        if opened.info.reader is not None or shape is None:
            reader = reader_of(opened, own_size=False)
            shape = (reader.channels, *(reader.size or (PROBE, PROBE)))
        try:
            self.forms = self._scorer.forms(shape)
        except NotImplementedError as error:
            raise UsageError(f"{opened.config.recipe}: {error}, so there is nothing to do") from (
                error
            )
        reader = reader_of(opened, own_size=self.is_drawn)
        # A tile is narrower if the picture is. Cropped, it would lose its ends; stretched, it would
        # show objects in other proportions than wider tiles.
        is_of_objects = self._has_objects and not self.is_dense
        is_lossy = reader.size is not None and reader.fit in ("crop", "stretch")
        self._of_tiles = replace(reader, fit="pad") if is_of_objects and is_lossy else reader
        self.reader = self._of_tiles if reader.fit == "crop" else reader
        self._tile = self._sides(settings.tile)

    @property
    def is_dense(self) -> bool:
        """Whether a head classifies each pixel."""
        return any(form.is_dense for form in self.forms.values())

    @property
    def is_drawn(self) -> bool:
        """Whether a head predicts places in a picture: pixels or objects."""
        return self.is_dense or self._has_objects

    @property
    def _has_objects(self) -> bool:
        return any(form.is_of_objects for form in self.forms.values())

    def __call__(self, image: Image.Image, source: str) -> dict[str, Prediction | Objects]:
        """Return the predictions for a picture by head, on the CPU.

        For the whole picture that is `class` () with scores (K,), or `labels` (M,) with scores
        (K,); for pixels, in the picture's own size, `semantic` (H, W) uint8, 255 where the model
        was shown nothing, or `masks` (K, H, W) bool; and for objects all that the head finds.

        Args:
            image: Upright and opaque, with the reader's channels, in its own size.
            source: The picture's name in errors.

        Raises:
            DataError: If a predicted box or score is not a number.
            OutOfMemoryError: If the device does not hold it; says what to lower.
        """
        settings, placement = self._settings, self._opened.placement
        try:
            with (
                explained_memory(placement, settings.batch_size, 1),
                deterministic_algorithms(self._opened.config.train.deterministic),
            ):
                return self._predicted(image, source)
        except OutOfMemoryError as error:
            now = settings.tile if self._tile is None else max(self._tile)
            raise OutOfMemoryError(
                f"out of memory on {placement.device}: lower predict.tile (now {now}) "
                f"or predict.batch_size (now {settings.batch_size})"
            ) from error

    def _sides(self, tile: int | str) -> tuple[int, int] | None:
        """Return (H, W) of the tiles in a picture's own pixels; None if there are none."""
        if self.reader.size is None:
            side = TILE_OF_PIXELS if self.is_dense else TILE_OF_OBJECTS
            side = tile if isinstance(tile, int) else side
            return (side, side) if self.is_drawn else None
        if not isinstance(tile, int) or not self.is_drawn:
            return None
        height, width = self.reader.size
        if not self.is_dense:
            longer = max(height, width)
            return max(1, round(tile * height / longer)), max(1, round(tile * width / longer))
        # Checkpoints of heads that classify pixels may have this number for `auto`.
        if tile == TILE_OF_PIXELS:
            return None
        raise UsageError(
            f"predict.tile={tile}: pictures are brought to {height} x {width} pixels to classify "
            "each, and shown whole; leave it at auto"
        )

    def _predicted(self, image: Image.Image, source: str) -> dict[str, Prediction | Objects]:
        gathered: _Gathered = {}
        size = (image.height, image.width)
        maps = {
            head: np.full(size, IGNORED, np.uint8)
            if form.key == "semantic"
            else np.zeros((form.channels, *size), np.bool_)
            for head, form in self.forms.items()
            if form.is_dense
        }
        for box, scores, inside in self._parts(image, source, gathered):
            place = (..., slice(box.top, box.bottom), slice(box.left, box.right))
            for head, of_pixels in scores.items():
                key = self.forms[head].key
                decided = self._opened.task.decide(head, of_pixels)[key].cpu()
                if inside is not None:
                    decided = decided.masked_fill(~inside, 0 if key == "masks" else IGNORED)
                maps[head][place] = decided.numpy()
        predictions: dict[str, Prediction | Objects] = {}
        for head, form in self.forms.items():
            if form.is_dense:
                predictions[head] = {form.key: torch.from_numpy(maps[head])}
            elif form.is_of_objects:
                predictions[head] = merged(gathered[head], size)
            else:
                predictions[head] = self._of_whole(head, [*gathered[head].values()])
        return predictions

    def _parts(
        self, image: Image.Image, source: str, gathered: _Gathered
    ) -> Iterator[tuple[Box, Scores, Tensor | None]]:
        """Yield the scores of pixels part by part, and gather all other predictions."""
        size, settings = (image.height, image.width), self._settings
        if not self.is_dense:
            boxes = grid(size, self._tile or size, settings.overlap)
            for first in range(0, len(boxes), settings.batch_size):
                batch = boxes[first : first + settings.batch_size]
                self._scored(image, batch, source, gathered)
        elif self._tile is None:
            whole = Box(0, 0, *size)
            ((scores, geometry),) = self._scored(image, [whole], source, gathered)
            yield from resampled(scores, geometry, size)
        else:
            channels = sum(form.channels for form in self.forms.values() if form.is_dense)
            for box, scores in blended(
                size,
                self._tile[0],
                settings.overlap,
                channels,
                settings.batch_size,
                lambda boxes: [s for s, _ in self._scored(image, boxes, source, gathered)],
            ):
                yield box, scores, None

    def _scored(
        self, image: Image.Image, boxes: Sequence[Box], source: str, gathered: _Gathered
    ) -> list[tuple[Scores, Tensor]]:
        """Return the scores of canvas pixels with the geometry of each part; gather the rest."""
        whole = boxes[0] == Box(0, 0, image.height, image.width)
        reader = self.reader if whole else self._of_tiles
        fitted = [reader.fitted(_cut(image, box)) for box in boxes]
        predictions = self._scorer([pixels for pixels, _ in fitted], self.forms, source)
        of_pixels: list[tuple[Scores, Tensor]] = []
        for box, (_, geometry), parts in zip(boxes, fitted, predictions, strict=True):
            scores = {h: parts[h]["scores"] for h in parts if self.forms[h].is_dense}
            of_pixels.append((scores, geometry))
            for head in parts.keys() - scores.keys():
                part: Prediction | Objects = parts[head]
                if self.forms[head].is_of_objects:
                    part = objects_in(parts[head], geometry, box, source)
                gathered.setdefault(head, {})[box] = part
        return of_pixels

    def _of_whole(self, head: str, parts: Sequence[Prediction]) -> Prediction:
        """Return the prediction for a picture from those of its tiles.

        A class has the mean of its scores there, a label the greatest.
        """
        scores = torch.stack([part["scores"].float().cpu() for part in parts])
        if self.forms[head].key == "class":
            return {"class": scores.mean(dim=0).argmax(), "scores": scores.mean(dim=0)}
        labels = torch.unique(torch.cat([part["labels"].cpu() for part in parts]))
        return {"labels": labels, "scores": scores.amax(dim=0)}


def _cut(image: Image.Image, box: Box) -> Image.Image:
    sides = (box.left, box.top, box.right, box.bottom)
    return image if sides == (0, 0, *image.size) else image.crop(sides)
