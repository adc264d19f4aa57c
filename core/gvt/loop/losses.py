"""The losses of the last steps, kept on the device until they are read."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain

import torch
from torch import Tensor

from gvt.errors import ConfigError


class LossBuffer:
    """Losses by step and name.

    Reading one makes the CPU wait for the device. So they are fetched together, at intervals and
    before anything is saved, drawn or evaluated.
    """

    def __init__(self) -> None:
        # The sum of each loss over the micro-batches that have it, and their share of the step.
        self._steps: dict[int, dict[str, tuple[Tensor, float]]] = {}

    def add(self, step: int, losses: Mapping[str, Tensor], share: float = 1.0) -> None:
        """Add losses to those of a step, such as those of one of several micro-batches.

        A loss missing from some micro-batches is averaged over the rest.

        Raises:
            ConfigError: If one is not a single number.
        """
        of_step = self._steps.setdefault(step, {})
        for name, loss in losses.items():
            check_single(name, loss)
            value = loss.detach() if share == 1.0 else loss.detach() * share
            total, of_total = of_step.get(name, (None, 0.0))
            of_step[name] = (value if total is None else total + value, of_total + share)

    def of(self, step: int) -> dict[str, Tensor]:
        """Return the losses of a step, on the device; none once they have been drained."""
        sums = self._steps.get(step, {}).items()
        return {n: loss / share if share < 1 - 1e-9 else loss for n, (loss, share) in sums}

    def drain(self) -> list[tuple[int, dict[str, float]]]:
        """Return (step, losses) of all steps since the last call, and drop them."""
        steps = {step: self.of(step) for step in self._steps}
        self._steps = {}
        flat = [loss.float() for losses in steps.values() for loss in losses.values()]
        values = iter(torch.stack(flat).tolist() if flat else [])
        return [(step, {name: next(values) for name in of}) for step, of in steps.items()]


def mean_losses(
    processes: Iterable[Sequence[tuple[int, Mapping[str, float]]]],
) -> list[tuple[int, dict[str, float]]]:
    """Return (step, losses), the mean of each loss over the processes that have it.

    Args:
        processes: The (step, losses) of each process.
    """
    values: dict[int, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for step, losses in chain.from_iterable(processes):
        for name, value in losses.items():
            values[step][name].append(value)
    return [(s, {n: sum(v) / len(v) for n, v in of.items()}) for s, of in sorted(values.items())]


def check_single(name: str, loss: Tensor) -> None:
    """Check that a loss is one number.

    Raises:
        ConfigError: If it is several.
    """
    if loss.ndim:
        raise ConfigError(
            f"the loss {name!r} came as {tuple(loss.shape)}, and has to be one number: take its "
            "mean"
        )
