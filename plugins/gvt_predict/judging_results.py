"""Scoring boxes from a file, such as another tool's, with the very metrics of our own."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gvt import open as open_trained
from gvt.batch import Record
from gvt.config import RunConfig
from gvt.data.facts import DataFacts
from gvt.device.placement import Placement
from gvt.errors import ConfigError, DataError
from gvt.heads.multihead import MultiHead
from gvt.interfaces import Head, Prediction, Task
from gvt.loop.evaluation import Evaluation, evaluate
from gvt.printable import printable
from gvt.session.build import build_task, open_dataset
from gvt.session.finding import PathLike
from gvt.session.judging import Judged, check_classes, split_of

if TYPE_CHECKING:
    from gvt_predict.coco_results import Results

MOST_NAMES = 5
"""Images that a warning names one by one."""


def evaluate_predictions(
    predictions: PathLike,
    of: PathLike | None = None,
    *overrides: str,
    split: str | None = None,
    out: PathLike | None = None,
) -> Evaluation:
    """Score a file of COCO's results on a split, by the same code that evaluates a checkpoint.

    The file may be the `predictions.json` of `gvt predict`, or any tool's. Data and metrics are
    those of a run or of a recipe, which need not be trained. Of several heads those that predict
    boxes judge it. A run's own evaluation stays as it is. Images that the file does not name have
    no detections; how many they are, and what the file says of other images, is a warning.

    Args:
        predictions: The JSON file. An entry names its image by `file_name` or `image_id`, and its
            class by `category_name` or `category_id`.
        of: A run's folder, a checkpoint, a recipe's name or the path of a YAML file; the latest
            run unless given.
        overrides: Such as `data.root=...`; of a recipe any.
        split: What it is scored on; the recipe's `evaluate.final`, else `evaluate.split`.
        out: A folder that numbers and pictures go into.

    Raises:
        UsageError: If there is no such run or recipe, the split is unknown, or an override would
            change the networks.
        ConfigError: If no head predicts boxes, or the data has other classes than the run's.
        DataError: If the file is malformed or names no image of the split, or the data is absent.
    """
    judged = judge_predictions(predictions, of, *overrides, split=split, out=out)
    judged.save()
    return judged.found


def judge_predictions(
    predictions: PathLike,
    of: PathLike | None = None,
    *overrides: str,
    split: str | None = None,
    out: PathLike | None = None,
) -> Judged:
    """Do what `evaluate_predictions` does, without writing anything yet."""
    from gvt.data.loading import HeldOut, resolved
    from gvt_predict.coco_results import Results

    file = Path(predictions)
    opened = open_trained(of, *overrides)
    config = opened.config
    split = split_of(config, split)
    dataset = open_dataset(config, split)
    facts = opened.info if opened.checkpoint else DataFacts.of(dataset, config)
    check_classes(dataset, facts.classes)
    # As for a checkpoint: no weights are wanted, and so no pretrained ones are read.
    task = _about_boxes(build_task(config, facts, {}), config)
    heads: list[Any] = list(task.heads.values())
    masks = any("masks" in head.needs for head in heads)
    numbers = getattr(dataset, "category_ids", None)
    results = Results.read(file, facts.classes, numbers, masks=masks)
    handed = _Handed(results, list(task.heads), printable(file), split)
    placement = Placement.resolve("cpu", "float32", "contiguous", False)
    held_out = HeldOut(dataset, resolved(dataset, config.data, placement), placement)
    # No network wants a batch, and the masks of one image alone may be many.
    size = 1 if masks else config.evaluate.batch_size or config.data.batch_size
    batches = held_out.batches(size)
    found = evaluate(task, batches, classes=facts.classes, results=handed)
    unused = results.unused()
    handed.report(unused)
    about = {
        "predictions": str(file),
        "images": handed.asked,
        "images_without_detections": len(handed.without),
        "images_not_in_the_split": len(unused),
        "overrides": list(overrides),
    }
    apart = "these are a file's predictions"
    to = None if out is None else Path(out)
    return Judged(found, split, None, facts.classes, about, None, apart, to)


class _Handed:
    """Hands out what a file says of an image, and counts.

    Args:
        results: What the file says.
        heads: Names of the heads that judge it.
        file: What a message calls it.
        split: What it is scored on.

    Attributes:
        asked: Images that were asked for.
        without: Sources of those that the file says nothing of.
    """

    def __init__(self, results: Results, heads: Sequence[str], file: str, split: str) -> None:
        self._results, self._heads = results, heads
        self._file, self._split = file, split
        self.asked, self.without = 0, list[str]()

    def __call__(self, record: Record) -> Prediction:
        """Return the predictions for an image, for each of several heads.

        Raises:
            DataError: If the first image has no number, and the file names none but by theirs.
        """
        if not self.asked and record.id is None and self._results.is_numbered:
            raise DataError(
                f"{self._file}: names its images by image_id alone, and those of the split "
                f"{self._split!r} have no numbers; give file_name"
            )
        self.asked += 1
        prediction = self._results.of(record)
        if not len(prediction["boxes"]):
            self.without.append(record.source)
        if len(self._heads) == 1:
            return prediction
        return dict.fromkeys(self._heads, prediction)

    def report(self, unused: Sequence[str]) -> None:
        """Warn of what does not meet between the file and the split.

        Raises:
            DataError: If nothing does.
        """
        file, split = self._file, self._split
        if unused and self.without and len(self.without) == self.asked:
            raise DataError(
                f"{file}: none of its images is in the split {split!r}; it names "
                f"{unused[0]}, and the split has {printable(self.without[0])}"
            )
        if unused:
            warnings.warn(
                f"{file}: {len(unused)} of its images are not in the split {split!r} and not "
                f"scored: {_some(unused)}",
                stacklevel=2,
            )
        if self.without:
            warnings.warn(
                f"{file}: {len(self.without)} of the {self.asked} images of the split {split!r} "
                f"have no entry in it and count as without detections: "
                f"{_some([printable(source) for source in self.without])}",
                stacklevel=2,
            )


def _some(names: Sequence[str]) -> str:
    more = len(names) - MOST_NAMES
    return ", ".join(names[:MOST_NAMES]) + (f" and {more} more" if more > 0 else "")


def _about_boxes(task: Task, config: RunConfig) -> MultiHead:
    """Return a task with the heads that predict boxes; in the places of others are silent ones.

    Raises:
        ConfigError: If none does, or their figures are of something else.
    """
    heads: dict[str, Any] = dict(task.heads.items()) if isinstance(task, MultiHead) else {}
    judging = {name: head for name, head in heads.items() if "boxes" in head.needs}
    if not isinstance(task, MultiHead) or all(h.metric() is None for h in judging.values()):
        raise ConfigError(
            f"{config.recipe}: none of its heads measures boxes, and a file of results holds boxes"
        )
    # A head as it is by default has neither metric nor errors, and figures keep their names.
    return MultiHead(task.backbone, {name: judging.get(name, Head()) for name in heads})
