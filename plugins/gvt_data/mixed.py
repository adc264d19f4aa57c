"""Several data sets as one, each labelled for other heads."""

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
"""Targets that count classes."""


class Mixed:
    """Several data sets as one, drawn by weight, so that one model learns from all of them.

    The classes are those of all parts; one of a name that two parts have is the same class. A head
    that is to have the classes of one part alone says so by `learns_from` in the recipe, and needs
    it where parts have other classes. Held-out splits have all parts, one behind the other.

    Args:
        split: Name of the split, which every part has to have.
        parts: The data sets, by names of one's own.
        shares: How often samples of each part are drawn for training beside the others'; by their
            numbers unless given.

    Attributes:
        parts: The data sets by name.

    Raises:
        ValueError: If there is no part, a share is for none of them or missing, a part has two
            classes of one name, parts have grey and colour images, or `semantic` maps have no
            number left for a class.
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
            raise ValueError(f"shares are for {', '.join(shares)}; give one for each part")
        self.split, self.parts = split, parts
        infos = {name: DataInfo.of(part) for name, part in parts.items()}
        whole = merged(infos)
        self._ends = list(accumulate(len(part) for part in parts.values()))
        self._tables = {name: _table(part, whole) for name, part in infos.items()}
        weights = None
        if shares is not None:
            of_each = [torch.full((len(p),), shares[n] / max(1, len(p))) for n, p in parts.items()]
            weights = torch.cat(of_each)
        self.info = replace(whole, lacks=self._lacks(infos), weights=weights)

    @staticmethod
    def gvt_example(folder: Path) -> dict[str, Any]:
        """Return two parts, the one with classes of pictures and the other with boxes."""
        from .scenes import Scenes

        few = {"size": 64, "count": 12, "held_out": 4}
        named = Scenes("train", **few, targets=["class"])
        boxed = Scenes("train", **few, targets=["boxes", "labels"], seed=1)
        return {"parts": {"named": named, "boxed": boxed}, "shares": {"named": 1.0, "boxed": 2.0}}

    def __len__(self) -> int:
        return self._ends[-1]

    def __getitem__(self, index: int) -> Sample:
        """Return a sample of one of the parts, numbered by the classes of all."""
        if not 0 <= index < len(self):
            raise IndexError(index)
        place = next(number for number, end in enumerate(self._ends) if index < end)
        name, part = list(self.parts.items())[place]
        sample = part[index - (self._ends[place] - len(part))]
        table = self._tables[name]
        record = replace(sample.record, part=name)
        if record.truth is not None:
            record = replace(record, truth=Renumbered(record.truth, table))
        return replace(sample, targets=renumbered(sample.targets, table), record=record)

    def _lacks(self, infos: Mapping[str, DataInfo]) -> dict[str, str]:
        """Return the targets that no part has any of, each with the reasons."""
        lacks = {name: info.lacks for name, info in infos.items()}
        keys = dict.fromkeys(key for of_part in lacks.values() for key in of_part)
        return {
            key: "; ".join(f"{name}: {of[key]}" for name, of in lacks.items() if key in of)
            for key in keys
            if not any(
                key not in lacks[name] and len(part) and key in part[0].targets
                for name, part in self.parts.items()
            )
        }


def merged(infos: Mapping[str, DataInfo]) -> DataInfo:
    """Return the information about several data sets as one, by their names.

    A value that describes all images or classes is kept where all parts have the same one.

    Raises:
        ValueError: If a part has two classes of one name, or parts have grey and colour images.
    """
    parts = list(infos.values())
    for name, part in infos.items():
        _check_distinct(name, part.classes)
    channels = {part.image_channels for part in parts}
    if len(channels - {None}) > 1:
        listed = ", ".join(f"{name} {part.image_channels}" for name, part in infos.items())
        raise ValueError(f"the parts' images have other numbers of channels: {listed}")
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
        problems=_gathered({name: part.problems or {} for name, part in infos.items()}),
        left_out=_gathered({name: part.left_out for name, part in infos.items()}),
    )


def _common(values: Iterable[T]) -> T | None:
    """Return the value that all have; None if they differ, or there is none."""
    first, *others = [*values] or [None]
    return first if all(value == first for value in others) else None


def _gathered(by_part: Mapping[str, Mapping[str, T]]) -> dict[str, T]:
    """Return the entries of all parts, each with the part's name."""
    return {f"{name}: {key}": value for name, of in by_part.items() for key, value in of.items()}


def _table(part: DataInfo, whole: DataInfo) -> np.ndarray:
    """Return the number of each of a part's classes among all classes.

    Raises:
        ValueError: If there is no room for one.
    """
    count = len(part.classes)
    table = np.full(max(IGNORED, count) + 1, IGNORED)
    if len(whole.classes) >= IGNORED and whole.background:
        raise ValueError(
            f"the parts have {len(whole.classes)} classes together, and a map of classes has "
            f"numbers for {IGNORED - 1}"
        )
    table[:count] = [whole.classes.index(name) for name in part.classes]
    if part.background:
        table[count] = len(whole.classes)
    return table


@dataclass(frozen=True)
class Renumbered:
    """Called, it returns a part's truth, numbered by the classes of all.

    Attributes:
        truth: What returns the part's own.
        table: Of each number there the one of all parts.
    """

    truth: Callable[[], Mapping[str, Any]]
    table: np.ndarray

    def __call__(self) -> dict[str, Any]:
        return renumbered(self.truth(), self.table)


def renumbered(targets: Mapping[str, Any], table: np.ndarray) -> dict[str, Any]:
    """Return targets with other numbers of classes, (...) int64."""
    return {
        key: torch.as_tensor(table[np.asarray(value)]) if key in _NUMBERED else value
        for key, value in targets.items()
    }


def _check_distinct(part: str, classes: Sequence[str]) -> None:
    """Check that a part's classes can be told apart by their names.

    Raises:
        ValueError: If two of them have the same one.
    """
    twice = [name for name, count in Counter(classes).items() if count > 1]
    if twice:
        raise ValueError(
            f"parts.{part}: {printable(twice[0])} names two of its classes, and classes are mixed "
            "by their names; rename one"
        )
