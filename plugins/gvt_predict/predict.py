"""Prediction of classes, masks and objects for image files."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, ClassVar

from gvt import DataError, Opened, Prediction
from gvt import open as open_trained
from gvt.device import keep_freed_memory
from gvt.printable import printable
from gvt.session import PathLike
from gvt_predict.files import Source, find_pictures, passed_over
from gvt_predict.objects import Objects
from gvt_predict.predictor import Predictor
from gvt_predict.result import Predicted, summary_of
from gvt_predict.settings import PredictConfig
from gvt_predict.values import ValueJob
from gvt_predict.writing import Writer, Written, check_folder

CHANGEABLE = ("predict", "device")
"""Sections of a checkpoint's configuration that overrides may change."""

MOST_PIXELS = 1 << 30
"""Largest number of pixels of an image: 4 GB of memory in colour, and 1 GB for its mask."""

DEFAULT_FOLDER = Path("predictions")
"""Where the command line writes masks and objects by default."""


def predict(
    trained: PathLike,
    files: PathLike | Sequence[PathLike],
    *overrides: str,
    out: PathLike | None = None,
    averaged: bool = True,
) -> list[Predicted]:
    """Run a trained model on image files, of any size up to 2**30 pixels.

    Images are read as in training. If pixels are classified or objects are detected, and images
    keep their own size, large images are predicted in overlapping tiles (`predict.tile`,
    `predict.overlap`): scores are blended, and objects are merged. If images are resized to a
    fixed size, each is predicted as a whole; `predict.tile=PIXELS` detects objects in tiles of
    that many pixels, each resized to the fixed size. If no pixels are classified, objects are
    detected in the whole image: `fit: crop` of the training becomes `pad`, and tiles are not
    stretched.

    The folder `out` gets these files:

    - `STEM.png`, if pixels are classified: an indexed PNG in the size of the image. The values are
      class indices; if the data has a background, it is 0, and class i is i + 1. Pixels cropped by
      the reader's `fit` are 255. If a pixel may have several labels, there is one mask for each
      class, `STEM_CLASS.png`. With several heads the files are `STEM_HEAD...`. Images found in a
      folder keep their subfolders.
    - `STEM_overlay.png`: the image with the classes of pixels in colour, and with objects whose
      score is at least `predict.score`. With several heads, masks of objects are outlined if pixels
      are painted; the boxes of the first head that detects objects have solid lines, the boxes of
      further heads dashed lines; an object that two heads detect has one name with both scores. A
      strip below the image has the predictions for the whole image, and a legend.
    - `predictions.jsonl`: one line for each image with `file`, `height`, `width`, `overlay`, and
      the predictions: for pixels `mask`, and `classes` with the share of each; for objects
      `objects`; for the whole image its `class` with the most probable classes as `top`, or its
      `labels`, and `scores` in the order of the classes. With several heads these are in `heads`,
      by head.
    - `predictions.json`, if objects are detected: all objects as COCO results, a list of
      `image_id` (the number of the image, from 1), `file_name`, `category_id`, `category_name`,
      `bbox` [x, y, width, height] in pixels of the image, `score`, and, if there are masks,
      `segmentation` as run lengths. With several heads it is `predictions_HEAD.json`.

    Args:
        trained: Run folder, checkpoint, or recipe with pretrained weights.
        files: Image files, and folders to search for images. For a model of texts: texts, text
            files, and folders of them.
        overrides: Overrides such as `predict.flips=true` or `device=cpu`; for a recipe, any.
        out: Folder for the files above. Without it, masks are returned.
        averaged: Whether to use the moving average of the weights, if there is one.

    Returns:
        One result for each image, with a message in `error` if the image failed.

    Raises:
        UsageError: If the model, a file or an override does not exist or is wrong, or two results
            would have the same file name.
        CheckpointError: If the checkpoint is damaged.
        OutOfMemoryError: If a tile does not fit into the memory of the device.
    """
    paths = [files] if isinstance(files, str | os.PathLike) else files
    return list(open_job(trained, paths, overrides, out, averaged=averaged))


def open_job(
    trained: PathLike,
    files: Sequence[PathLike],
    overrides: Sequence[str] = (),
    out: PathLike | None = None,
    *,
    averaged: bool = True,
    writes_places: bool = False,
) -> Job | ValueJob:
    """Return the prediction of images, or of what the field of the model's input reads.

    Args:
        trained: As for `predict`.
        files: As for `predict`.
        overrides: As for `predict`.
        out: As for `predict`.
        averaged: As for `predict`.
        writes_places: Whether masks and objects are written to `DEFAULT_FOLDER` without `out`.
    """
    opened = open_trained(trained, *overrides, changeable=CHANGEABLE, averaged=averaged)
    if field := (opened.info.reader or {}).get("field"):
        return ValueJob(opened, field, files, out)
    return Job(opened, files, out, writes_places=writes_places)


class Job:
    """Prediction of image files, one at a time; all checks are made on construction.

    Args:
        opened: The model.
        files: As for `predict`.
        out: As for `predict`.
        writes_places: Whether masks and objects are written to `DEFAULT_FOLDER` without `out`.

    Attributes:
        noun: What is predicted, for messages.
        sources: Image files.
        out: Output folder, if any.
    """

    noun: ClassVar[str] = "images"

    def __init__(
        self,
        opened: Opened,
        files: Sequence[PathLike],
        out: PathLike | None = None,
        *,
        writes_places: bool = False,
    ) -> None:
        self.out = None if out is None else Path(out)
        paths = [Path(path) for path in files]
        self.sources = find_pictures(paths, self.out)
        if self.out is not None:
            check_folder(self.out)
        settings = opened.config.section("predict", PredictConfig)
        keep_freed_memory(opened.placement.device)
        self._predictor = Predictor(opened, settings)
        images = [source.path for source in self.sources]
        for note in passed_over(paths, self.out):
            warnings.warn(note, stacklevel=2)
        for note in self._predictor.reader.notes_on(images):
            warnings.warn(f"{note}; this is a setting of the training", stacklevel=2)
        self._facts, self._score = opened.info, settings.score
        if self.out is None and writes_places and self._predictor.is_drawn:
            self.out = DEFAULT_FOLDER
            check_folder(self.out)
            self.sources = find_pictures(paths, self.out)
        self._writer = None
        if self.out is not None:
            self._writer = Writer(self.out, self._predictor.forms, self._facts, self._score)
            self._writer.check(self.sources)

    def __iter__(self) -> Iterator[Predicted]:
        """Yield the result for each image once its files are complete."""
        if self._writer is None:
            yield from map(self._predict, self.sources)
            return
        with closing(self._writer):
            yield from map(self._predict, self.sources)

    def _predict(self, source: Source) -> Predicted:
        try:
            image = self._predictor.reader.open(source.path, MOST_PIXELS).image
            predictions = self._predictor(image, str(source.path))
        except MemoryError:
            return self._failed(source, f"{printable(source.path)}: out of memory")
        except DataError as error:
            # The advice in the message is about training.
            return self._failed(source, str(error).partition("; mend or remove it")[0])
        size = (image.height, image.width)
        # Before the masks are written, which changes their values.
        parts = {head: self._summary(part) for head, part in predictions.items()}
        files = Written()
        if self._writer is not None:
            files = self._writer.pictures(source, image, predictions)
            self._writer.entries(source, size, predictions)
        summary = {
            "file": printable(source.path),
            "height": size[0],
            "width": size[1],
            **self._with_files(parts, files),
        }
        if self._writer is not None:
            self._writer.line(summary)
        prediction = self._unwritten(predictions, size)
        return Predicted(source.path, size, prediction, summary, files.files)

    def _with_files(self, parts: dict[str, dict[str, Any]], files: Written) -> dict[str, Any]:
        """Return the heads' summaries with the names of files; several heads are in `heads`."""

        def name(path: Path) -> str:
            assert self.out is not None
            return path.relative_to(self.out).as_posix()

        overlay = {} if files.overlay is None else {"overlay": name(files.overlay)}
        masks: dict[str, dict[str, Any]] = {head: {} for head in parts}
        for head, paths in files.masks.items():
            is_multilabel = self._predictor.forms[head].key == "masks"
            masks[head] = (
                {"masks": [*map(name, paths)]} if is_multilabel else {"mask": name(paths[0])}
            )
        if len(parts) == 1:
            (head,) = parts
            return {**masks[head], **overlay, **parts[head]}
        return {**overlay, "heads": {head: masks[head] | part for head, part in parts.items()}}

    def _failed(self, source: Source, error: str) -> Predicted:
        if self._writer is not None:
            self._writer.begin()
        return Predicted(source.path, error=error)

    def _summary(self, part: Prediction | Objects) -> dict[str, Any]:
        return summary_of(part, self._facts.classes, self._facts.background, self._score)

    def _unwritten(
        self, predictions: dict[str, Prediction | Objects], size: tuple[int, int]
    ) -> dict[str, Any]:
        """Return the predictions for an image without the masks that were written to files."""
        parts: dict[str, Any] = {}
        for head, part in predictions.items():
            if isinstance(part, Objects):
                parts[head] = part.prediction(size if self._writer is None else None)
            elif self._writer is None or not self._predictor.forms[head].is_dense:
                parts[head] = part
        return parts if len(predictions) > 1 else next(iter(parts.values()), {})
