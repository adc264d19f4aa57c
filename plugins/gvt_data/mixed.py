"""A data set that combines several others, each labelled for other heads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import numpy as np
import torch
from pydantic import PositiveFloat

from gvt import IGNORED, DataInfo, Dataset, Sample
from gvt.printable import printable

from .listing import fingerprint
from .splits import SPLITS

T = TypeVar("T")

_NUMBERED = ("class", "labels", "semantic")
"""Targets that hold class indices."""


class Mixed:
    """Several data sets as one, sampled by weight, so that one model learns from all of them.

    The classes are the union of the parts' classes; classes with the same name are the same class.
    `learns_from` in the recipe restricts a head to the classes of one part, and is required if the
    parts have different classes. Held-out splits are the concatenation of all parts.

    Args:
        split: Name of the split, which every part must have.
        parts: Data sets by names of your choice.
        shares: Relative sampling frequency of each part in training; by default proportional to
            the number of samples.

    Attributes:
        parts: Data sets by name.

    Raises:
        ValueError: If there are no parts, shares and parts do not match, a part has two classes of
            one name, parts have grey and colour images, or there are too many classes for
            `semantic` maps.
    """

    splits: ClassVar[tuple[str, ...]] = SPLITS

    def __init__(
        self,
        split: str,
        parts: dict[str, Dataset],
        shares: dict[str, PositiveFloat] | None = None,
    ) -> None:
        if not parts:
            raise ValueError("parts: give at least one data set, as in {digits: {name: mnist}}")
        if shares is not None and shares.keys() != parts.keys():
            raise ValueError(
                f"shares: given for {', '.join(shares)}; give one for each of {', '.join(parts)}"
            )
        self.split, self.parts = split, parts
        infos = {name: DataInfo.of(part) for name, part in parts.items()}
        whole = merged(infos)
        self._ends = list(accumulate(len(part) for part in parts.values()))
        self._tables = {name: _table(part, whole) for name, part in infos.items()}
        weights = None
        if shares is not None:
            weights = torch.cat(
                [torch.full((len(p),), shares[n] / max(1, len(p))) for n, p in parts.items()]
            )
        self.info = replace(whole, lacks=self._lacks(infos), weights=weights)

    @staticmethod
    def gvt_example(folder: Path) -> dict[str, Any]:
        """Return the parameters of two parts, one with image classes and one with boxes."""
        from .scenes import Scenes

        small = {"size": 64, "count": 12, "held_out": 4}
        named = Scenes("train", **small, targets=["class"])
        boxed = Scenes("train", **small, targets=["boxes", "labels"], seed=1)
        return {"parts": {"named": named, "boxed": boxed}, "shares": {"named": 1.0, "boxed": 2.0}}

    def __len__(self) -> int:
        return self._ends[-1]

    def __getitem__(self, index: int) -> Sample:
        """Return a sample of one part, with the class indices of the whole data set."""
        if not 0 <= index < len(self):
            raise IndexError(index)
        number = next(number for number, end in enumerate(self._ends) if index < end)
        name, part = list(self.parts.items())[number]
        sample = part[index - (self._ends[number] - len(part))]
        table = self._tables[name]
        record = replace(sample.record, part=name)
        if record.truth is not None:
            record = replace(record, truth=Renumbered(record.truth, table))
        return replace(sample, targets=renumbered(sample.targets, table), record=record)

    def _lacks(self, infos: Mapping[str, DataInfo]) -> dict[str, str]:
        """Return the targets that all parts lack, each with the reasons."""
        lacks = {name: info.lacks for name, info in infos.items()}
        keys = dict.fromkeys(key for reasons in lacks.values() for key in reasons)
        return {
            key: "; ".join(f"{name}: {why[key]}" for name, why in lacks.items() if key in why)
            for key in keys
            if not any(
                key not in lacks[name] and len(part) and key in part[0].targets
                for name, part in self.parts.items()
            )
        }


def merged(infos: Mapping[str, DataInfo]) -> DataInfo:
    """Merge the information about several data sets.

    A property of all images or classes is kept if all parts have the same value.

    Raises:
        ValueError: If a part has two classes of one name, or parts have grey and colour images.
    """
    parts = list(infos.values())
    for name, part in infos.items():
        _check_distinct(name, part.classes)
    channels = {part.image_channels for part in parts}
    if len(channels - {None}) > 1:
        counts = ", ".join(f"{name} {part.image_channels}" for name, part in infos.items())
        raise ValueError(
            f"parts: the images have different numbers of channels: {counts}; give all parts the "
            "same channels"
        )
    labels = [part.labels for part in parts if part.labels is not None]
    same_classes = _common(part.classes for part in parts) is not None
    return DataInfo(
        tuple(dict.fromkeys(name for part in parts for name in part.classes)),
        _common(part.image_shape for part in parts),
        fingerprint=fingerprint(
            [f"{name} {part.samples} {part.fingerprint or ''}" for name, part in infos.items()]
        ),
        background=any(part.background for part in parts),
        reader=_common(part.reader for part in parts if part.reader is not None),
        category_ids=_common(part.category_ids for part in parts) if same_classes else None,
        parts=infos,
        channels=_common(channels),
        labels=torch.cat(labels) if same_classes and len(labels) == len(parts) else None,
        problems=_joined({name: part.problems or {} for name, part in infos.items()}),
        left_out=_joined({name: part.left_out for name, part in infos.items()}),
    )


def _common(values: Iterable[T]) -> T | None:
    """Return the common value; None if the values differ, or there are none."""
    first, *rest = [*values] or [None]
    return first if all(value == first for value in rest) else None


def _joined(by_part: Mapping[str, Mapping[str, T]]) -> dict[str, T]:
    """Return the entries of all parts, with the name of the part before each key."""
    return {f"{name}: {key}": value for name, d in by_part.items() for key, value in d.items()}


def _table(part: DataInfo, whole: DataInfo) -> np.ndarray:
    """Return the table from a part's class indices to those of the whole data set.

    Raises:
        ValueError: If there are too many classes.
    """
    count = len(part.classes)
    table = np.full(max(IGNORED, count) + 1, IGNORED)
    if len(whole.classes) >= IGNORED and whole.background:
        raise ValueError(
            f"parts: together they have {len(whole.classes)} classes, but a semantic map can have "
            f"at most {IGNORED - 1} and a background; use fewer classes"
        )
    table[:count] = [whole.classes.index(name) for name in part.classes]
    if part.background:
        table[count] = len(whole.classes)
    return table


@dataclass(frozen=True)
class Renumbered:
    """Function that returns a part's truth with the class indices of the whole data set.

    Attributes:
        truth: Function that returns the truth with the part's class indices.
        table: Table from the part's class indices to those of the whole data set.
    """

    truth: Callable[[], Mapping[str, Any]]
    table: np.ndarray

    def __call__(self) -> dict[str, Any]:
        return renumbered(self.truth(), self.table)


def renumbered(targets: Mapping[str, Any], table: np.ndarray) -> dict[str, Any]:
    """Return targets with class indices mapped by a table, (...) int64."""
    return {
        key: torch.as_tensor(table[np.asarray(value)]) if key in _NUMBERED else value
        for key, value in targets.items()
    }


def _check_distinct(part: str, classes: Sequence[str]) -> None:
    """Check that the names of a part's classes are distinct.

    Raises:
        ValueError: If two classes have the same name.
    """
    for name, count in Counter(classes).items():
        if count > 1:
            raise ValueError(
                f"parts.{part}: {printable(name)} is the name of {count} classes, but classes of "
                "parts are merged by name; rename one"
            )
