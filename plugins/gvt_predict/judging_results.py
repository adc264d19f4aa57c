"""Evaluation of predicted boxes from a file, with the metrics of a run or a recipe."""

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
    """Evaluate a file of COCO results on a split, with the same code as for a checkpoint.

    The file may be the `predictions.json` of `gvt predict`, or come from any tool. Data and metrics
    are those of a run, or of a recipe, which needs no training. With several heads, all heads that
    predict boxes evaluate the file. The run's own evaluation is not changed. Images that are not in
    the file have no detections. A warning counts them, and images that are not in the split.

    Args:
        predictions: JSON file. An entry names its image by `file_name` or `image_id`, and its
            class by `category_name` or `category_id`.
        of: Run folder, checkpoint, name of a recipe, or path of a YAML file; the latest run by
            default.
        overrides: Overrides such as `data.root=...`; for a recipe, any.
        split: Name of the split; by default the recipe's `evaluate.final`, else `evaluate.split`.
        out: Folder for metrics and plots.

    Raises:
        UsageError: If there is no such run or recipe, the split is unknown, or an override would
            change the model.
        ConfigError: If no head predicts boxes, or the classes of the data differ from the run's.
        DataError: If the file is malformed or names no image of the split, or the data is missing.
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
    """Evaluate as `evaluate_predictions` does, without writing files."""
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
    # Built as for a checkpoint, which loads no pretrained weights: none are needed.
    task = _with_box_heads(build_task(config, trained, {}), config)
    heads: list[Any] = list(task.heads.values())
    masks = any("masks" in head.needs for head in heads)
    results = Results.read(file, info.classes, info.category_ids, masks=masks)
    source = _PredictionSource(results, list(task.heads), printable(file), split)
    placement = Placement.resolve("cpu", "float32", "contiguous", False)
    held_out = HeldOut(dataset, resolved(dataset, config.data, placement), placement)
    # Without a model, batches have no use, and a single image may have many masks.
    size = 1 if masks else config.evaluate.batch_size or config.data.batch_size
    batches = held_out.batches(size)
    evaluation = evaluate(task, batches, classes=info.classes, results=source)
    unused = results.unused()
    source.report(unused)
    about = {
        "predictions": str(file),
        "images": source.count,
        "images_without_detections": len(source.without),
        "images_not_in_the_split": len(unused),
        "overrides": list(overrides),
    }
    apart = "these are a file's predictions"
    folder = None if out is None else Path(out)
    return Judged(evaluation, split, None, about, None, apart, folder)


class _PredictionSource:
    """Function that returns the predictions of a file for an image, and keeps counts.

    Args:
        results: Content of the file.
        heads: Names of the task's heads.
        file: Name of the file in messages.
        split: Name of the split.

    Attributes:
        count: Number of images.
        without: Sources of the images without predictions.
    """

    def __init__(self, results: Results, heads: Sequence[str], file: str, split: str) -> None:
        self._results, self._heads = results, heads
        self._file, self._split = file, split
        self.count, self.without = 0, list[str]()

    def __call__(self, record: Record) -> Prediction:
        """Return the predictions for an image, the same for each head.

        Raises:
            DataError: If the first image has no number, and the file names images by number only.
        """
        if not self.count and record.id is None and self._results.is_numbered:
            raise DataError(
                f"{self._file}: names its images by image_id alone, but the images of split "
                f"{self._split!r} have no numbers; give file_name"
            )
        self.count += 1
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
        if unused and self.without and len(self.without) == self.count:
            raise DataError(
                f"{file}: none of its images is in split {split!r}; it names {unused[0]}, but the "
                f"split has {printable(self.without[0])}; give file_name as in the data"
            )
        if unused:
            warnings.warn(
                f"{file}: {len(unused)} of its images are not in split {split!r} and are ignored: "
                f"{_some(unused)}",
                stacklevel=2,
            )
        if self.without:
            warnings.warn(
                f"{file}: {len(self.without)} of the {self.count} images of split {split!r} have "
                "no entry and count as having no detections: "
                f"{_some([printable(source) for source in self.without])}",
                stacklevel=2,
            )


def _some(names: Sequence[str]) -> str:
    more = len(names) - MOST_NAMES
    return ", ".join(names[:MOST_NAMES]) + (f" and {more} more" if more > 0 else "")


def _with_box_heads(task: Task, config: RunConfig) -> MultiHead:
    """Return the task with all heads but those for boxes replaced by heads without metrics.

    Raises:
        ConfigError: If no head has metrics for boxes.
    """
    heads: dict[str, Any] = dict(task.heads.items()) if isinstance(task, MultiHead) else {}
    box_heads = {name: head for name, head in heads.items() if "boxes" in head.needs}
    if not isinstance(task, MultiHead) or all(h.metric() is None for h in box_heads.values()):
        raise ConfigError(
            f"{config.recipe}: has no head with metrics for boxes, but a file of results has "
            "boxes; use a recipe for detection"
        )
    # `Head` itself has neither metrics nor errors, and keeps the names of the others' metrics.
    return MultiHead(task.backbone, {name: box_heads.get(name, Head()) for name in heads})
