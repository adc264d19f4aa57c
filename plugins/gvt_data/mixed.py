"""Several data sets as one, each labelled for other heads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from pydantic import PositiveFloat
from torch import Tensor

from gvt import IGNORED, Dataset, Sample
from gvt.printable import printable

from .listing import fingerprint
from .splits import SPLITS

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
        weights: Of each sample how often it is drawn, where there are `shares`.
        reader: That of the parts that have one, where it is the same one.
        labels: The class of every sample, where all parts have such and the same classes.
        category_ids: Of each class its number in COCO files, where all parts have the same ones.
        lacks: The targets that some parts should have and no part has any of, each with the reason.

    Raises:
        ValueError: If there is no part, a share is for none of them or missing, a part has two
            classes of one name, parts have grey and colour images, or `semantic` maps have no
            number left for a class.
    """

    splits: ClassVar[tuple[str, ...]] = SPLITS
    weights: Tensor

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
        for part_name, part in parts.items():
            _check_distinct(part_name, _classes(part))
        names = [name for part in parts.values() for name in _classes(part)]
        self.classes: Sequence[str] = tuple(dict.fromkeys(names))
        shapes = {part.image_shape for part in parts.values()}
        self.image_shape = next(iter(shapes)) if len(shapes) == 1 else None
        channels = {_channels(part) for part in parts.values()}
        if len(channels - {None}) > 1:
            told = ", ".join(f"{name} {_channels(part)}" for name, part in parts.items())
            raise ValueError(f"the parts' images have other numbers of channels: {told}")
        self.channels = next(iter(channels)) if len(channels) == 1 else None
        self.background = any(getattr(part, "background", False) for part in parts.values())
        self._ends = list(accumulate(len(part) for part in parts.values()))
        self._tables = {name: self._table(part) for name, part in parts.items()}
        self.fingerprint = fingerprint([_described(*item) for item in parts.items()])
        readers = [r for part in parts.values() if (r := getattr(part, "reader", None)) is not None]
        self.reader = readers[0] if readers and _all_equal(readers) else None
        self.labels, self.category_ids = self._labels(), self._category_ids()
        self.problems, self.left_out = self._gathered("problems"), self._gathered("left_out")
        self.lacks = self._lacks()
        if shares is not None:
            of_each = [torch.full((len(p),), shares[n] / max(1, len(p))) for n, p in parts.items()]
            self.weights = torch.cat(of_each).double()

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

    def _table(self, part: Dataset) -> np.ndarray:
        """Return of each number in a part's targets that of all parts' classes.

        Raises:
            ValueError: If there is no room for one.
        """
        own = _classes(part)
        table = np.full(max(IGNORED, len(own)) + 1, IGNORED)
        if len(self.classes) >= IGNORED and self.background:
            raise ValueError(
                f"the parts have {len(self.classes)} classes together, and a map of classes has "
                f"numbers for {IGNORED - 1}"
            )
        table[: len(own)] = [self.classes.index(name) for name in own]
        if getattr(part, "background", False):
            table[len(own)] = len(self.classes)
        return table

    def _labels(self) -> Tensor | None:
        """Return the class of every sample, (N,) int64; None unless all parts are of the same."""
        of_parts = [getattr(part, "labels", None) for part in self.parts.values()]
        if not self._same_classes or any(labels is None for labels in of_parts):
            return None
        return torch.cat([torch.as_tensor(labels, dtype=torch.int64) for labels in of_parts])

    def _category_ids(self) -> tuple[int, ...] | None:
        of_parts = [getattr(part, "category_ids", None) for part in self.parts.values()]
        if not self._same_classes or any(ids is None for ids in of_parts):
            return None
        ids = [tuple(map(int, of_one)) for of_one in of_parts]
        return ids[0] if _all_equal(ids) else None

    @property
    def _same_classes(self) -> bool:
        return _all_equal([_classes(part) for part in self.parts.values()])

    def _lacks(self) -> dict[str, str]:
        """Return the targets that no part has any of, each with the reasons."""
        lacks = {name: getattr(part, "lacks", {}) for name, part in self.parts.items()}
        keys = dict.fromkeys(key for of_part in lacks.values() for key in of_part)
        return {
            key: "; ".join(f"{name}: {of[key]}" for name, of in lacks.items() if key in of)
            for key in keys
            if not any(
                key not in lacks[name] and len(part) and key in part[0].targets
                for name, part in self.parts.items()
            )
        }

    def _gathered(self, attribute: str) -> dict[str, Any]:
        """Return what the parts say of themselves, each entry with the part's name."""
        return {
            f"{name}: {key}": value
            for name, part in self.parts.items()
            for key, value in (getattr(part, attribute, None) or {}).items()
        }


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


def _classes(part: Dataset) -> list[str]:
    return list(map(str, part.classes))


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


def _all_equal(values: Sequence[Any]) -> bool:
    return all(value == values[0] for value in values)


def _channels(part: Dataset) -> int | None:
    """Return how many channels a part's images have; None if it does not say."""
    if part.image_shape is not None:
        return part.image_shape[0]
    reader = getattr(part, "reader", None)
    return getattr(part, "channels", None) if reader is None else reader.channels


def _described(name: str, part: Dataset) -> str:
    """Return what a fingerprint has of a part."""
    return f"{name} {len(part)} {getattr(part, 'fingerprint', '')}"
