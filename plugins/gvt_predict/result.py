"""The result for an image, with its conversion to plain data and text."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from gvt import IGNORED, Prediction
from gvt.loop import BACKGROUND
from gvt.printable import printable
from gvt_predict.objects import Objects

MOST_TOLD = 5
"""Largest number of classes in `top`."""

_ROWS = 64
"""Rows of a mask that are counted at a time."""


@dataclass(frozen=True)
class Predicted:
    """The result for one image.

    Attributes:
        path: Image file; for other inputs, the name that their field gives them.
        size: Upright (H, W) of the image; None if it could not be read, and for other inputs.
        prediction: For the whole image `class` () with scores (K,), or `labels` (M,) with scores
            (K,); for pixels `semantic` (H, W) uint8, 255 for pixels without a prediction, or
            `masks` (K, H, W) bool, unless they were written to a folder; for objects `boxes`
            (M, 4) xyxy in pixels of the image, `labels` (M,), `scores` (M,) in descending order,
            and optionally `masks` (M, H, W) bool, unless they were written. With several heads, a
            dict by the names of the heads.
        summary: Prediction as plain data with the names of the classes, as in
            `predictions.jsonl`; with several heads in `heads`.
        files: Files written for the image, besides its line in `predictions.jsonl`.
        error: Error message if the image could not be read or predicted, else empty.
    """

    path: Path | str
    size: tuple[int, int] | None = None
    prediction: Prediction = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)
    files: tuple[Path, ...] = ()
    error: str = ""


def summary_of(
    part: Prediction | Objects, classes: Sequence[str], background: bool, score: float = 0.0
) -> dict[str, Any]:
    """Return a head's prediction as plain data; for pixels, the share of each class.

    Args:
        part: Prediction of the head.
        classes: Names of the classes.
        background: Whether pixels may be background.
        score: Least score of the objects that are listed.
    """
    if isinstance(part, Objects):
        objects = part.above(score)
        rows = (value.tolist() for value in (objects.labels, objects.scores, objects.boxes))
        return {
            "objects": [
                {"class": _name(label, classes), "score": score, "box": box}
                for label, score, box in zip(*rows, strict=True)
            ]
        }
    if "class" in part:
        scores = [_number(score) for score in part["scores"].tolist()]
        order = part["scores"].argsort(descending=True, stable=True).tolist()
        top = [{"class": _name(n, classes), "score": scores[n]} for n in order[:MOST_TOLD]]
        number = int(part["class"])
        best = {"class": _name(number, classes), "score": scores[number]}
        return {**best, "top": top, "scores": scores}
    if "masks" in part:
        shares = [float(mask.sum()) / mask.numel() for mask in part["masks"]]
        return {"classes": [_share(_name(n, classes), s) for n, s in enumerate(shares) if s]}
    if "semantic" in part:
        counts = torch.zeros(256, dtype=torch.int64)
        for rows in part["semantic"].split(_ROWS):  # bincount's copies take eight times the memory
            counts += torch.bincount(rows.flatten(), minlength=256)
        total = int(counts.sum())
        entries = []
        for number in counts.nonzero().flatten().tolist():
            name = None if number == IGNORED else _name(number, classes)
            value = value_of(number, len(classes), background)
            entries.append({**_share(name, int(counts[number]) / total), "value": value})
        return {"classes": sorted(entries, key=lambda entry: -entry["share"])}
    scores = [_number(score) for score in part["scores"].tolist()]
    labels = sorted(part["labels"].tolist(), key=lambda n: -(scores[n] or 0))
    return {
        "labels": [{"class": _name(n, classes), "score": scores[n]} for n in labels],
        "scores": scores,
    }


def words_of(part: Prediction, classes: Sequence[str]) -> str:
    """Return a head's prediction for a whole image as short text: a class, or all labels."""
    summary = summary_of(part, classes, background=False)
    rows = [summary] if "class" in part else summary["labels"]
    texts = [f"{printable(row['class'])} {_score_text(row['score'], 2)}" for row in rows]
    return ", ".join(texts) or "nothing"


def value_of(number: int, classes: int, background: bool) -> int:
    """Return the value of a class index in an indexed PNG; the background is 0."""
    if not background or number == IGNORED:
        return number
    return 0 if number == classes else number + 1


def text_of(predicted: Predicted) -> str:
    """Return the result for an image as text: the file, its size, and the predictions."""
    name = printable(predicted.path)
    if predicted.size is not None:
        height, width = predicted.size
        name += f"  {width}x{height}"
    parts: Mapping[str, Any] = predicted.summary.get("heads", {})
    lines = [f"{head}: {line}" for head, part in parts.items() for line in _lines(part)]
    if not parts:
        lines = [*_lines(predicted.summary)]
        if len(lines) == 1:
            return f"{name}  {lines[0]}"
    return "\n".join([name, *(f"  {line}" for line in lines)])


def _lines(part: Mapping[str, Any]) -> Iterator[str]:
    if "objects" in part:
        yield _object_counts(part["objects"])
        return
    if "classes" in part:
        shares = [f"{_shown(e['class'])} {100 * e['share']:.1f} %" for e in part["classes"]]
        yield ", ".join(shares) or "nothing"
        return
    entries = part["top"] if "top" in part else part["labels"]
    if not entries:
        yield "nothing"
    longest = max((len(_shown(entry["class"])) for entry in entries), default=0)
    for entry in entries:
        yield f"{_shown(entry['class']).ljust(longest)}  {_score_text(entry['score'], 3)}"


def _object_counts(objects: Sequence[Mapping[str, Any]]) -> str:
    """Return the number of objects of each class, with the range of their scores."""
    by_class: dict[str, list[float]] = {}
    for entry in objects:
        by_class.setdefault(entry["class"], []).append(entry["score"])
    counts = []
    for name, scores in sorted(by_class.items(), key=lambda item: -len(item[1])):
        most, least = f"{max(scores):.3f}", f"{min(scores):.3f}"
        span = most if most == least else f"{most} to {least}"
        counts.append(f"{len(scores)} {printable(name)} ({span})")
    return ", ".join(counts) or "nothing"


def _score_text(score: float | None, digits: int) -> str:
    return "not a number" if score is None else f"{score:.{digits}f}"


def _shown(name: str | None) -> str:
    return "outside" if name is None else printable(name)


def _share(name: str | None, share: float) -> dict[str, Any]:
    return {"class": name, "share": share}


def _name(number: int, classes: Sequence[str]) -> str:
    return [*classes, BACKGROUND][number] if number <= len(classes) else str(number)


def _number(value: float) -> float | None:
    """Return a number for JSON, None if it is not finite."""
    return value if math.isfinite(value) else None
