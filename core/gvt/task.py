"""Tasks: what is learned, the phases of an iteration, and their random numbers."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from inspect import signature
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from gvt.batch import Batch
from gvt.fields import Shown
from gvt.interfaces import Metric, Prediction
from gvt.seeding import random_source


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
        weighting: The submodule, a `gvt.Weighting`, that combines the losses of several heads,
            which are named `HEAD/LOSS`; none by default.
        shared: The submodules that the heads share, for that weighting.
    """

    name: str
    trains: str | tuple[str, ...]
    every: int = 1
    offset: int = 0
    keeps_graph: tuple[str, ...] = ()
    optimizer: str | None = None
    precision: str | None = None
    eager: bool = False
    weighting: str = ""
    shared: tuple[str, ...] = ()

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

    A held-out batch has one, too, so that a loss with noise is the same in every evaluation.

    Args:
        index: The iteration, or the batch of a split, from 0.
        split: Name of the held-out split; empty in training.
        seed: Seed of the run.
        part: Number of this micro-batch among all `parts` of the iteration.
        parts: Number of micro-batches of the iteration, over all processes.
        device: Device of the noise.
        vote: `World.any` of a run whose networks are sharded.

    Attributes:
        index: The iteration, or the batch of a split, from 0.
        memo: Values that one phase passes to the next; dropped at the end of the iteration.
        pictures: Sheets like those of `Task.pictures`, of the samples of this iteration. They are
            drawn in steps that draw pictures.
        ties: Zeros that the trainer adds to the losses of the phase; see `tie`.
    """

    def __init__(
        self,
        index: int,
        *,
        split: str = "",
        seed: int = 0,
        part: int = 0,
        parts: int = 1,
        device: Any = "cpu",
        vote: Callable[[bool], bool] | None = None,
    ) -> None:
        self.index = index
        self.memo: dict[Hashable, Any] = {}
        self.pictures: dict[str, Tensor | Shown] = {}
        self._place = (seed, f"evaluate {split}" if split else "step", index)
        self._part, self._parts, self._device = part, parts, device
        self._draws = 0
        self.ties: list[Tensor] = []
        self._vote = vote

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
            self.ties += [t.reshape(-1)[:0].sum() for t in learning]

    def _drawn(self, draw: Callable[..., Tensor], count: int, shape: tuple[int, ...]) -> Tensor:
        generator = random_source(*self._place, self._draws)
        self._draws += 1
        noise = draw(self._parts * count, *shape, generator=generator)
        return noise[self._part * count :][:count].to(self._device)


class TrainingLoop(Protocol):
    """The methods of `gvt.Trainer` that `Task.training_step` calls."""

    def run_phases(self, micro_batches: Sequence[Batch]) -> None:
        """Train one iteration: each phase in turn, over all micro-batches."""

    def record(self, phase: str, losses: Mapping[str, Tensor], share: float = 1.0) -> None:
        """Log the losses of a phase, computed on a `share` of the iteration."""


@dataclass(frozen=True)
class Deployed:
    """The form in which a task is exported: a module from tensors to tensors.

    Attributes:
        module: Maps the inputs to a tuple of tensors: `module(*inputs)`, both in the order of the
            names below. It has the weights of the task, and its mode: call `task.eval()` before.
        inputs: The field of each input, by name. An `image` is (N, C, H, W) float32 in [0, 1],
            without padding.
        outputs: The field of each output, by name: `KEY` of the predictions of the only head, or
            `HEAD/KEY`. Shapes are those of `Head.tensors`, in pixels of the input.
        dynamic: The axes of each input whose lengths may vary, by its name, each with a symbol,
            such as `{"image": {0: "batch", 2: "height", 3: "width"}}`. The same symbol stands for
            the same length.
        shapes: The shape of one sample of inputs that no data set has, such as latents, by name.
    """

    module: nn.Module
    inputs: Mapping[str, str]
    outputs: Mapping[str, str]
    dynamic: Mapping[str, Mapping[int, str]]
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    def dynamic_shapes(self, examples: Sequence[Tensor]) -> Any:
        """Return the parameter `dynamic_shapes` of `torch.export.export` and `torch.onnx.export`.

        Args:
            examples: A value of each input, in their order, to export the module with. No axis
                that varies should be shorter than 2 there, also not in the maps of the module.
        """
        shapes: Any = torch.export.ShapesCollection()  # type: ignore[no-untyped-call]
        for name, example in zip(self.inputs, examples, strict=True):
            shapes[example] = dict.fromkeys(self.dynamic.get(name, ()), torch.export.Dim.DYNAMIC)
        return shapes.dynamic_shapes(self.module, tuple(examples))


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

    def __init_subclass__(cls, **arguments: Any) -> None:
        super().__init_subclass__(**arguments)
        for name in ("evaluate", "pictures"):
            expected = [*signature(getattr(Task, name)).parameters]
            declared = [*signature(getattr(cls, name)).parameters]
            if len(declared) < len(expected):
                raise TypeError(
                    f"{cls.__name__}.{name}({', '.join(declared)}) should be "
                    f"{name}({', '.join(expected)})"
                )

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

    def predicts(self) -> dict[str, tuple[str, ...]]:
        """Return the keys of a prediction by head, "" for a task without heads.

        A head without keys does not declare them, and {} is a task that declares none. Then they
        are read from a prediction.
        """
        return {}

    def decide(self, head: str, scores: Tensor) -> Prediction:
        """Return the prediction of a head, "" for a task without heads, from scores (K, H, W)."""
        raise NotImplementedError(f"{type(self).__name__} makes no predictions for pixels")

    def evaluate(
        self, batch: Batch, step: Step
    ) -> tuple[list[Prediction], dict[str, tuple[Tensor, int]]]:
        """Return the predictions for a held-out batch, and its losses.

        All processes of a run call it, each with its own batch, and as often as the others.

        Each loss is a mean, and is returned with the number of samples that it is over. Noise of
        `step`, and of torch's default generators, is the same in every evaluation of the split.
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

    def sample(self, count: int, seed: int) -> Tensor | Shown:
        """Return new images, (N, C, H, W) float32 in [0, 1], or new samples of another field.

        Sample i of a seed does not depend on the count.
        """
        raise NotImplementedError(f"{type(self).__name__} makes no samples of its own")

    def pictures(self, seed: int, examples: Batch | None) -> dict[str, Tensor | Shown]:
        """Return sheets of images to look at, in [0, 1], or what another field shows, by name.

        A sheet is (N, C, H, W), or (rows, columns, C, H, W) if the arrangement matters. The same
        seed, weights and examples give the same images. An image keeps its place in the sheet
        during the run, so that its progress can be followed. All processes of a run call it; what
        the first one returns is shown.

        Args:
            seed: Seed of the run.
            examples: The first samples of the split that is evaluated during the run, on the
                device, such as images to translate; None if there is none.
        """
        return {}

    def deployed(self) -> Deployed:
        """Return the form in which the task is exported: tensors in, tensors out.

        Raises:
            NotImplementedError: If it has none; says why.
        """
        raise NotImplementedError(f"{type(self).__name__} has no deployed form")

    def training_step(self, trainer: TrainingLoop, micro_batches: Sequence[Batch]) -> None:
        """Train one iteration; override it for an algorithm that phases do not describe.

        Log losses with `trainer.record(name, losses)`. The rest of the loop is unchanged.
        """
        trainer.run_phases(micro_batches)
