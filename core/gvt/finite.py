"""Checks that losses and weights are finite."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

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


def infinite_places(task: nn.Module) -> dict[str, Tensor]:
    """Return masks of the infinite values in buffers of a task, such as attention masks, by name.

    Called before training, it distinguishes constants from statistics that become infinite.
    """
    buffers = task.named_buffers(remove_duplicate=False)
    places = {name: torch.isinf(b) for name, b in buffers if _has_fractions(b)}
    return {name: mask for name, mask in places.items() if bool(mask.any())}


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
        if not _has_fractions(tensor):
            continue
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


def _has_fractions(tensor: Tensor) -> bool:
    return tensor.is_floating_point() or tensor.is_complex()
