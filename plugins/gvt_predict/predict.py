"""`gvt predict`: from picture files to classes, masks or objects."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from gvt import DataError, Prediction
from gvt import open as open_trained
from gvt.device import keep_freed_memory
from gvt.printable import printable
from gvt.session import PathLike
from gvt_predict.files import Source, find_pictures, passed_over
from gvt_predict.objects import Objects
from gvt_predict.predictor import Predictor
from gvt_predict.result import Predicted, summary_of
from gvt_predict.settings import PredictConfig
from gvt_predict.writing import Writer, Written, check_folder

CHANGEABLE = ("predict", "device")
"""Sections of a checkpoint's configuration that a prediction can change."""

MOST_PIXELS = 1 << 30
"""Largest number of pixels of a picture: 4 GB of memory in colour, and 1 GB for its mask."""

DEFAULT_FOLDER = Path("predictions")
"""Where the command line writes masks and objects by default."""


def predict(
    trained: PathLike,
    files: PathLike | Sequence[PathLike],
    *overrides: str,
    out: PathLike | None = None,
    averaged: bool = True,
) -> list[Predicted]:
    """Run a trained model on picture files, of any size up to 2**30 pixels.

    Pictures are read as the training read them. Where pixels are classified or objects are found,
    and pictures keep their own size, larger ones are predicted in overlapping tiles
    (`predict.tile`, `predict.overlap`): scores are blended, and an object is found once. Pictures
    that are fitted to a size are predicted whole; `predict.tile=PIXELS` finds objects in parts of
    that many pixels, each fitted to the size. Where no pixels are classified, objects are found in
    all of a picture: the training's `fit: crop` becomes `pad`, and tiles are not stretched.

    A folder `out` gets these files:

    - `STEM.png`, where pixels are classified: an indexed PNG in the picture's own size. A value is
      the number of a class; where the data has a background, that is 0, and class i is i + 1. 255
      is what the model was not shown, where the reader's `fit` crops. Where a pixel may have
      several labels each class has a mask, `STEM_CLASS.png`. With several heads the files are
      `STEM_HEAD...`. Pictures found in a folder keep the folders in between.
    - `STEM_overlay.png`: the picture with the colours of classes of pixels, and with the objects
      of at least `predict.score`. With several heads, masks of objects are outlined where pixels
      are painted; boxes of the first head that finds objects have solid lines, those of others
      dashed ones; an object that two heads find has one name with both scores. A strip below the
      picture has the predictions for all of it, and a key to lines and colours.
    - `predictions.jsonl`: a line a picture with `file`, `height`, `width`, `overlay`, and the
      predictions: for pixels `mask`, and `classes` with the share of each; for objects `objects`;
      for the whole picture its `class` with the likeliest ones as `top`, or its `labels`, and
      `scores` in the order of the classes. With several heads these are in `heads`, by head.
    - `predictions.json`, where objects are found: all of them as COCO's results, a list of
      `image_id` (the picture's place, from 1), `file_name`, `category_id`, `category_name`, `bbox`
      [x, y, width, height] in the picture's pixels, `score`, and `segmentation` as run lengths
      where there are masks. With several heads it is `predictions_HEAD.json`.

    Args:
        trained: A run's folder, a checkpoint, or a recipe whose networks are given weights.
        files: Picture files, and folders that are searched for them.
        overrides: Such as `predict.flips=true` or `device=cpu`; of a recipe any.
        out: A folder for the files above. Without it masks are returned.
        averaged: Take the moving average of the weights where there is one.

    Returns:
        One result a picture. If it could not be read or predicted, its `error` says why.

    Raises:
        UsageError: If the model, a file or an override does not exist or is wrong, or two results
            would be files of one name.
        CheckpointError: If the checkpoint is damaged.
        OutOfMemoryError: If a tile does not fit the device.
    """
    paths = [files] if isinstance(files, str | os.PathLike) else files
    return list(Job(trained, paths, overrides, out, averaged=averaged))


class Job:
    """Checks everything that can be checked beforehand, then predicts picture by picture.

    Args:
        trained: As for `predict`, and so are `files`, `overrides`, `out` and `averaged`.
        files: See there.
        overrides: See there.
        out: See there.
        averaged: See there.
        writes_places: Whether masks and objects go into `DEFAULT_FOLDER` if `out` is not given.

    Attributes:
        sources: The pictures.
        out: The folder that is written to, if any.
    """

    def __init__(
        self,
        trained: PathLike,
        files: Sequence[PathLike],
        overrides: Sequence[str] = (),
        out: PathLike | None = None,
        *,
        averaged: bool = True,
        writes_places: bool = False,
    ) -> None:
        self.out = None if out is None else Path(out)
        paths = [Path(path) for path in files]
        self.sources = find_pictures(paths, self.out)
        if self.out is not None:
            check_folder(self.out)
        opened = open_trained(trained, *overrides, changeable=CHANGEABLE, averaged=averaged)
        settings = opened.config.section("predict", PredictConfig)
        keep_freed_memory(opened.placement.device)
        self._predictor = Predictor(opened, settings)
        pictures = [source.path for source in self.sources]
        for note in passed_over(paths, self.out):
            warnings.warn(note, stacklevel=2)
        for note in self._predictor.reader.notes_on(pictures):
            warnings.warn(f"{note}; it is a setting of the training", stacklevel=2)
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
        """Yield one result a picture; its files are complete by then."""
        if self._writer is None:
            yield from map(self._predicted, self.sources)
            return
        with closing(self._writer):
            yield from map(self._predicted, self.sources)

    def _predicted(self, source: Source) -> Predicted:
        try:
            image = self._predictor.reader.open(source.path, MOST_PIXELS).image
            predictions = self._predictor(image, str(source.path))
        except MemoryError:
            return self._failed(source, f"{printable(source.path)}: out of memory")
        except DataError as error:
            # What the error advises is for those who train.
            return self._failed(source, str(error).partition("; mend or remove it")[0])
        size = (image.height, image.width)
        # Before they are written, since that changes the values of masks.
        parts = {head: self._summary(part) for head, part in predictions.items()}
        written = Written()
        if self._writer is not None:
            written = self._writer.pictures(source, image, predictions)
            self._writer.entries(source, size, predictions)
        summary = {
            "file": printable(source.path),
            "height": size[0],
            "width": size[1],
            **self._with_files(parts, written),
        }
        if self._writer is not None:
            self._writer.line(summary)
        returned = self._returned(predictions, size)
        return Predicted(source.path, size, returned, summary, written.files)

    def _with_files(self, parts: dict[str, dict[str, Any]], written: Written) -> dict[str, Any]:
        """Return the heads' summaries with the names of files, several heads' under `heads`."""

        def named(path: Path) -> str:
            assert self.out is not None
            return path.relative_to(self.out).as_posix()

        overlay = {} if written.overlay is None else {"overlay": named(written.overlay)}
        masks: dict[str, dict[str, Any]] = {head: {} for head in parts}
        for head, paths in written.masks.items():
            several = self._predictor.forms[head].key == "masks"
            masks[head] = {"masks": [*map(named, paths)]} if several else {"mask": named(paths[0])}
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

    def _returned(
        self, predictions: dict[str, Prediction | Objects], size: tuple[int, int]
    ) -> dict[str, Any]:
        """Return the predictions for a picture, without the masks that are in files."""
        returned: dict[str, Any] = {}
        for head, part in predictions.items():
            if isinstance(part, Objects):
                returned[head] = part.prediction(size if self._writer is None else None)
            elif self._writer is None or not self._predictor.forms[head].is_dense:
                returned[head] = part
        return returned if len(predictions) > 1 else next(iter(returned.values()), {})
