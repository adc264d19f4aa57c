"""The contracts between the core and everything that has a name. Nothing else is in here.

Images are float32 in [0, 1], NCHW. Boxes are (M, 4) xyxy in pixels. `class`, `labels` and
`semantic` count from 0 over the data set's class names, with no background entry; in `semantic`
255 is ignored and, where the data set has a background, `len(classes)` is a pixel of no class.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from gvt.batch import Batch, Record, Sample, Targets
from gvt.seeding import random_source

FeatureInfo = Mapping[str, tuple[int, int]]
"""Of each feature map its (channels, stride in pixels), from the finest to the coarsest."""

Prediction = dict[str, Any]
"""One image's prediction: the keys of the targets, with `scores`.

`class` comes with scores (K,), `boxes` and `labels` with (M,) and perhaps `masks` (M, H, W),
`semantic` with (K, H, W). Several labels that each pixel may have come as `masks` (K, H, W) and
`labels` (K,) with scores (K, H, W).
"""


# --- data ------------------------------------------------------------------------------------


class Dataset(Protocol):
    """A map-style data set of one split, built as `target(split=..., **parameters)`.

    It has `info`, a `gvt.DataInfo`, or plain attributes with the names of its fields, of which
    `classes` and `image_shape` are required. `gvt.DataInfo.of` reads either.

    Attributes:
        splits: Names of the splits that there are, on the class.
    """

    splits: ClassVar[tuple[str, ...]]

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Sample: ...


@runtime_checkable
class FileDataset(Protocol):
    """A data set of image files; opening it warns of what is easily overlooked in them.

    Attributes:
        files: The paths of the image files, each once.
        reader: The `gvt.PictureReader` that reads them.
    """

    files: Sequence[Any]
    reader: Any


@runtime_checkable
class MixedDataset(Protocol):
    """A data set that is mixed of several.

    Attributes:
        parts: These data sets by name.
    """

    parts: Mapping[str, Dataset]


@runtime_checkable
class ResidentDataset(Protocol):
    """A data set that can also be had as whole tensors, to be kept on the device."""

    def tensors(self) -> tuple[Tensor, Mapping[str, Tensor]]:
        """Return all images, (N, C, H, W) uint8, and the dense targets, each of length N."""
        ...

    def record(self, index: int) -> Record:
        """Return the origin of one image."""
        ...


# --- networks ---------------------------------------------------------------------------------


class Generator(nn.Module):
    """Latents to images.

    Attributes:
        latent_shape: Shape of one latent, without the batch.
        image_shape: (C, H, W) of one image.
        image_range: The values of its output that stand for black and for white; the task maps
            them to the data's range, and pictures are clamped to it.
    """

    latent_shape: tuple[int, ...]
    image_shape: tuple[int, int, int]
    image_range: tuple[float, float] = (-1.0, 1.0)

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return images (N, C, H, W) in `image_range` for latents (N, *latent_shape)."""
        raise NotImplementedError


class Discriminator(nn.Module):
    """Images to one logit each."""

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return logits (N,) for images (N, C, H, W) in the data's range; larger is more real."""
        raise NotImplementedError


class Backbone(nn.Module):
    """Images to named feature maps.

    Attributes:
        feature_info: Of each map its (channels, stride), from the finest to the coarsest.
    """

    feature_info: FeatureInfo

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Return feature maps, NCHW, for images (N, C, H, W) in [0, 1]."""
        raise NotImplementedError


class Head(nn.Module):
    """Feature maps to predictions; built from `(feature_info, num_classes, ...)`.

    What it computes does not depend on train or eval mode (batch norm and dropout follow it).

    Attributes:
        needs: The target keys without which a sample teaches this head nothing.
    """

    needs: tuple[str, ...] = ()

    def forward(self, features: Mapping[str, Tensor], batch: Batch) -> Any:
        """Return any tree of tensors, computed once; never looks at `batch.targets`."""
        raise NotImplementedError

    def loss(self, outputs: Any, targets: Targets) -> dict[str, Tensor]:
        """Return named scalar losses. Every sample here has all the keys of `needs`."""
        raise NotImplementedError

    def predict(self, outputs: Any) -> list[Prediction]:
        """Return one dict an image, in pixels of the padded canvas."""
        raise NotImplementedError

    def metric(self) -> Metric | None:
        """Return a new metric over (predictions, targets), or None."""
        return None

    def decide(self, scores: Tensor) -> Prediction:
        """Return the prediction for an image from the scores of its pixels, (K, H, W).

        A head whose predictions have such `scores` predicts pictures of any size: they are
        blended from overlapping tiles, and from flipped copies, and decided here. Each pixel is
        decided by itself.
        """
        # Of equal scores the first, as argmax has it, which takes eight times as long on a CPU.
        return {"semantic": scores.max(dim=0).indices, "scores": scores}

    def errors(self, predictions: list[Prediction], targets: list[dict[str, Any]]) -> Tensor | None:
        """Return how wrong each prediction is, (N,), 0 where it is right; None where nobody asks.

        The worst ones of an evaluation are shown as a sheet. Every target here has all the keys
        of `needs`.
        """
        return None


@dataclass(frozen=True)
class Curves:
    """A curve for each class, such as precision over recall.

    Attributes:
        x: (P,), rising.
        y: (K, P); NaN where a class has none.
        names: What x and y are.
    """

    x: Tensor
    y: Tensor
    names: tuple[str, str]


class Metric(Protocol):
    """What evaluation needs of a metric; every torchmetrics metric has it.

    It computes a number, a vector, a dict of them by name, and among those perhaps (K, K) tables
    over the classes, rows for the truth, and `Curves`, which are drawn instead of listed. A vector
    with an entry for each class, the background last where there is one, is listed by the classes'
    names.
    """

    def to(self, device: torch.device) -> Any: ...

    def update(self, predictions: Any, targets: Any) -> None: ...

    def compute(self) -> Any: ...


class Loss(Protocol):
    """Outputs and targets to one number; every loss of `torch.nn` is one.

    A constructor's parameter of this type, or of `Metric`, is a component: a recipe names it.
    """

    def __call__(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the mean loss ()."""
        ...


# --- tasks ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Phase:
    """One optimiser step within an iteration.

    Attributes:
        name: What `Task.forward` is asked for, and the losses are logged under.
        trains: The submodule, or submodules, whose parameters it moves.
        every: It runs in one iteration of this many...
        offset: ...the one with `iteration % every == offset`.
        keeps_graph: Submodules that stay differentiable though this phase does not train them,
            because a later phase goes on through work done here.
        optimizer: Name of its optimiser, by default that of `trains`; two phases may share one.
        precision: `float32` where autocast would hurt, such as a gradient penalty.
        eager: Run without the compiled code, as double backward needs.
    """

    name: str
    trains: str | tuple[str, ...]
    every: int = 1
    offset: int = 0
    keeps_graph: tuple[str, ...] = ()
    optimizer: str | None = None
    precision: str | None = None
    eager: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.offset < self.every:
            raise ValueError(
                f"phase {self.name!r}: offset {self.offset} is not in [0, every = {self.every})"
            )
        if self.precision not in (None, "float32", "bfloat16", "float16"):
            raise ValueError(f"phase {self.name!r}: no precision is called {self.precision!r}")

    def is_due(self, iteration: int) -> bool:
        """Whether it runs in an iteration."""
        return iteration % self.every == self.offset

    @property
    def trained(self) -> tuple[str, ...]:
        """The submodules that it trains, always as a tuple."""
        return (self.trains,) if isinstance(self.trains, str) else self.trains

    @property
    def optimizer_key(self) -> str:
        """The name of its optimiser."""
        return self.optimizer or "+".join(self.trained)


class Step:
    """One micro-batch of one iteration: its place, its randomness, and a memo between phases.

    Attributes:
        index: The iteration, from 0.
        memo: Passes work from one phase to the next; dropped when the iteration ends.
        pictures: Sheets like those of `Task.pictures`, of what this very iteration trains on;
            they are kept where pictures are due.
    """

    def __init__(
        self, index: int, *, seed: int = 0, part: int = 0, parts: int = 1, device: Any = "cpu"
    ) -> None:
        self.index = index
        self.memo: dict[Hashable, Any] = {}
        self.pictures: dict[str, Tensor] = {}
        self._seed, self._part, self._parts, self._device = seed, part, parts, device
        self._draws = 0

    def randn(self, count: int, *shape: int) -> Tensor:
        """Return (count, *shape) normal noise on the task's device.

        It is drawn for all processes and micro-batches of the iteration and this one's rows are
        returned, so that two processes, or two accumulated micro-batches, see what one batch of
        twice the size would. On every device it is the same noise.
        """
        return self._drawn(torch.randn, count, shape)

    def rand(self, count: int, *shape: int) -> Tensor:
        """Return (count, *shape) noise, uniform in [0, 1), drawn like that of `randn`."""
        return self._drawn(torch.rand, count, shape)

    def _drawn(self, draw: Callable[..., Tensor], count: int, shape: tuple[int, ...]) -> Tensor:
        generator = random_source(self._seed, "step", self.index, self._draws)
        self._draws += 1
        noise = draw(self._parts * count, *shape, generator=generator)
        return noise[self._part * count :][:count].to(self._device)


class TrainingLoop(Protocol):
    """The part of `gvt.Trainer` that `Task.training_step` uses."""

    def run_phases(self, micro_batches: Sequence[Batch]) -> None:
        """Train one iteration: phase by phase, each over all micro-batches."""
        ...

    def record(self, phase: str, losses: Mapping[str, Tensor], share: float = 1.0) -> None:
        """Log the losses of a phase; `share` is the part of the iteration that they are of."""
        ...


class Task(nn.Module):
    """What is learned: networks as submodules, and the losses of each phase.

    State, devices and parameters come from `nn.Module`; the loop around it is the trainer's.

    Attributes:
        phases: The optimiser steps of one iteration, in their order.
        origin: What the checkpoint says that it was loaded from, or the run that it is of; None
            for a task put together in code.
    """

    phases: tuple[Phase, ...]
    origin: Mapping[str, Any] | None = None

    def forward(self, phase: str, batch: Batch, step: Step) -> dict[str, Tensor]:
        """Return the scalar losses of one phase, already weighted; the trainer sums them.

        An empty dict says that this batch teaches the phase nothing.
        """
        raise NotImplementedError

    def predict(self, batch: Batch) -> list[Prediction]:
        """Return one prediction an image, in pixels of the padded canvas.

        That is `{head: Prediction}`, or of a task without heads the `Prediction` itself.
        """
        raise NotImplementedError(f"{type(self).__name__} makes no predictions")

    def decide(self, head: str, scores: Tensor) -> Prediction:
        """Return what a head, "" for a task without heads, decides from scores (K, H, W)."""
        raise NotImplementedError(f"{type(self).__name__} makes no predictions for pixels")

    def evaluate(self, batch: Batch) -> tuple[list[Prediction], dict[str, tuple[Tensor, int]]]:
        """Return the predictions for a held-out batch, and its losses.

        Each loss comes with the number of samples that it is the mean of.
        """
        return self.predict(batch), {}

    def metric(self) -> Metric | None:
        """Return a new metric over (predictions, targets); None where nothing is evaluated."""
        return None

    def errors(
        self, predictions: list[Prediction], targets: list[dict[str, Any]]
    ) -> dict[str, Tensor]:
        """Return by head how wrong each prediction is, (N,), 0 where it is right.

        A task without heads returns it under "".
        """
        return {}

    def untaught(self, losses: Collection[str]) -> list[str]:
        """Return what is to be said of parts that had none of the losses of a whole epoch."""
        return []

    def sample(self, count: int, seed: int) -> Tensor:
        """Return new pictures, (N, C, H, W) float32 in [0, 1].

        Picture i of a seed is the same one whatever the count.
        """
        raise NotImplementedError(f"{type(self).__name__} makes no pictures of its own")

    def pictures(self, seed: int) -> dict[str, Tensor]:
        """Return named sheets of pictures for people, in [0, 1].

        Each is (N, C, H, W), or (rows, columns, C, H, W) where the arrangement matters. The same
        seed and weights give the same pictures; a picture keeps its place in the sheet over the
        run, so that it can be followed.
        """
        return {}

    def training_step(self, trainer: TrainingLoop, micro_batches: Sequence[Batch]) -> None:
        """Train one iteration; override for an algorithm that phases do not describe.

        Report losses with `trainer.record(name, losses)`; all the rest of the loop stays.
        """
        trainer.run_phases(micro_batches)
