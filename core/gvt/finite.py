"""Checks that losses and weights are finite."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from gvt.errors import NonFiniteError

REMEDY = (
    "lower the learning rate, clip gradients (train.clip_norm=1) or use train.precision=float32"
)


def first_infinite(rows: Sequence[tuple[int, Mapping[str, float]]]) -> tuple[int, str] | None:
    """Return the first step with a loss that is infinite or NaN, and a message about it.

    Args:
        rows: Steps in their order, each with its losses by name.
    """
    for step, losses in rows:
        for name, value in losses.items():
            if not math.isfinite(value):
                return step, f"the loss {name!r} became {value} at step {step}; {REMEDY}"
    return None


def raise_earliest(problems: Sequence[tuple[int, str] | None]) -> None:
    """Raise the earliest problem of several processes, if there is one.

    Args:
        problems: Step and message of the problem of each process by rank; None if it has none.

    Raises:
        NonFiniteError: The problem, with the rank of its process if there are several.
    """
    by_step = [(problem[0], rank, problem[1]) for rank, problem in enumerate(problems) if problem]
    if by_step:
        _, rank, message = min(by_step)
        origin = f"process {rank} of {len(problems)}: " if len(problems) > 1 else ""
        raise NonFiniteError(f"{origin}{message}")


def infinite_places(task: nn.Module) -> dict[str, Tensor]:
    """Return masks of the infinite values in buffers of a task, such as attention masks, by name.

    Called before training, it distinguishes constants from statistics that become infinite.
    """
    buffers = task.named_buffers(remove_duplicate=False)
    return {name: mask for name, b in buffers if bool((mask := torch.isinf(b)).any())}


def infinite_weights(
    step: int, tensors: Mapping[str, Tensor], infinite: Mapping[str, Tensor] = {}
) -> tuple[int, str] | None:
    """Return the step and a message if a tensor of a checkpoint is not finite.

    Args:
        step: The step after which it is saved, for the message.
        tensors: The tensors by name.
        infinite: Masks of the values that may be infinite, by name; none by default. A tensor
            whose shape has changed since may be infinite anywhere.
    """
    for name, tensor in tensors.items():
        broken = ~torch.isfinite(tensor)
        places = infinite.get(name)
        if places is not None:
            allowed = places.to(broken.device) if places.shape == broken.shape else True
            broken = torch.isnan(tensor) | (broken & ~torch.as_tensor(allowed))
        if bool(broken.any()):
            return step, f"{name} is not finite after step {step}; {REMEDY}"
    return None


def has_finite_losses(metrics: Mapping[str, float]) -> bool:
    """Return whether all held-out losses of a checkpoint, `SPLIT/loss/NAME`, are finite.

    Other metrics may be NaN, such as those of a class that does not occur.
    """
    return all(math.isfinite(value) for name, value in metrics.items() if "/loss/" in name)
