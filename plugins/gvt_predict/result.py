"""What is known of a picture in the end, and how it is said in JSON and to people."""

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
"""Names told of a picture's class, the likeliest ones."""

_ROWS = 64


@dataclass(frozen=True)
class Predicted:
    """What is said of one picture.

    Attributes:
        path: The file.
        size: Its (H, W), upright; None where it could not be read.
        prediction: Of the whole picture `class` () with scores (K,), or `labels` (M,) with
            scores (K,); of its pixels `semantic` (H, W) uint8, where 255 says nothing, or `masks`
            (K, H, W) bool, if they were not written to a folder; of objects in it `boxes` (M, 4)
            xyxy in its pixels, `labels` (M,), `scores` (M,) falling, and perhaps `masks`
            (M, H, W) bool, if they were not. Of several heads a dict by their names.
        summary: The same in plain data with the classes' names, as in `predictions.jsonl`; of
            several heads under `heads`.
        files: What was written of it, besides the line there.
        error: Why it could not be read or predicted; empty if it could.
    """

    path: Path
    size: tuple[int, int] | None = None
    prediction: Prediction = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)
    files: tuple[Path, ...] = ()
    error: str = ""


def summary_of(
    part: Prediction | Objects, classes: Sequence[str], background: bool, score: float = 0.0
) -> dict[str, Any]:
    """Return what a head says in plain data; of pixels the share of each class that there is.

    Args:
        part: The head's prediction.
        classes: Names of the classes.
        background: Whether pixels may be of none.
        score: The least score of an object that is told.
    """
    if isinstance(part, Objects):
        told = part.above(score)
        rows = (value.tolist() for value in (told.labels, told.scores, told.boxes))
        return {
            "objects": [
                {"class": _name(label, classes), "score": sure, "box": box}
                for label, sure, box in zip(*rows, strict=True)
            ]
        }
    if "class" in part:
        scores = [_number(score) for score in part["scores"].tolist()]
        order = part["scores"].argsort(descending=True, stable=True).tolist()
        top = [{"class": _name(n, classes), "score": scores[n]} for n in order[:MOST_TOLD]]
        number = int(part["class"])
        named = {"class": _name(number, classes), "score": scores[number]}
        return {**named, "top": top, "scores": scores}
    if "masks" in part:
        shares = [float(mask.sum()) / mask.numel() for mask in part["masks"]]
        return {"classes": [_share(_name(n, classes), s) for n, s in enumerate(shares) if s]}
    if "semantic" in part:
        counts = torch.zeros(256, dtype=torch.int64)
        for rows in part["semantic"].split(_ROWS):  # it counts in copies of eight times the size
            counts += torch.bincount(rows.flatten(), minlength=256)
        total = int(counts.sum())
        found = []
        for number in counts.nonzero().flatten().tolist():
            name = None if number == IGNORED else _name(number, classes)
            value = value_of(number, len(classes), background)
            found.append({**_share(name, int(counts[number]) / total), "value": value})
        return {"classes": sorted(found, key=lambda entry: -entry["share"])}
    scores = [_number(score) for score in part["scores"].tolist()]
    labels = sorted(part["labels"].tolist(), key=lambda n: -(scores[n] or 0))
    return {
        "labels": [{"class": _name(n, classes), "score": scores[n]} for n in labels],
        "scores": scores,
    }


def words_of(part: Prediction, classes: Sequence[str]) -> str:
    """Return what a head says of a whole picture in few words: a class, or all labels."""
    summary = summary_of(part, classes, background=False)
    told = [summary] if "class" in part else summary["labels"]
    return ", ".join(f"{printable(t['class'])} {_sure(t['score'], 2)}" for t in told) or "nothing"


def value_of(number: int, classes: int, background: bool) -> int:
    """Return the entry of a class of pixels in an indexed PNG: with a background, that is 0."""
    if not background or number == IGNORED:
        return number
    return 0 if number == classes else number + 1


def text_of(predicted: Predicted) -> str:
    """Return what is said of a picture, for people: the file, and what is in it."""
    name, (height, width) = printable(predicted.path), predicted.size or (0, 0)
    parts: Mapping[str, Any] = predicted.summary.get("heads", {})
    lines = [f"{head}: {line}" for head, part in parts.items() for line in _lines(part)]
    if not parts:
        lines = [*_lines(predicted.summary)]
        if len(lines) == 1:
            return f"{name}  {width}x{height}  {lines[0]}"
    return "\n".join([f"{name}  {width}x{height}", *(f"  {line}" for line in lines)])


def _lines(part: Mapping[str, Any]) -> Iterator[str]:
    if "objects" in part:
        yield _counted(part["objects"])
        return
    if "classes" in part:
        yield (
            ", ".join(
                f"{_shown(entry['class'])} {100 * entry['share']:.1f} %"
                for entry in part["classes"]
            )
            or "nothing"
        )
        return
    told = part["top"] if "top" in part else part["labels"]
    if not told:
        yield "nothing"
    longest = max((len(_shown(entry["class"])) for entry in told), default=0)
    for entry in told:
        yield f"{_shown(entry['class']).ljust(longest)}  {_sure(entry['score'], 3)}"


def _counted(objects: Sequence[Mapping[str, Any]]) -> str:
    """Return how many objects of each class there are, and how sure that is."""
    scores: dict[str, list[float]] = {}
    for found in objects:
        scores.setdefault(found["class"], []).append(found["score"])
    kinds = []
    for name, sure in sorted(scores.items(), key=lambda item: -len(item[1])):
        most, least = f"{max(sure):.3f}", f"{min(sure):.3f}"
        between = most if most == least else f"{most} to {least}"
        kinds.append(f"{len(sure)} {printable(name)} ({between})")
    return ", ".join(kinds) or "nothing"


def _sure(score: float | None, digits: int) -> str:
    return "not a number" if score is None else f"{score:.{digits}f}"


def _shown(name: str | None) -> str:
    return "outside" if name is None else printable(name)


def _share(name: str | None, share: float) -> dict[str, Any]:
    return {"class": name, "share": share}


def _name(number: int, classes: Sequence[str]) -> str:
    return [*classes, BACKGROUND][number] if number <= len(classes) else str(number)


def _number(value: float) -> float | None:
    """Return a number that JSON knows."""
    return value if math.isfinite(value) else None
