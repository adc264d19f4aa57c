"""An exponential moving average of weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class Ema:
    """Averages of the parameters of some of a task's submodules; buffers are copied.

    The decay rises with the steps, `min(decay, (1 + step) / (10 + step))`, so that the first
    weights, which are noise, are soon forgotten.

    Args:
        task: The task that is trained.
        modules: Names of its submodules to average.
        decay: Share of the old average that is kept each step.
    """

    def __init__(self, task: nn.Module, modules: Sequence[str], decay: float) -> None:
        self.decay = decay
        self.modules = tuple(modules)
        live = task.state_dict(keep_vars=True)
        prefixes = tuple(f"{m}." for m in modules)
        self._live = {n: t for n, t in live.items() if n.startswith(prefixes)}
        averaged = {n for n, t in self._live.items() if isinstance(t, nn.Parameter)}
        self.tensors: dict[str, Tensor] = {n: t.detach().clone() for n, t in self._live.items()}
        self._averages = [self.tensors[n] for n in averaged]
        self._parameters = [self._live[n] for n in averaged]
        self._copied = [n for n in self._live if n not in averaged]

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the weights after a step, counted from 1."""
        decay = min(self.decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(self._averages, self._parameters, 1 - decay)
        for name in self._copied:
            self.tensors[name].copy_(self._live[name])

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Take over averages that were saved."""
        for name, tensor in self.tensors.items():
            tensor.copy_(tensors[name])

    @contextmanager
    def swapped_in(self) -> Iterator[None]:
        """Let the task have the averages, inside, and its own weights back afterwards."""
        own = {n: t.detach().clone() for n, t in self._live.items()}
        try:
            with torch.no_grad():
                for name, tensor in self._live.items():
                    tensor.copy_(self.tensors[name])
            yield
        finally:
            with torch.no_grad():
                for name, tensor in self._live.items():
                    tensor.copy_(own[name])
