"""`gvt predict`: pictures in, names, masks or objects out."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from gvt import open as open_trained
from gvt.device.placement import keep_freed_memory
from gvt.errors import DataError
from gvt.interfaces import Prediction
from gvt.printable import printable
from gvt.session.finding import PathLike
from gvt_predict.files import Source, find_pictures, passed_over
from gvt_predict.objects import Objects
from gvt_predict.predictor import Predictor
from gvt_predict.result import Predicted, summary_of
from gvt_predict.settings import PredictConfig
from gvt_predict.writing import Writer, check_folder

CHANGEABLE = ("predict", "device")
"""Sections of a checkpoint's configuration that a prediction can have otherwise."""

MOST_PIXELS = 1 << 30
"""Pixels that a picture may have here; 4 GB of memory in colour, and its mask another one."""

DEFAULT_FOLDER = Path("predictions")
"""Where the command line writes masks and objects unless it is told."""


def predict(
    trained: PathLike,
    files: PathLike | Sequence[PathLike],
    *overrides: str,
    out: PathLike | None = None,
    averaged: bool = True,
) -> list[Predicted]:
    """Return what trained networks say of picture files.

    Pictures are read as the training read them, and may have up to 2**30 pixels. Where each pixel
    is classified or objects are found, and pictures keep their own size, larger ones are predicted
    in overlapping tiles (`predict.tile`, `predict.overlap`), whose scores are blended, and in
    which an object is found once. Pictures that are brought to a size are predicted in one piece;
    objects in much larger ones are found with `predict.tile=PIXELS`, the part of them that is
    brought to the size at a time. Where no pixels are classified objects are looked for in all of
    a picture: what the training's `fit: crop` would lose is shown too, as by `pad`, and tiles are
    not stretched.

    A folder gets of each picture whose pixels are classified `STEM.png`, an indexed PNG in its own
    size. A value there is the class's number; where the data has a background that is 0, and class
    i is i + 1. 255 is what the network was not shown, where the reader's `fit` crops. Where a pixel
    may have several labels each class has a mask of its own, `STEM_CLASS.png`, and of several heads
    the files are `STEM_HEAD...`. Pictures that were found in a folder keep the folders in between.

    `STEM_overlay.png` is the picture with all that is said of places in it: pixels in the colours
    of their classes, and objects with a score of at least `predict.score`. Several heads are drawn
    together. Masks of objects are outlined then where pixels are painted; boxes of the first head
    that finds objects have whole lines, those of the others broken ones, and an object that two of
    them find has one name with both scores. In a strip below the picture stands what is said of
    the whole of it, and what lines and colours mean.

    `predictions.jsonl` has a line a picture: `file`, `height`, `width`, `overlay`, and what is
    said. Of pixels that is the `mask`, and `classes` with the share of each; of objects `objects`;
    of the whole picture its `class` with the likeliest ones as `top`, or its `labels`, and `scores`
    in the order of the classes. Of several heads all this is in `heads`, by the heads' names.

    Where objects are found `predictions.json` has all of them, as COCO's results with the pictures'
    file names and the classes' names: a list of `image_id` (the picture's place, from 1),
    `file_name`, `category_id`, `category_name`, `bbox` [x, y, width, height] in the picture's
    pixels, `score`, and `segmentation` as run lengths where there are masks. Of several heads it is
    `predictions_HEAD.json`.

    Args:
        trained: A run's folder, a checkpoint, or a recipe whose networks are given weights.
        files: Picture files, and folders that are searched for them.
        overrides: Such as `predict.flips=true` or `device=cpu`; of a recipe any.
        out: A folder for masks, overlays, `predictions.jsonl` and `predictions.json`. Without it
            masks are returned.
        averaged: Take the moving average of the weights where there is one.

    Returns:
        One result a picture. Of one that cannot be read, or of which no numbers are said, its
        `error` says why.

    Raises:
        UsageError: If the networks, a file or an override is not there or wrong, or two results
            would be files of one name.
        CheckpointError: If the checkpoint is damaged.
        OutOfMemoryError: If a tile does not fit the device.
    """
    paths = [files] if isinstance(files, str | os.PathLike) else files
    return list(Job(trained, paths, overrides, out, averaged=averaged))


class Job:
    """Everything that can be wrong beforehand is looked at here, and then picture by picture.

    Args:
        trained: As for `predict`, and so are `files`, `overrides`, `out` and `averaged`.
        files: See there.
        overrides: See there.
        out: See there.
        averaged: See there.
        writes_places: Whether masks and objects go into `DEFAULT_FOLDER` where `out` is not given.

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
        """Yield one result a picture; what is written of it is complete by then."""
        if self._writer is None:
            yield from map(self._predicted, self.sources)
            return
        with closing(self._writer):
            yield from map(self._predicted, self.sources)

    def _predicted(self, source: Source) -> Predicted:
        try:
            image = self._predictor.reader.open(source.path, MOST_PIXELS).image
            found = self._predictor(image, str(source.path))
        except MemoryError:
            return self._failed(source, f"{printable(source.path)}: out of memory")
        except DataError as error:
            # What to do about it is for those who train.
            return self._failed(source, str(error).partition("; mend or remove it")[0])
        size = (image.height, image.width)
        parts = {head: self._summary(part) for head, part in found.items()}
        files: list[Path] = []
        overlay: dict[str, Any] = {}
        if self._writer is not None:
            written = self._writer.pictures(source, image, found)
            self._writer.entries(source, size, found)
            files = written.files
            for head, masks in written.masks.items():
                names = [self._relative(path) for path in masks]
                several = self._predictor.forms[head].key == "masks"
                parts[head] = {
                    **({"masks": names} if several else {"mask": names[0]}),
                    **parts[head],
                }
            if written.overlay is not None:
                overlay = {"overlay": self._relative(written.overlay)}
        summary = {
            "file": printable(source.path),
            "height": size[0],
            "width": size[1],
            **_with(overlay, parts),
        }
        if self._writer is not None:
            self._writer.line(summary)
        return Predicted(source.path, size, self._returned(found, size), summary, tuple(files))

    def _relative(self, path: Path) -> str:
        assert self._writer is not None
        return path.relative_to(self._writer.folder).as_posix()

    def _failed(self, source: Source, error: str) -> Predicted:
        if self._writer is not None:
            self._writer.begin()
        return Predicted(source.path, error=error)

    def _summary(self, part: Prediction | Objects) -> dict[str, Any]:
        return summary_of(part, self._facts.classes, self._facts.background, self._score)

    def _returned(
        self, found: dict[str, Prediction | Objects], size: tuple[int, int]
    ) -> dict[str, Any]:
        """Return what is said of a picture, without the masks that are in files."""
        returned: dict[str, Any] = {}
        for head, part in found.items():
            if isinstance(part, Objects):
                returned[head] = part.prediction(size if self._writer is None else None)
            elif self._writer is None or not self._predictor.forms[head].is_dense:
                returned[head] = part
        return _flat(returned)


def _flat(by_head: dict[str, Any]) -> dict[str, Any]:
    """Return what one head says as it is, and what several say by their names."""
    return dict(by_head.get("", by_head))


def _with(overlay: dict[str, Any], parts: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Return what is said with the picture that it is drawn on; of several heads, before them."""
    if "" not in parts:
        return {**overlay, "heads": parts}
    masks = {key: value for key, value in parts[""].items() if key in ("mask", "masks")}
    return {**masks, **overlay, **parts[""]}
