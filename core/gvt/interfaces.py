"""The interfaces between the core and its components: data sets, models, metrics and tasks.

Images are float32 in [0, 1], NCHW. Boxes are (M, 4) xyxy in pixels. `class`, `labels` and
`semantic` are indices of the class names of the data set, which do not include a background. In
`semantic`, 255 is ignored and, if the data set has a background, `len(classes)` is background.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from gvt.batch import Batch, Record, Sample, Targets
from gvt.seeding import random_source

FeatureInfo = Mapping[str, tuple[int, int]]
"""(channels, stride in pixels) of each feature map, from the finest to the coarsest."""

Prediction = dict[str, Any]
"""The prediction for one image: the keys of the targets, with `scores`.

`class` has scores (K,), `boxes` and `labels` have scores (M,) and optionally `masks` (M, H, W),
`semantic` has scores (K, H, W). A prediction of several labels for each pixel has `masks`
(K, H, W) and `labels` (K,) with scores (K, H, W).
"""


# --- data ------------------------------------------------------------------------------------


class Dataset(Protocol):
    """A map-style data set of one split, built as `target(split=..., **parameters)`.

    It has an attribute `info`, a `gvt.DataInfo`, or plain attributes with the names of its fields.
    Then `classes` and `image_shape` are required. `gvt.DataInfo.of` reads either.

    Attributes:
        splits: Names of the splits; an attribute of the class.
    """

    splits: ClassVar[tuple[str, ...]]

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Sample: ...


@runtime_checkable
class FileDataset(Protocol):
    """A data set of image files. When it is opened, warnings name common problems of the files.

    Attributes:
        files: Paths of the image files, each once.
        reader: The `gvt.PictureReader` that reads them.
    """

    files: Sequence[Any]
    reader: Any


@runtime_checkable
class MixedDataset(Protocol):
    """A mix of several data sets.

    Attributes:
        parts: The data sets by name.
    """

    parts: Mapping[str, Dataset]


@runtime_checkable
class ResidentDataset(Protocol):
    """A data set that can also be returned as whole tensors, which are kept on the device."""

    def tensors(self) -> tuple[Tensor, Mapping[str, Tensor]]:
        """Return all images, (N, C, H, W) uint8, and the dense targets, each of length N."""

    def record(self, index: int) -> Record:
        """Return the origin of one image."""


# --- networks ---------------------------------------------------------------------------------


class Generator(nn.Module):
    """Base class of generators, which map latents to images.

    Attributes:
        latent_shape: Shape of one latent, without the batch.
        image_shape: (C, H, W) of one image.
        image_range: Output values for black and for white. The task maps them to the range of the
            data, and images are clamped to it.
    """

    latent_shape: tuple[int, ...]
    image_shape: tuple[int, int, int]
    image_range: tuple[float, float] = (-1.0, 1.0)

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return images (N, C, H, W) in `image_range` for latents (N, *latent_shape)."""
        raise NotImplementedError


class Discriminator(nn.Module):
    """Base class of discriminators, which map images to one logit each."""

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return logits (N,) for images (N, C, H, W) in the data's range; real ones are larger."""
        raise NotImplementedError


class Backbone(nn.Module):
    """Base class of backbones, which map images to named feature maps.

    Attributes:
        feature_info: (channels, stride) of each map, from the finest to the coarsest.
    """

    feature_info: FeatureInfo

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Return feature maps, NCHW, for images (N, C, H, W) in [0, 1]."""
        raise NotImplementedError


class Head(nn.Module):
    """Base class of heads, which map feature maps to predictions.

    A head is built as `target(feature_info, num_classes, ...)`. Its outputs do not depend on train
    or eval mode, except for those of batch norm and dropout.

    Attributes:
        needs: Target keys that a sample must have for this head to learn from it.
    """

    needs: tuple[str, ...] = ()

    def forward(self, features: Mapping[str, Tensor], batch: Batch) -> Any:
        """Return any tree of tensors. It is computed once, and must not use `batch.targets`."""
        raise NotImplementedError

    def loss(self, outputs: Any, targets: Targets) -> dict[str, Tensor]:
        """Return scalar losses by name. Every sample has all the keys of `needs`."""
        raise NotImplementedError

    def predict(self, outputs: Any) -> list[Prediction]:
        """Return one prediction per image, in pixels of the padded canvas."""
        raise NotImplementedError

    def metric(self) -> Metric | None:
        """Return a new metric over (predictions, targets), or None if there is none."""
        return None

    def decide(self, scores: Tensor) -> Prediction:
        """Return the prediction for an image from the scores of its pixels, (K, H, W).

        A head whose predictions have such `scores` predicts images of any size. The scores of
        overlapping tiles and flipped copies are blended, and this method makes the prediction from
        them. The prediction for a pixel depends on its own scores only.
        """
        # The first of equal scores, like argmax, which takes eight times as long on a CPU.
        return {"semantic": scores.max(dim=0).indices, "scores": scores}

    def errors(self, predictions: list[Prediction], targets: list[dict[str, Any]]) -> Tensor | None:
        """Return the error of each prediction, (N,), 0 for a correct one; None by default.

        The worst predictions of an evaluation are shown as a sheet. Every target has all the keys
        of `needs`.
        """
        return None


@dataclass(frozen=True)
class Curves:
    """A curve for each class, such as precision over recall.

    Attributes:
        x: (P,), ascending.
        y: (K, P); NaN for a class without a curve.
        names: Labels of x and y.
    """

    x: Tensor
    y: Tensor
    names: tuple[str, str]


class Metric(Protocol):
    """The methods of a metric that an evaluation calls; every torchmetrics metric has them.

    `compute` returns a number, a vector, or a dict of them by name. A dict may also contain (K, K)
    tables over the classes, with rows for the truth, and `Curves`, which are drawn and not listed.
    A vector with an entry for each class, and a last one for the background if there is one, is
    listed by the names of the classes.
    """

    def to(self, device: torch.device) -> Any: ...

    def update(self, predictions: Any, targets: Any) -> None: ...

    def compute(self) -> Any: ...


class Loss(Protocol):
    """A function of outputs and targets that returns one number, such as the losses of `torch.nn`.

    A constructor's parameter of this type, or of `Metric`, is a component that a recipe names.
    """

    def __call__(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the mean loss ()."""


# --- tasks ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Phase:
    """One optimiser step within an iteration.

    Attributes:
        name: Name that is passed to `Task.forward`, and under which the losses are logged.
        trains: The submodule, or submodules, whose parameters it trains.
        every: The phase runs once in this many iterations,
        offset: in those with `iteration % every == offset`.
        keeps_graph: Submodules that stay differentiable although this phase does not train them,
            because a later phase continues from tensors computed here.
        optimizer: Name of its optimiser, by default that of `trains`; two phases may share one.
        precision: Precision instead of that of the run, such as `float32` for a gradient penalty.
        eager: Whether to run without compiled code, as required by double backward.
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
        """Return whether the phase runs in an iteration."""
        return iteration % self.every == self.offset

    @property
    def trained(self) -> tuple[str, ...]:
        """The trained submodules, always as a tuple."""
        return (self.trains,) if isinstance(self.trains, str) else self.trains

    @property
    def optimizer_key(self) -> str:
        """Name of the optimiser."""
        return self.optimizer or "+".join(self.trained)


class Step:
    """One micro-batch of one iteration: its index, its random numbers, and a memo for phases.

    Attributes:
        index: The iteration, from 0.
        memo: Values that one phase passes to the next; dropped at the end of the iteration.
        pictures: Sheets like those of `Task.pictures`, of the samples of this iteration. They are
            drawn in steps that draw pictures.
    """

    def __init__(
        self,
        index: int,
        *,
        seed: int = 0,
        part: int = 0,
        parts: int = 1,
        device: Any = "cpu",
        vote: Callable[[bool], bool] | None = None,
    ) -> None:
        self.index = index
        self.memo: dict[Hashable, Any] = {}
        self.pictures: dict[str, Tensor] = {}
        self._seed, self._part, self._parts, self._device = seed, part, parts, device
        self._draws = 0
        self._vote, self._ties = vote, list[Tensor]()

    def randn(self, count: int, *shape: int) -> Tensor:
        """Return (count, *shape) normal noise on the task's device.

        The noise is drawn for all processes and micro-batches of the iteration, and the rows of
        this one are returned. So two processes, or two accumulated micro-batches, get the noise of
        one batch of twice the size. The noise is the same on every device.
        """
        return self._drawn(torch.randn, count, shape)

    def rand(self, count: int, *shape: int) -> Tensor:
        """Return (count, *shape) noise, uniform in [0, 1), drawn like that of `randn`."""
        return self._drawn(torch.rand, count, shape)

    def any(self, flag: bool) -> bool:
        """Return whether a flag is set in any process if networks are sharded, else the flag.

        A sharded network (`train.shard`) has to be called by all processes or by none, and so has
        its backward pass. A task that calls a network depending on the batch asks this first, in
        all processes, and calls `tie` for what the network returned.
        """
        return flag if self._vote is None else self._vote(flag)

    def tie(self, network: nn.Module, outputs: Any) -> None:
        """Let a network take part in the backward pass even if no loss uses its outputs.

        Only sharded networks need it. The gradients that it adds are zero.
        """
        if self._vote is not None:
            tensors = [*tree_leaves(outputs), *network.parameters()]
            learning = [t for t in tensors if isinstance(t, Tensor) and t.requires_grad]
            self._ties += [t.reshape(-1)[:0].sum() for t in learning]

    def ties(self) -> list[Tensor]:
        """Return zeros that depend on what was tied since the last call; for the trainer."""
        ties, self._ties = self._ties, []
        return ties

    def _drawn(self, draw: Callable[..., Tensor], count: int, shape: tuple[int, ...]) -> Tensor:
        generator = random_source(self._seed, "step", self.index, self._draws)
        self._draws += 1
        noise = draw(self._parts * count, *shape, generator=generator)
        return noise[self._part * count :][:count].to(self._device)


class TrainingLoop(Protocol):
    """The methods of `gvt.Trainer` that `Task.training_step` calls."""

    def run_phases(self, micro_batches: Sequence[Batch]) -> None:
        """Train one iteration: each phase in turn, over all micro-batches."""

    def record(self, phase: str, losses: Mapping[str, Tensor], share: float = 1.0) -> None:
        """Log the losses of a phase, computed on a `share` of the iteration."""


class Task(nn.Module):
    """Base class of tasks: models as submodules, and the losses of each phase.

    State, devices and parameters are those of `nn.Module`. The trainer runs the loop.

    Attributes:
        phases: The optimiser steps of one iteration, in their order.
        origin: Document of the checkpoint or of the run that the task comes from; None for a task
            built in code.
    """

    phases: tuple[Phase, ...]
    origin: Mapping[str, Any] | None = None

    def forward(self, phase: str, batch: Batch, step: Step) -> dict[str, Tensor]:
        """Return the scalar losses of one phase, already weighted; the trainer sums them.

        An empty dict means that the phase learns nothing from this batch.
        """
        raise NotImplementedError

    def predict(self, batch: Batch) -> list[Prediction]:
        """Return one prediction per image, in pixels of the padded canvas.

        A prediction is `{head: Prediction}`, or the `Prediction` itself for a task without heads.
        """
        raise NotImplementedError(f"{type(self).__name__} makes no predictions")

    def decide(self, head: str, scores: Tensor) -> Prediction:
        """Return the prediction of a head, "" for a task without heads, from scores (K, H, W)."""
        raise NotImplementedError(f"{type(self).__name__} makes no predictions for pixels")

    def evaluate(self, batch: Batch) -> tuple[list[Prediction], dict[str, tuple[Tensor, int]]]:
        """Return the predictions for a held-out batch, and its losses.

        Each loss is a mean, and is returned with the number of samples that it is over.
        """
        return self.predict(batch), {}

    def metric(self) -> Metric | None:
        """Return a new metric over (predictions, targets); None if nothing is evaluated."""
        return None

    def errors(
        self, predictions: list[Prediction], targets: list[dict[str, Any]]
    ) -> dict[str, Tensor]:
        """Return the error of each prediction, (N,), 0 for a correct one, by head.

        A task without heads returns it under "".
        """
        return {}

    def untaught(self, losses: Collection[str]) -> list[str]:
        """Return a warning for each part that had none of the losses of a whole epoch."""
        return []

    def sample(self, count: int, seed: int) -> Tensor:
        """Return new images, (N, C, H, W) float32 in [0, 1].

        Image i of a seed does not depend on the count.
        """
        raise NotImplementedError(f"{type(self).__name__} makes no pictures of its own")

    def pictures(self, seed: int) -> dict[str, Tensor]:
        """Return sheets of images to look at, in [0, 1], by name.

        A sheet is (N, C, H, W), or (rows, columns, C, H, W) if the arrangement matters. The same
        seed and weights give the same images. An image keeps its place in the sheet during the
        run, so that its progress can be followed.
        """
        return {}

    def training_step(self, trainer: TrainingLoop, micro_batches: Sequence[Batch]) -> None:
        """Train one iteration; override it for an algorithm that phases do not describe.

        Log losses with `trainer.record(name, losses)`. The rest of the loop is unchanged.
        """
        trainer.run_phases(micro_batches)
