"""Discriminators that predict other targets besides real or fake."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from torch import Tensor

from gvt import Discriminator, Targets, Task


@runtime_checkable
class Judge(Protocol):
    """A discriminator that predicts other targets besides real or fake.

    The task `gan` uses these members of discriminators that have them.

    Attributes:
        tells: Keys of the other targets, such as `class`.
    """

    tells: tuple[str, ...]

    def judge(self, images: Tensor, targets: Targets | None) -> tuple[Tensor, dict[str, Tensor]]:
        """Return logits (N,), and the weighted losses of other targets by name, ().

        Images are (N, C, H, W) in the data range. Images without a target are left out of its
        loss. If no image has it, or `targets` is None, there is no such loss.
        """
        ...

    def supervised(self) -> Task | None:
        """Return a task with the same modules that predicts the other targets, or None."""
        ...


def judged(
    discriminator: Discriminator, images: Tensor, targets: Targets | None
) -> tuple[Tensor, dict[str, Tensor]]:
    """Return logits (N,) for images in the data range, and the losses of other targets by name."""
    if isinstance(discriminator, Judge):
        return discriminator.judge(images, targets)
    return discriminator(images), {}


def supervised(discriminator: Discriminator) -> Task | None:
    """Return the task that predicts a discriminator's other targets; None if it has none."""
    return discriminator.supervised() if isinstance(discriminator, Judge) else None
