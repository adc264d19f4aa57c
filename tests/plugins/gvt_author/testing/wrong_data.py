"""A plugin file of data sets and metrics, each named after the rule that it breaks."""

from __future__ import annotations

import os
from dataclasses import replace

import torch
from torch import Tensor

from gvt import Record, Sample
from gvt_registry import Component, hookimpl


class Samples:
    """Noise.

    Args:
        split: `train`.
    """

    splits = ("train",)
    classes = ("a", "b")
    image_shape: tuple[int, int, int] | None = (1, 4, 4)

    def __init__(self, split: str) -> None:
        self.reads = 0

    def __len__(self) -> int:
        return 12

    def image(self, index: int) -> Tensor:
        return torch.full((1, 4, 4), index, dtype=torch.uint8)

    def __getitem__(self, index: int) -> Sample:
        self.reads += 1
        return Sample(
            {"image": self.image(index)}, {"class": index % 2}, Record(str(index), (4, 4))
        )


class OutOfRange(Samples):
    """Floats up to 255."""

    def image(self, index: int) -> Tensor:
        return super().image(index).float()


class EachTimeAnother(Samples):
    """Other images each time it is opened."""

    def __init__(self, split: str) -> None:
        super().__init__(split)
        self.shift = int.from_bytes(os.urandom(4), "little")

    def image(self, index: int) -> Tensor:
        return torch.full((1, 4, 4), (index + self.shift) % 256, dtype=torch.uint8)


class CountsReads(Samples):
    """Images that depend on the number of earlier reads."""

    def image(self, index: int) -> Tensor:
        return torch.full((1, 4, 4), self.reads, dtype=torch.uint8)


class OtherTensors(Samples):
    """Whole tensors that differ from the samples."""

    def tensors(self):
        images = torch.zeros(12, 1, 4, 4, dtype=torch.uint8)
        return {"image": images}, {"class": torch.arange(12) % 2}

    def record(self, index: int) -> Record:
        return Record(str(index), (4, 4))


class Hits:
    """The accuracy."""

    def __init__(self) -> None:
        self.seen = self.right = torch.tensor(0.0)

    def update(self, predicted: Tensor, truth: Tensor) -> None:
        self.seen = self.seen + len(truth)
        self.right = self.right + (predicted == truth).sum()

    def compute(self) -> Tensor:
        return self.right / self.seen

    def reset(self) -> None:
        self.seen = self.right = torch.tensor(0.0)


class NotFinite(Hits):
    """Divides by zero."""

    def compute(self) -> Tensor:
        return self.right / 0


class Remembers(Hits):
    """Is not reset completely."""

    def reset(self) -> None:
        self.right = torch.tensor(1.0)


class Dice(Hits):
    """A random number."""

    def __init__(self) -> None:
        super().__init__()
        self.luck = int.from_bytes(os.urandom(4), "little")

    def compute(self) -> Tensor:
        return super().compute() + self.luck


class Shared(Hits):
    """A list that copies share."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[Tensor] = []
        self.add = lambda hits: self.rows.append(hits)  # noqa: PLW0108

    def update(self, predicted: Tensor, truth: Tensor) -> None:
        self.add((predicted == truth).float())

    def compute(self) -> Tensor:
        return sum((row.sum() for row in self.rows), torch.tensor(0.0))

    def reset(self) -> None:
        self.rows.clear()


class NoSuchClass(Samples):
    """Numbers pixels by a class that is not there."""

    def __getitem__(self, index: int) -> Sample:
        sample = super().__getitem__(index)
        semantic = torch.full(sample.image.shape[1:], len(self.classes))
        return replace(sample, targets={"semantic": semantic})


class Boxes(Samples):
    """Boxes, labels and masks."""

    wrong: dict[str, Tensor] = {}  # noqa: RUF012 - read only

    def __getitem__(self, index: int) -> Sample:
        targets = {
            "boxes": torch.tensor([[0.0, 0, 2, 2], [1, 0.5, 4, 4]])[: index % 3],
            "labels": torch.tensor([0, 1])[: index % 3],
            "masks": torch.ones(2, 4, 4, dtype=torch.uint8)[: index % 3],
        }
        changed = {key: value[: index % 3] for key, value in self.wrong.items()}
        return replace(super().__getitem__(index), targets={**targets, **changed})


class NoArea(Boxes):
    """A box of no height."""

    wrong = {"boxes": torch.tensor([[0.0, 1, 2, 1], [1, 0.5, 4, 4]])}  # noqa: RUF012


class Outside(Boxes):
    """A box that reaches beyond the image."""

    wrong = {"boxes": torch.tensor([[0.0, 0, 2, 2], [1, 0.5, 4, 4.5]])}  # noqa: RUF012


class HalfLabelled(Boxes):
    """A box without a label."""

    wrong = {"labels": torch.tensor([0])}  # noqa: RUF012


class SmallNumbers(Boxes):
    """Labels that are no int64."""

    wrong = {"labels": torch.tensor([0, 1], dtype=torch.uint8)}  # noqa: RUF012


class White(Boxes):
    """Masks of 0 and 255."""

    wrong = {"masks": torch.full((2, 4, 4), 255, dtype=torch.uint8)}  # noqa: RUF012


class OneCategory(Boxes):
    """Two classes with one number in COCO files."""

    category_ids = (7, 7)


@hookimpl
def gvt_components() -> list[Component]:
    components = [
        ("dataset", "right", Samples),
        ("dataset", "shapes", OutOfRange),
        ("dataset", "shapes-semantic", NoSuchClass),
        ("dataset", "right-boxes", Boxes),
        ("dataset", "shapes-area", NoArea),
        ("dataset", "shapes-outside", Outside),
        ("dataset", "shapes-labels", HalfLabelled),
        ("dataset", "shapes-dtype", SmallNumbers),
        ("dataset", "shapes-masks", White),
        ("dataset", "shapes-categories", OneCategory),
        ("dataset", "determinism", EachTimeAnother),
        ("dataset", "workers", CountsReads),
        ("dataset", "resident", OtherTensors),
        ("metric", "right", Hits),
        ("metric", "shapes", NotFinite),
        ("metric", "reset", Remembers),
        ("metric", "determinism", Dice),
        ("metric", "deep-copy", Shared),
    ]
    return [*(Component(kind, name, it, summary="Wrong") for kind, name, it in components)]
