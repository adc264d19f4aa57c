"""The losses of the last steps, kept on the device until somebody reads them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from gvt.errors import ConfigError, NonFiniteError

REMEDY = (
    "lower the learning rate, clip gradients (train.clip_norm=1) or use train.precision=float32"
)


class LossBuffer:
    """Scalars by step and name. Reading one makes the processor wait for the device, so they are
    fetched together, every so often, and before anything is saved, published or evaluated.
    """

    def __init__(self) -> None:
        self._steps: dict[int, dict[str, Tensor]] = {}
        self._shares: dict[int, dict[str, float]] = {}

    def add(self, step: int, losses: Mapping[str, Tensor], share: float = 1.0) -> None:
        """Add losses to those of a step, such as those of one of several micro-batches.

        Of a loss that some micro-batches lacked, the mean over the others is told.

        Raises:
            ConfigError: If one is not a single number.
        """
        of_step, shares = self._steps.setdefault(step, {}), self._shares.setdefault(step, {})
        for name, loss in losses.items():
            check_single(name, loss)
            value = loss.detach() if share == 1.0 else loss.detach() * share
            of_step[name] = of_step[name] + value if name in of_step else value
            shares[name] = shares.get(name, 0.0) + share

    def of(self, step: int) -> dict[str, Tensor]:
        """Return one step's losses, on the device, while they are still here."""
        shares = self._shares.get(step, {})
        return {n: _whole(loss, shares[n]) for n, loss in self._steps.get(step, {}).items()}

    def drain(self) -> list[tuple[int, dict[str, float]]]:
        """Return (step, losses) of all steps since the last time, and forget them."""
        steps = {step: self.of(step) for step in self._steps}
        self._steps, self._shares = {}, {}
        flat = [loss.float() for losses in steps.values() for loss in losses.values()]
        values = iter(torch.stack(flat).tolist() if flat else [])
        return [(step, {name: next(values) for name in of}) for step, of in steps.items()]


def _whole(loss: Tensor, share: float) -> Tensor:
    """Return what a loss that stands for a share of a step would be of all of it."""
    return loss / share if share < 1 - 1e-9 else loss


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


def first_infinite(rows: Sequence[tuple[int, Mapping[str, float]]]) -> tuple[int, str] | None:
    """Return the first step with a loss that is infinite or NaN, and a line about it.

    Args:
        rows: Losses by name of steps, in their order.
    """
    for step, losses in rows:
        for name, value in losses.items():
            if not math.isfinite(value):
                return step, f"the loss {name!r} became {value} at step {step}; {REMEDY}"
    return None


def infinite_places(task: nn.Module) -> dict[str, Tensor]:
    """Return where a task's buffers are infinite, as an attention mask is, by name.

    Asked before training, it tells constants from statistics that training made infinite.
    """
    buffers = task.named_buffers(remove_duplicate=False)
    places = {name: torch.isinf(b) for name, b in buffers if _has_fractions(b)}
    return {name: of for name, of in places.items() if bool(of.any())}


def check_weights(
    step: int, tensors: Mapping[str, Tensor], infinite: Mapping[str, Tensor] = {}
) -> None:
    """Check that everything about to be saved after a step is finite.

    Args:
        step: After which step, for the message.
        tensors: By name.
        infinite: Where a tensor may be infinite; nowhere unless given. A tensor whose shape has
            changed since may be so anywhere.

    Raises:
        NonFiniteError: If a tensor is not; names it and the step.
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
            raise NonFiniteError(f"{name} is not finite after step {step}; {REMEDY}")


def has_finite_losses(metrics: Mapping[str, float]) -> bool:
    """Whether all held-out losses among metrics are finite: `loss/NAME` or `SPLIT/loss/NAME`.

    Other metrics may be NaN rightly, such as those of a class that does not occur.
    """
    losses = (v for n, v in metrics.items() if n.startswith("loss/") or "/loss/" in n)
    return all(map(math.isfinite, losses))


def _has_fractions(tensor: Tensor) -> bool:
    return tensor.is_floating_point() or tensor.is_complex()
