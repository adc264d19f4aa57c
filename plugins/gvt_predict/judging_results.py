"""Scoring boxes from a file, such as another tool's, with the metrics of a checkpoint."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gvt import (
    ConfigError,
    DataError,
    DataInfo,
    Evaluation,
    Head,
    MultiHead,
    Placement,
    Prediction,
    Record,
    RunConfig,
    Task,
    evaluate,
)
from gvt import open as open_trained
from gvt.printable import printable
from gvt.session import Judged, PathLike, build_task, check_classes, open_dataset, split_of

if TYPE_CHECKING:
    from gvt_predict.coco_results import Results

MOST_NAMES = 5
"""Largest number of images that a warning names."""


def evaluate_predictions(
    predictions: PathLike,
    of: PathLike | None = None,
    *overrides: str,
    split: str | None = None,
    out: PathLike | None = None,
) -> Evaluation:
    """Score a file of COCO's results on a split, by the same code that evaluates a checkpoint.

    The file may be the `predictions.json` of `gvt predict`, or any tool's. Data and metrics are
    those of a run or of a recipe, which need not be trained. With several heads, those that predict
    boxes score it. A run's own evaluation stays as it is. Images that the file does not name have
    no detections; a warning counts them, and images of the file that are not in the split.

    Args:
        predictions: The JSON file. An entry names its image by `file_name` or `image_id`, and its
            class by `category_name` or `category_id`.
        of: A run's folder, a checkpoint, a recipe's name or the path of a YAML file; the latest
            run unless given.
        overrides: Such as `data.root=...`; of a recipe any.
        split: The split; the recipe's `evaluate.final`, else `evaluate.split`, unless given.
        out: A folder for figures and plots.

    Raises:
        UsageError: If there is no such run or recipe, the split is unknown, or an override would
            change the networks.
        ConfigError: If no head predicts boxes, or the data has other classes than the run's.
        DataError: If the file is malformed or names no image of the split, or the data is absent.
    """
    judged = judge_predictions(predictions, of, *overrides, split=split, out=out)
    judged.save()
    return judged.evaluation


def judge_predictions(
    predictions: PathLike,
    of: PathLike | None = None,
    *overrides: str,
    split: str | None = None,
    out: PathLike | None = None,
) -> Judged:
    """Do what `evaluate_predictions` does, without writing anything yet."""
    from gvt.data import HeldOut, resolved
    from gvt_predict.coco_results import Results

    file = Path(predictions)
    opened = open_trained(of, *overrides)
    config = opened.config
    split = split_of(config, split)
    dataset = open_dataset(config, split)
    info = DataInfo.of(dataset, config.data.range)
    trained = opened.info if opened.checkpoint else info
    check_classes(dataset, trained.classes)
    # Built as for a checkpoint, so that no pretrained weights are read: no weights are needed.
    task = _about_boxes(build_task(config, trained, {}), config)
    heads: list[Any] = list(task.heads.values())
    masks = any("masks" in head.needs for head in heads)
    results = Results.read(file, info.classes, info.category_ids, masks=masks)
    handed = _Handed(results, list(task.heads), printable(file), split)
    placement = Placement.resolve("cpu", "float32", "contiguous", False)
    held_out = HeldOut(dataset, resolved(dataset, config.data, placement), placement)
    # No model needs a batch, and one image alone may have many masks.
    size = 1 if masks else config.evaluate.batch_size or config.data.batch_size
    batches = held_out.batches(size)
    evaluation = evaluate(task, batches, classes=info.classes, results=handed)
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
    return Judged(evaluation, split, None, about, None, apart, to)


class _Handed:
    """Returns a file's predictions for an image, and counts.

    Args:
        results: The content of the file.
        heads: Names of the task's heads.
        file: The file's name in messages.
        split: The split that it is scored on.

    Attributes:
        asked: Number of images that were asked for.
        without: Sources of the images without predictions.
    """

    def __init__(self, results: Results, heads: Sequence[str], file: str, split: str) -> None:
        self._results, self._heads = results, heads
        self._file, self._split = file, split
        self.asked, self.without = 0, list[str]()

    def __call__(self, record: Record) -> Prediction:
        """Return the predictions for an image, the same for each head.

        Raises:
            DataError: If the first image has no number, and the file names images by number only.
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
        return dict.fromkeys(self._heads, prediction)

    def report(self, unused: Sequence[str]) -> None:
        """Warn of images that are only in the file, or only in the split.

        Raises:
            DataError: If they have no image in common.
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
    """Return the task with its heads for boxes, and in place of the others heads without metrics.

    Raises:
        ConfigError: If no head measures boxes.
    """
    heads: dict[str, Any] = dict(task.heads.items()) if isinstance(task, MultiHead) else {}
    judging = {name: head for name, head in heads.items() if "boxes" in head.needs}
    if not isinstance(task, MultiHead) or all(h.metric() is None for h in judging.values()):
        raise ConfigError(
            f"{config.recipe}: none of its heads measures boxes, and a file of results holds boxes"
        )
    # `Head` itself has neither a metric nor errors; with it the names of metrics stay.
    return MultiHead(task.backbone, {name: judging.get(name, Head()) for name in heads})
