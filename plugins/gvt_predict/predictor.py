"""Prediction of all heads for an image of any size."""

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
from gvt_predict.forms import forms_of
from gvt_predict.merging import merged
from gvt_predict.objects import Objects, objects_in
from gvt_predict.reader import reader_of
from gvt_predict.resampled import resampled
from gvt_predict.scoring import Scorer
from gvt_predict.settings import PredictConfig
from gvt_predict.tiles import Box, Scores, blended, grid

PROBE = 256
"""Side in pixels of the image that probes heads that do not declare what they predict, if the
model takes any size."""

TILE_OF_PIXELS, TILE_OF_OBJECTS = 512, 1024
"""Default sides of tiles; detection needs more context than pixel classification."""

_Gathered = dict[str, dict[Box, Any]]
"""Predictions for each part of an image by head, except those of pixels."""


class Predictor:
    """Runs a trained model on one image at a time.

    Args:
        opened: The model.
        settings: The section `predict`.

    Attributes:
        forms: Form of the predictions of each head, by the head's name.
        reader: Reader of image files. To detect objects in the whole image, it pads if the reader
            of the training crops and no head classifies pixels.

    Raises:
        UsageError: If the task makes no predictions, or predictions that cannot be written, or
            `predict.tile` is set for a model that cannot use tiles.
    """

    def __init__(self, opened: Opened, settings: PredictConfig) -> None:
        self._opened, self._settings = opened, settings
        self._scorer = Scorer(opened.task, opened.placement, settings.flips)
        declared = opened.task.predicts()
        is_declared = bool(declared) and all(declared.values())
        self.forms = forms_of(declared if is_declared else self._probed(), opened.info)
        reader = reader_of(opened, own_size=self.is_drawn)
        # In a narrow image, tiles are narrow, too. Cropping would cut off their ends, and
        # stretching would change the proportions of objects.
        is_of_objects = self._has_objects and not self.is_dense
        is_lossy = reader.size is not None and reader.fit in ("crop", "stretch")
        self._of_tiles = replace(reader, fit="pad") if is_of_objects and is_lossy else reader
        self.reader = self._of_tiles if reader.fit == "crop" else reader
        self._tile = self._sides(settings.tile)

    def _probed(self) -> dict[str, tuple[str, ...]]:
        """Return the keys of the predictions of each head for a black image."""
        opened = self._opened
        shape = opened.info.image_shape
        if opened.info.reader is not None or shape is None:
            reader = reader_of(opened, own_size=False)
            shape = (reader.channels, *(reader.size or (PROBE, PROBE)))
        try:
            return self._scorer.keys(shape)
        except NotImplementedError as error:
            raise UsageError(
                f"{opened.config.recipe}: {error}, so there is nothing to predict"
            ) from error

    @property
    def is_dense(self) -> bool:
        """Whether a head classifies each pixel."""
        return any(form.is_dense for form in self.forms.values())

    @property
    def is_drawn(self) -> bool:
        """Whether a head predicts pixels or objects."""
        return self.is_dense or self._has_objects

    @property
    def _has_objects(self) -> bool:
        return any(form.is_of_objects for form in self.forms.values())

    def __call__(self, image: Image.Image, source: str) -> dict[str, Prediction | Objects]:
        """Return the predictions for an image by head, on the CPU.

        For the whole image this is `class` () with scores (K,), or `labels` (M,) with scores (K,).
        For pixels it is `semantic` (H, W) uint8 in the size of the image, 255 where the model had
        no input, or `masks` (K, H, W) bool. For objects it is all detections.

        Args:
            image: Upright and opaque image in its original size, with the reader's channels.
            source: Name of the image in errors.

        Raises:
            DataError: If a predicted box or score is not finite.
            OutOfMemoryError: If the memory of the device is too small; names the settings to lower.
        """
        settings, placement = self._settings, self._opened.placement
        try:
            with (
                explained_memory(placement, settings.batch_size, 1),
                deterministic_algorithms(self._opened.config.train.deterministic),
            ):
                return self._predict(image, source)
        except OutOfMemoryError as error:
            side = settings.tile if self._tile is None else max(self._tile)
            raise OutOfMemoryError(
                f"out of memory on {placement.device}: lower predict.tile (now {side}) "
                f"or predict.batch_size (now {settings.batch_size})"
            ) from error

    def _sides(self, tile: int | str) -> tuple[int, int] | None:
        """Return (H, W) of the tiles in pixels of the original image; None for no tiles."""
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
        # In checkpoints of heads that classify pixels, this number may stand for `auto`.
        if tile == TILE_OF_PIXELS:
            return None
        raise UsageError(
            f"predict.tile={tile}: the model resizes images to {height} x {width} pixels and "
            "classifies the pixels without tiles; use predict.tile=auto"
        )

    def _predict(self, image: Image.Image, source: str) -> dict[str, Prediction | Objects]:
        gathered: _Gathered = {}
        size = (image.height, image.width)
        maps: dict[str, Any] = {}
        for box, scores, inside in self._parts(image, source, gathered):
            place = (..., slice(box.top, box.bottom), slice(box.left, box.right))
            for head, pixel_scores in scores.items():
                key = self.forms[head].key
                classes = self._opened.task.decide(head, pixel_scores)[key].cpu()
                if head not in maps and key == "semantic":
                    maps[head] = np.full(size, IGNORED, np.uint8)
                elif head not in maps:
                    maps[head] = np.zeros((len(classes), *size), np.bool_)
                if inside is not None:
                    classes = classes.masked_fill(~inside, 0 if key == "masks" else IGNORED)
                maps[head][place] = classes.numpy()
        predictions: dict[str, Prediction | Objects] = {}
        for head, form in self.forms.items():
            if form.is_dense:
                predictions[head] = {form.key: torch.from_numpy(maps[head])}
            elif form.is_of_objects:
                predictions[head] = merged(gathered[head], size)
            else:
                predictions[head] = self._of_image(head, [*gathered[head].values()])
        return predictions

    def _parts(
        self, image: Image.Image, source: str, gathered: _Gathered
    ) -> Iterator[tuple[Box, Scores, Tensor | None]]:
        """Yield the pixel scores of each part of an image, and gather all other predictions."""
        size, settings = (image.height, image.width), self._settings
        if not self.is_dense:
            boxes = grid(size, self._tile or size, settings.overlap)
            for first in range(0, len(boxes), settings.batch_size):
                batch = boxes[first : first + settings.batch_size]
                self._score(image, batch, source, gathered)
        elif self._tile is None:
            whole = Box(0, 0, *size)
            ((scores, geometry),) = self._score(image, [whole], source, gathered)
            yield from resampled(scores, geometry, size)
        else:
            channels = sum(form.channels for form in self.forms.values() if form.is_dense)
            for box, scores in blended(
                size,
                self._tile[0],
                settings.overlap,
                channels,
                settings.batch_size,
                lambda boxes: [s for s, _ in self._score(image, boxes, source, gathered)],
            ):
                yield box, scores, None

    def _score(
        self, image: Image.Image, boxes: Sequence[Box], source: str, gathered: _Gathered
    ) -> list[tuple[Scores, Tensor]]:
        """Return the pixel scores on the canvas and the geometry of each part; gather the rest."""
        whole = boxes[0] == Box(0, 0, image.height, image.width)
        reader = self.reader if whole else self._of_tiles
        fitted = [reader.fitted(_cut(image, box)) for box in boxes]
        predictions = self._scorer([pixels for pixels, _ in fitted], self.forms, source)
        pixel_scores: list[tuple[Scores, Tensor]] = []
        for box, (_, geometry), parts in zip(boxes, fitted, predictions, strict=True):
            scores = {h: parts[h]["scores"] for h in parts if self.forms[h].is_dense}
            pixel_scores.append((scores, geometry))
            for head in parts.keys() - scores.keys():
                part: Prediction | Objects = parts[head]
                if self.forms[head].is_of_objects:
                    part = objects_in(parts[head], geometry, box, source)
                gathered.setdefault(head, {})[box] = part
        return pixel_scores

    def _of_image(self, head: str, parts: Sequence[Prediction]) -> Prediction:
        """Return the prediction for an image from those for its tiles.

        The scores of classes are averaged over the tiles; those of labels are the maximum.
        """
        scores = torch.stack([part["scores"].float().cpu() for part in parts])
        if self.forms[head].key == "class":
            return {"class": scores.mean(dim=0).argmax(), "scores": scores.mean(dim=0)}
        labels = torch.unique(torch.cat([part["labels"].cpu() for part in parts]))
        return {"labels": labels, "scores": scores.amax(dim=0)}


def _cut(image: Image.Image, box: Box) -> Image.Image:
    sides = (box.left, box.top, box.right, box.bottom)
    return image if sides == (0, 0, *image.size) else image.crop(sides)
