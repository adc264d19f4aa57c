"""What the small labelled sets share: whole tensors, some classes of them, a held-out end."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor

from gvt import DataInfo, Record, Sample


class TensorSet:
    """Labelled images of one size, all in memory.

    Args:
        name: What the set is called in the records of its samples.
        split: `train`, `val` (the held-out end of the training images) or `test`.
        names: The names of all classes, in the order of their numbers.
        classes: The classes to keep, by number or name, in the order of their new numbers; all
            for None.
        holdout: How many of the last training images are `val` instead.
        read: Returns the images, (N, C, H, W) uint8, and their class numbers, (N,), of the
            published `train` or `test` part.

    Raises:
        ValueError: If a class is none of them or stands twice, or the hold-out leaves nothing.
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
        kept = _numbers(names, classes)
        self._name, self.split = name, split
        images, labels = read("test" if split == "test" else "train")
        if split != "test":
            part = _part(split, holdout, len(labels))
            images, labels = images[part], labels[part]
        renumbered = torch.full((len(names),), -1)
        renumbered[torch.tensor(kept)] = torch.arange(len(kept))
        labels = renumbered[labels.long()]
        chosen = labels >= 0
        self._images, self._labels = images[chosen], labels[chosen]
        classes = tuple(names[number] for number in kept)
        self.info = DataInfo(classes, tuple(images.shape[1:]), labels=self._labels)

    def __len__(self) -> int:
        return len(self._labels)

    def __getitem__(self, index: int) -> Sample:
        """Return one image, (C, H, W) uint8, with its target `class`."""
        return Sample(self._images[index], {"class": self._labels[index]}, self.record(index))

    def tensors(self) -> tuple[Tensor, Mapping[str, Tensor]]:
        """Return all images (N, C, H, W) uint8 and their `class` (N,)."""
        return self._images, {"class": self._labels}

    def record(self, index: int) -> Record:
        """Return the origin of one image."""
        return Record(f"{self._name} {self.split} {index}", self._images.shape[2:])


def _numbers(names: Sequence[str], classes: Sequence[int | str] | None) -> list[int]:
    """Return the numbers of the classes that are kept, in their new order."""
    if classes is None:
        return list(range(len(names)))
    known = {name: number for number, name in enumerate(names)}
    kept = [known.get(c, -1) if isinstance(c, str) else c for c in classes]
    if not kept or len(set(kept)) != len(kept) or not set(kept) <= set(range(len(names))):
        raise ValueError(
            f"classes {list(classes)}: give numbers from 0 to {len(names) - 1} or names, each "
            f"class once; the names are {', '.join(names)}"
        )
    return kept


def _part(split: str, holdout: int, count: int) -> slice:
    """Return which of the training images are those of `train`, or of `val`."""
    if not 0 <= holdout < count or (split == "val" and not holdout):
        raise ValueError(
            f"holdout {holdout}: split {split} of {count} images for training would be left empty"
        )
    return slice(count - holdout, None) if split == "val" else slice(count - holdout)
