"""What a discriminator may tell of an image besides whether it is real."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from torch import Tensor

from gvt import Discriminator, Targets, Task


@runtime_checkable
class Judge(Protocol):
    """A discriminator that tells more of an image than whether it is real.

    The task `gan` goes by these where they are there; any other discriminator is one without.

    Attributes:
        tells: The target keys that it learns from, such as `class`.
    """

    tells: tuple[str, ...]

    def judge(self, images: Tensor, targets: Targets | None) -> tuple[Tensor, dict[str, Tensor]]:
        """Return logits (N,), and by name the weighted losses of what else it tells, ().

        Images are (N, C, H, W) in the data's range. Those that lack a target teach nothing of it,
        and where none has it, or there are no targets, the loss is left out.
        """
        ...

    def supervised(self) -> Task | None:
        """Return a task of the same networks that predicts and is evaluated; None without any."""
        ...


def judged(
    discriminator: Discriminator, images: Tensor, targets: Targets | None
) -> tuple[Tensor, dict[str, Tensor]]:
    """Return logits (N,) for images in the data's range, and what `Judge.judge` adds to them."""
    if isinstance(discriminator, Judge):
        return discriminator.judge(images, targets)
    return discriminator(images), {}


def supervised(discriminator: Discriminator) -> Task | None:
    """Return what evaluates all that a discriminator tells of reals; None where that is nothing."""
    return discriminator.supervised() if isinstance(discriminator, Judge) else None
