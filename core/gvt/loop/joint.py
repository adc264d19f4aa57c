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


class JointLosses:
    """The losses of the heads in one step of a phase, trained as the weighting of the task says.

    Args:
        weighting: The weighting of the heads.
        shared: The shared parameters that the step trains.
        optimizer: The optimiser of the phase.
        logs: Whether to return the cosines between the heads' gradients.

    Raises:
        ConfigError: If the weighting reads gradients, and the shared parameters are sharded.
    """

    def __init__(
        self, weighting: Weighting, shared: Sequence[nn.Parameter], optimizer: Optimizer, logs: bool
    ) -> None:
        self._weighting, self._shared, self._optimizer = weighting, shared, optimizer
        self._logs, self._separates = logs, bool(shared) and (weighting.uses_gradients or logs)
        self._gradients: dict[str, Tensor] = {}
        self._reached = torch.zeros(len(shared))
        self._observed: dict[str, float] = defaultdict(float)
        if self._separates and any(map(is_sharded, shared)):
            name = type(weighting).__name__
            raise ConfigError(
                f"task.weighting: {name} needs whole gradients; set train.shard=false"
            )

    @classmethod
    def of(
        cls, task: Task, phase: Phase, trainable: Trainable, index: int, optimizer: Optimizer
    ) -> JointLosses | None:
        """Return those of a step; None if the losses are only added up."""
        weighting = task.get_submodule(phase.weighting) if phase.weighting else None
        if not isinstance(weighting, Weighting) or len(weighting.heads) < 2:
            return None
        logs = weighting.cosines_every is not None and index % weighting.cosines_every == 0
        if not (weighting.uses_gradients or weighting.observes_losses or logs):
            return None
        return cls(weighting, trainable.of(phase.shared, index), optimizer, logs)

    def backward(self, losses: Mapping[str, Tensor], share: float) -> None:
        """Accumulate the gradients of the losses of a micro-batch, named `HEAD/LOSS`."""
        by_head: dict[str, list[Tensor]] = defaultdict(list)
        for name, loss in losses.items():
            by_head[name.partition("/")[0]].append(loss)
        sums = {head: torch.stack(of_head).sum() * share for head, of_head in by_head.items()}
        for head, loss in sums.items() if self._weighting.observes_losses else ():
            self._observed[head] += loss.item()
            self._observed[f"{head}/share"] += share
        learning = {head: loss for head, loss in sums.items() if loss.requires_grad}
        if not self._separates and learning:
            self._optimizer.backward(torch.stack([*learning.values()]).sum())
            return
        for left, (head, loss) in zip(range(len(learning))[::-1], learning.items(), strict=True):
            self._optimizer.backward(loss, retain_graph=left > 0)
            self._reached += torch.tensor([float(p.grad is not None) for p in self._shared])
            parts = [torch.zeros_like(p) if p.grad is None else p.grad for p in self._shared]
            gradient = torch.cat([part.reshape(-1) for part in parts])
            self._gradients[head] = self._gradients.get(head, 0) + gradient
            for parameter in self._shared:
                parameter.grad = None

    def finish(self, world: World, generator: torch.Generator) -> dict[str, Tensor]:
        """Set the gradients of the shared parameters, and return the cosines, if they are logged.

        All processes of a run call it.

        Args:
            world: The processes of the run.
            generator: Source of random numbers, the same in all processes.
        """
        if self._weighting.observes_losses:
            sums = world.add(self._observed)
            heads = [head for head in self._weighting.heads if head in sums]
            self._weighting.observe({head: sums[head] / sums[f"{head}/share"] for head in heads})
        return self._combine(world, generator) if self._separates else {}

    def _combine(self, world: World, generator: torch.Generator) -> dict[str, Tensor]:
        count, device = sum(p.numel() for p in self._shared), self._shared[0].device
        none = torch.zeros(count, device=device)
        rows = [self._gradients.get(head, none) for head in self._weighting.heads]
        matrix, reached = world.mean(torch.stack(rows)), world.mean(self._reached)
        # A loss in float16 is scaled. Where that overflows, the optimiser skips the step.
        scale = self._optimizer.scaler.get_scale()
        gram = (matrix @ matrix.T).double().cpu() / scale**2
        is_finite, weights = bool(gram.isfinite().all()), gram.new_ones(len(rows))
        present = [number for number, square in enumerate(gram.diagonal()) if square > 0]
        heads = [self._weighting.heads[number] for number in present]
        of_heads = gram[present][:, present]
        if self._weighting.uses_gradients and is_finite and heads:
            weights[present] = self._weighting.weights(heads, of_heads, generator)
        parts = torch.split(weights.to(matrix) @ matrix, [p.numel() for p in self._shared])
        for parameter, part, is_reached in zip(self._shared, parts, reached.tolist(), strict=True):
            if is_reached:  # otherwise an optimiser with weight decay would change it
                parameter.grad = torch.empty_like(parameter).copy_(part.view(parameter.shape))
        if not (self._logs and is_finite):
            return {}
        return _cosines(heads, of_heads.to(matrix))


def _cosines(heads: Sequence[str], gram: Tensor) -> dict[str, Tensor]:
    """Return the cosine between the gradients of each two heads."""
    norms = gram.diagonal().sqrt()
    return {
        f"cosine/{heads[a]}/{heads[b]}": gram[a, b] / (norms[a] * norms[b])
        for a, b in combinations(range(len(heads)), 2)
    }
