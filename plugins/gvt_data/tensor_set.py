"""The base of the small labelled data sets, which are held in memory as tensors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor

from gvt import DataInfo, Record, Sample


class TensorSet:
    """Labelled images of one size, all in memory.

    Args:
        name: Name of the data set in the records of its samples.
        split: `train`, `val` (the last `holdout` training images) or `test`.
        names: Names of all classes, in the order of their indices.
        classes: Classes to keep, by index or name, in the order of their new indices; None for
            all.
        holdout: Number of training images, from the end, that are `val`.
        read: Function that returns the images, (N, C, H, W) uint8, and their class indices, (N,),
            of the published `train` or `test` part.

    Raises:
        ValueError: If a class is unknown or occurs twice, or the hold-out leaves a split empty.
    """

    splits: ClassVar[tuple[str, ...]] = ("train", "val", "test")

    def __init__(
        self,
        name: str,
        split: str,
        names: Sequence[str],
        classes: Sequence[int | str] | None,
        holdout: int,
        read: Callable[[str], tuple[Tensor, Tensor]],
    ) -> None:
        indices = _indices(names, classes)
        self._name, self.split = name, split
        images, labels = read("test" if split == "test" else "train")
        if split != "test":
            part = _part(split, holdout, len(labels))
            images, labels = images[part], labels[part]
        new_indices = torch.full((len(names),), -1)
        new_indices[torch.tensor(indices)] = torch.arange(len(indices))
        labels = new_indices[labels.long()]
        mask = labels >= 0
        self._images, self._labels = images[mask], labels[mask]
        classes = tuple(names[index] for index in indices)
        self.info = DataInfo(classes, tuple(images.shape[1:]), labels=self._labels)

    def __len__(self) -> int:
        return len(self._labels)

    def __getitem__(self, index: int) -> Sample:
        """Return an image, (C, H, W) uint8, with its target `class`."""
        return Sample(
            {"image": self._images[index]}, {"class": self._labels[index]}, self.record(index)
        )

    def tensors(self) -> tuple[Mapping[str, Tensor], Mapping[str, Tensor]]:
        """Return all `image` (N, C, H, W) uint8 and their `class` (N,)."""
        return {"image": self._images}, {"class": self._labels}

    def record(self, index: int) -> Record:
        """Return the origin of an image."""
        return Record(f"{self._name} {self.split} {index}", self._images.shape[2:])


def _indices(names: Sequence[str], classes: Sequence[int | str] | None) -> list[int]:
    """Return the indices of the classes to keep, in their new order."""
    if classes is None:
        return list(range(len(names)))
    by_name = {name: index for index, name in enumerate(names)}
    indices = [by_name.get(c, -1) if isinstance(c, str) else c for c in classes]
    unique = set(indices)
    if not indices or len(unique) != len(indices) or not unique <= set(range(len(names))):
        raise ValueError(
            f"classes {list(classes)}: give numbers from 0 to {len(names) - 1} or names, each "
            f"class once; the names are {', '.join(names)}"
        )
    return indices


def _part(split: str, holdout: int, count: int) -> slice:
    """Return the slice of the training images that is `train` or `val`."""
    if not 0 <= holdout < count or (split == "val" and not holdout):
        raise ValueError(
            f"holdout {holdout}: split {split} of {count} training images would be empty"
        )
    return slice(count - holdout, None) if split == "val" else slice(count - holdout)
