"""An exponential moving average of weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from gvt.config.schema import EmaConfig
from gvt.device.sharding import distributed_like, local
from gvt.loop.trainable import check_names
from gvt.task import Task


class Ema:
    """Exponential moving average of the parameters of submodules; buffers are copied.

    The decay rises with the step, `min(decay, (1 + step) / (10 + step))`, so that the random
    initial weights soon have no influence.

    Args:
        task: The task that is trained.
        config: The decay, and the names of the submodules; by default all that the phases train.

    Raises:
        ConfigError: If the task has no submodule of a name.
    """

    def __init__(self, task: Task, config: EmaConfig) -> None:
        self.decay = config.decay
        trained = dict.fromkeys(m for phase in task.phases for m in phase.trained)
        self.modules = tuple(trained if config.modules is None else config.modules)
        check_names("train.ema.modules", task, self.modules)
        live = task.state_dict(keep_vars=True)
        prefixes = tuple(f"{m}." for m in self.modules)
        live = {n: t for n, t in live.items() if n.startswith(prefixes)}
        averaged = {n for n, t in live.items() if isinstance(t, nn.Parameter)}
        self.tensors: dict[str, Tensor] = {n: t.detach().clone() for n, t in live.items()}
        # Each process averages its parts of sharded tensors.
        self._live = {n: local(t) for n, t in live.items()}
        self._local = {n: local(t) for n, t in self.tensors.items()}
        self._averages = [self._local[n] for n in averaged]
        self._parameters = [self._live[n] for n in averaged]
        self._buffers = {n: t for n, t in self._local.items() if n not in averaged}

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Update the averages with the weights after a step, counted from 1."""
        decay = min(self.decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(self._averages, self._parameters, 1 - decay)
        _copy(self._live, self._buffers)

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Load saved averages."""
        _copy({n: distributed_like(t, tensors[n]) for n, t in self.tensors.items()}, self.tensors)

    @contextmanager
    def swapped_in(self) -> Iterator[None]:
        """Use the averages as weights of the task, inside the context."""
        weights = {n: t.detach().clone() for n, t in self._live.items()}
        try:
            _copy(self._local, self._live)
            yield
        finally:
            _copy(weights, self._live)


@torch.no_grad()
def _copy(tensors: Mapping[str, Tensor], targets: Mapping[str, Tensor]) -> None:
    for name, target in targets.items():
        target.copy_(tensors[name])
