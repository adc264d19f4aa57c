"""One picture, of any size, to what the heads say of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from gvt.batch import IGNORED
from gvt.device import deterministic_algorithms, explained_memory
from gvt.errors import OutOfMemoryError, UsageError
from gvt.interfaces import Prediction
from gvt.pictures.reader import pixels_of
from gvt.prediction.resampled import resampled
from gvt.prediction.scoring import Scorer
from gvt.prediction.tiles import Box, Scores, blended
from gvt.prediction.trained import Trained

PROBE = 256
"""Side in pixels of the image that heads are tried on where none is prescribed."""


class Predictor:
    """Trained networks, asked about one picture after the other.

    Args:
        trained: The networks.

    Attributes:
        forms: Of each head's predictions, by the head's name.
        reader: How picture files become images.

    Raises:
        UsageError: If the task makes no predictions, or some that cannot be written.
    """

    def __init__(self, trained: Trained) -> None:
        self._trained, self._settings = trained, trained.settings
        self._scorer = Scorer(trained.task, trained.placement, trained.settings.flips)
        shape = trained.facts.image_shape
        if trained.facts.reader is not None or shape is None:
            reader = trained.reader(own_size=False)
            shape = (reader.channels, *(reader.size or (PROBE, PROBE)))
        try:
            self.forms = self._scorer.forms(shape)
        except NotImplementedError as error:
            raise UsageError(f"{trained.config.recipe}: {error}, so there is nothing to do") from (
                error
            )
        self.reader = trained.reader(own_size=self.is_dense)

    @property
    def is_dense(self) -> bool:
        """Whether a head classifies each pixel."""
        return any(form.is_dense for form in self.forms.values())

    def __call__(self, image: Image.Image, source: str) -> dict[str, Prediction]:
        """Return by head what is said of a picture, on the CPU.

        Of the whole picture that is `class` () with scores (K,), or `labels` (M,) with scores
        (K,); of pixels, in the picture's own size, `semantic` (H, W) uint8, 255 where the network
        was shown nothing, or `masks` (K, H, W) bool.

        Args:
            image: Upright and opaque, of the reader's channels, in its own size.
            source: What an error names.

        Raises:
            OutOfMemoryError: If the device does not hold it; says what to lower.
        """
        settings, placement = self._settings, self._trained.placement
        try:
            with (
                explained_memory(placement, settings.batch_size, 1),
                deterministic_algorithms(self._trained.config.train.deterministic),
            ):
                return self._predicted(image, source)
        except OutOfMemoryError as error:
            raise OutOfMemoryError(
                f"out of memory on {placement.device}: lower predict.tile (now {settings.tile}) "
                f"or predict.batch_size (now {settings.batch_size})"
            ) from error

    def _predicted(self, image: Image.Image, source: str) -> dict[str, Prediction]:
        whole: dict[str, list[Prediction]] = {}
        size = (image.height, image.width)
        maps = {
            head: np.full(size, IGNORED, np.uint8)
            if form.key == "semantic"
            else np.zeros((form.channels, *size), np.bool_)
            for head, form in self.forms.items()
            if form.is_dense
        }
        for box, scores, inside in self._parts(image, source, whole):
            place = (..., slice(box.top, box.bottom), slice(box.left, box.right))
            for head, of_pixels in scores.items():
                key = self.forms[head].key
                said = self._scorer.decide(head, of_pixels)[key].cpu()
                if inside is not None:
                    said = said.masked_fill(~inside, 0 if key == "masks" else IGNORED)
                maps[head][place] = said.numpy()
        found = {head: self._of_whole(head, parts) for head, parts in whole.items()}
        for head, values in maps.items():
            found[head] = {self.forms[head].key: torch.from_numpy(values)}
        return {head: found[head] for head in self.forms}

    def _parts(
        self, image: Image.Image, source: str, whole: dict[str, list[Prediction]]
    ) -> Iterator[tuple[Box, Scores, Tensor | None]]:
        """Yield the scores of pixels part by part, and keep what is said of whole images."""

        def predict(images: Sequence[Tensor]) -> list[Scores]:
            scores: list[Scores] = []
            for found in self._scorer(images, self.forms, source):
                scores.append({h: found[h]["scores"] for h in found if self.forms[h].is_dense})
                for head in found.keys() - scores[-1].keys():
                    whole.setdefault(head, []).append(found[head])
            return scores

        if self.reader.size is not None or not self.is_dense:
            pixels, geometry = self.reader.fitted(image)
            (scores,) = predict([pixels])
            if scores:
                yield from resampled(scores, geometry, (image.height, image.width))
            return
        settings = self._settings
        channels = sum(form.channels for form in self.forms.values() if form.is_dense)
        for box, scores in blended(
            (image.height, image.width),
            settings.tile,
            settings.overlap,
            channels,
            settings.batch_size,
            lambda boxes: predict([_cut(image, box) for box in boxes]),
        ):
            yield box, scores, None

    def _of_whole(self, head: str, parts: Sequence[Prediction]) -> Prediction:
        """Return what is said of a picture, where need be from what is said of its tiles.

        A class has the mean of its scores there, a label the greatest.
        """
        scores = torch.stack([part["scores"].float().cpu() for part in parts])
        if self.forms[head].key == "class":
            return {"class": scores.mean(dim=0).argmax(), "scores": scores.mean(dim=0)}
        labels = torch.unique(torch.cat([part["labels"].cpu() for part in parts]))
        return {"labels": labels, "scores": scores.amax(dim=0)}


def _cut(image: Image.Image, box: Box) -> Tensor:
    return pixels_of(image.crop((box.left, box.top, box.right, box.bottom)))
