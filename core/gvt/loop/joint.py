"""The losses of several heads, and the gradients that they have in the parameters they share."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import combinations

import torch
from torch import Tensor, nn

from gvt.device.processes import World
from gvt.device.sharding import is_sharded
from gvt.errors import ConfigError
from gvt.interfaces import Weighting
from gvt.loop.optim import Optimizer
from gvt.loop.trainable import Trainable
from gvt.task import Phase, Task

Row = Sequence[Tensor | None]
"""The gradient of a head in each shared parameter; None if it has none."""


class JointLosses:
    """The losses of the heads in one step of a phase, trained as the weighting of the task says.

    Args:
        weighting: The weighting of the heads.
        shared: The shared parameters that the step trains.
        optimizer: The optimiser of the phase.
        logs: Whether to return the cosines between the heads' gradients.
    """

    def __init__(
        self,
        weighting: Weighting,
        shared: Sequence[nn.Parameter],
        optimizer: Optimizer,
        *,
        logs: bool,
    ) -> None:
        self._weighting, self._shared, self._optimizer = weighting, shared, optimizer
        self._logs, self._separates = logs, bool(shared) and (weighting.uses_gradients or logs)
        self._rows: dict[str, Row] = {}
        self._totals: dict[str, float] = defaultdict(float)
        self._shares: dict[str, float] = defaultdict(float)
        if self._separates and any(map(is_sharded, shared)):
            raise ConfigError(
                f"task.weighting: {type(weighting).__name__} reads whole gradients; set "
                "train.shard=false"
            )

    @classmethod
    def of(
        cls, task: Task, phase: Phase, trainable: Trainable, index: int, optimizer: Optimizer
    ) -> JointLosses | None:
        """Return those of a step; None if the losses are only added up.

        Raises:
            ConfigError: If the weighting reads gradients, and the shared parameters are sharded.
        """
        weighting = task.get_submodule(phase.weighting) if phase.weighting else None
        if not isinstance(weighting, Weighting) or len(weighting.heads) < 2:
            return None
        logs = weighting.cosines_every is not None and index % weighting.cosines_every == 0
        if not (weighting.uses_gradients or weighting.observes_losses or logs):
            return None
        return cls(weighting, trainable.of(phase.shared, index), optimizer, logs=logs)

    def backward(self, losses: Mapping[str, Tensor], share: float) -> None:
        """Accumulate the gradients of the losses of a micro-batch, named `HEAD/LOSS`."""
        by_head: dict[str, list[Tensor]] = defaultdict(list)
        for name, loss in losses.items():
            by_head[name.partition("/")[0]].append(loss)
        sums = {head: torch.stack(of_head).sum() for head, of_head in by_head.items()}
        if self._weighting.observes_losses:
            for head, total in sums.items():
                self._totals[head] += total.item() * share
                self._shares[head] += share
        learning = {head: total * share for head, total in sums.items() if total.requires_grad}
        if not self._separates and learning:
            self._optimizer.backward(torch.stack([*learning.values()]).sum())
            return
        for left, (head, loss) in zip(range(len(learning))[::-1], learning.items(), strict=True):
            self._optimizer.backward(loss, retain_graph=left > 0)
            before = self._rows.get(head, [None] * len(self._shared))
            self._rows[head] = [
                _added(g, p.grad) for g, p in zip(before, self._shared, strict=True)
            ]
            self._set_gradients([None] * len(self._shared))

    def finish(self, world: World, generator: torch.Generator) -> dict[str, Tensor]:
        """Set the gradients of the shared parameters, and return the cosines, if they are logged.

        All processes of a run call it.

        Args:
            world: The processes of the run.
            generator: Source of random numbers, the same in all processes.
        """
        cosines = self._combine(world, generator) if self._separates else {}
        if self._weighting.observes_losses:
            totals, shares = world.add(self._totals), world.add(self._shares)
            self._weighting.observe({head: totals[head] / shares[head] for head in totals})
        return cosines

    def _combine(self, world: World, generator: torch.Generator) -> dict[str, Tensor]:
        rows: dict[str, Row] = {}
        for head in self._weighting.heads:
            self._set_gradients(self._rows.get(head, [None] * len(self._shared)))
            world.reduce(self._shared)
            row = [p.grad for p in self._shared]
            if any(gradient is not None for gradient in row):
                rows[head] = row
        self._set_gradients([None] * len(self._shared))
        if not rows:
            return {}
        matrix = torch.stack([self._flat(row) for row in rows.values()])
        # A loss in float16 is scaled. Where that overflows, the optimiser skips the step.
        scale = self._optimizer.scaler.get_scale()
        gram = (matrix @ matrix.T).double().cpu() / scale**2
        is_finite, weights = bool(gram.isfinite().all()), gram.new_ones(len(rows))
        if self._weighting.uses_gradients and is_finite:
            weights = self._weighting.weights([*rows], gram, generator)
        self._set_gradients(self._split(weights.to(matrix) @ matrix, [*rows.values()]))
        return _cosines([*rows], gram.to(matrix)) if self._logs and is_finite else {}

    def _flat(self, row: Row) -> Tensor:
        pairs = zip(row, self._shared, strict=True)
        return torch.cat([(torch.zeros_like(p) if g is None else g).reshape(-1) for g, p in pairs])

    def _split(self, gradient: Tensor, rows: Sequence[Row]) -> Row:
        """Return the parts of a gradient; None for parameters without one in any row."""
        parts = torch.split(gradient, [p.numel() for p in self._shared])
        return [
            None
            if all(g is None for g in column)
            else torch.empty_like(p).copy_(part.view(p.shape))
            for p, part, column in zip(self._shared, parts, zip(*rows, strict=True), strict=True)
        ]

    def _set_gradients(self, row: Row) -> None:
        for parameter, gradient in zip(self._shared, row, strict=True):
            parameter.grad = gradient


def _added(total: Tensor | None, gradient: Tensor | None) -> Tensor | None:
    return gradient if total is None else total if gradient is None else total + gradient


def _cosines(heads: Sequence[str], gram: Tensor) -> dict[str, Tensor]:
    """Return the cosine between the gradients of each two heads; 0 for one that is zero."""
    norms = gram.diagonal().sqrt()
    return {
        f"cosine/{heads[a]}/{heads[b]}": gram[a, b] / (norms[a] * norms[b]).clamp_min(1e-30)
        for a, b in combinations(range(len(heads)), 2)
    }
