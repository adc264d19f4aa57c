"""A generator against a discriminator."""

from __future__ import annotations

import math
from typing import Any, Literal

import torch
import torch.nn.functional as F
from pydantic import PositiveInt
from torch import Tensor

from gvt import Batch, Discriminator, Generator, Phase, Step, Task, random_source

Range = tuple[float, float]

SAMPLES_AT_ONCE = 64


class GAN(Task):
    """The game of Goodfellow and others (2014, https://arxiv.org/abs/1406.2661).

    The discriminator learns to give reals a positive and fakes a negative logit, the generator to
    get positive ones (the non-saturating loss), both by binary cross entropy on logits. Fakes are
    drawn once an iteration: the first phase sees them detached, the second goes on through them.

    Args:
        generator: Latents to images in its `image_range`.
        discriminator: Images in the data's range to logits.
        data_range: What real images, which come in [0, 1], are mapped to before the
            discriminator; the generator's own range unless given.
        critic_steps: Steps of the discriminator for each one of the generator.
        real_labels: What the discriminator is to say of a real, 1 being sure that it is one; a
            range is drawn from uniformly, for each image anew.
        fake_labels: The same of a fake.
        generator_labels: The same of a fake, as the generator wishes it.
        together: Reals and fakes go through the discriminator as one batch, and its loss is the
            mean over both; otherwise it is the sum of the two means.
        sheet: Rows and columns of the sheet of samples.
        show: `samples` are drawn from latents that stay the same over the run; `training` is the
            first fake of the iteration, as it was before both updates.

    Raises:
        ValueError: If labels are no range within [0, 1].
    """

    def __init__(
        self,
        generator: Generator,
        discriminator: Discriminator,
        data_range: Range | None = None,
        critic_steps: PositiveInt = 1,
        real_labels: Range = (1.0, 1.0),
        fake_labels: Range = (0.0, 0.0),
        generator_labels: Range = (1.0, 1.0),
        together: bool = False,
        sheet: tuple[PositiveInt, PositiveInt] = (8, 8),
        show: Literal["samples", "training"] = "samples",
    ) -> None:
        super().__init__()
        labels = {"real": real_labels, "fake": fake_labels, "generator": generator_labels}
        for name, (low, high) in labels.items():
            if not 0 <= low <= high <= 1:
                raise ValueError(f"{name}_labels [{low}, {high}]: has to be a range within [0, 1]")
        self.phases = (
            Phase("discriminator", trains="discriminator", keeps_graph=("generator",)),
            Phase("generator", trains="generator", every=critic_steps, offset=critic_steps - 1),
        )
        self.generator = generator
        self.discriminator = discriminator
        self.data_range = data_range or generator.image_range
        self.labels, self.together = labels, together
        self.sheet, self.show = sheet, show

    def forward(self, phase: str, batch: Batch, step: Step) -> dict[str, Tensor]:
        """Return the losses `real` and `fake` of the discriminator, or that of the generator."""
        fakes = self._fakes(len(batch), step)
        if phase == "generator":
            return {"generator": self._loss("generator", self.discriminator(fakes), step)}
        reals, fakes = self._real(batch), fakes.detach()
        if self.together:
            of_reals, of_fakes = self.discriminator(torch.cat([reals, fakes])).chunk(2)
        else:
            of_reals, of_fakes = self.discriminator(reals), self.discriminator(fakes)
        share = 0.5 if self.together else 1.0
        return {
            "real": share * self._loss("real", of_reals, step),
            "fake": share * self._loss("fake", of_fakes, step),
        }

    def evaluate(self, batch: Batch) -> tuple[list[Any], dict[str, tuple[Tensor, int]]]:
        """Return no predictions, and the losses on held-out images, with the labels 1 and 0.

        Fakes are of the same latents in every batch.
        """
        fakes = self.to_data_range(self.generator(self._latents(len(batch), seed=0)))
        of_reals, of_fakes = self.discriminator(self._real(batch)), self.discriminator(fakes)
        losses = {
            "real": _cross_entropy(of_reals, 1.0),
            "fake": _cross_entropy(of_fakes, 0.0),
            "generator": _cross_entropy(of_fakes, 1.0),
        }
        return [], {name: (loss, len(batch)) for name, loss in losses.items()}

    def sample(self, count: int, seed: int) -> Tensor:
        """Return new pictures, (N, C, H, W) in [0, 1]; each has a latent of its own seed."""
        latents = self._latents(count, seed).split(SAMPLES_AT_ONCE)
        images = torch.cat([self.generator(z) for z in latents])
        return self._for_eyes(self.to_data_range(images))

    def pictures(self, seed: int) -> dict[str, Tensor]:
        """Return a sheet of samples, always of the same latents for the same seed."""
        if self.show == "training":
            return {}  # each iteration shows its own
        return {"samples": self.sample(math.prod(self.sheet), seed).unflatten(0, self.sheet)}

    def to_data_range(self, images: Tensor) -> Tensor:
        """Return a generator's output in the range that the discriminator sees."""
        return _between(self.generator.image_range, self.data_range, images)

    def _real(self, batch: Batch) -> Tensor:
        return _between((0.0, 1.0), self.data_range, batch.images)

    def _fakes(self, count: int, step: Step) -> Tensor:
        """Return this iteration's fakes, with a graph if the generator learns in it."""
        if "fakes" not in step.memo:
            learns = self.phases[1].is_due(step.index)
            latents = step.randn(count, *self.generator.latent_shape)
            with torch.set_grad_enabled(learns and torch.is_grad_enabled()):
                step.memo["fakes"] = self.to_data_range(self.generator(latents))
            if self.show == "training":
                step.pictures["fakes"] = self._for_eyes(step.memo["fakes"][:1].detach())
        fakes: Tensor = step.memo["fakes"]
        return fakes

    def _for_eyes(self, images: Tensor) -> Tensor:
        """Return images of the data's range clamped to it, in [0, 1]."""
        return _between(self.data_range, (0.0, 1.0), images.float()).clamp(0, 1)

    def _latents(self, count: int, seed: int) -> Tensor:
        """Return latents of which each depends on the seed and its own number alone."""
        drawn = [
            torch.randn(self.generator.latent_shape, generator=random_source(seed, "latent", i))
            for i in range(count)
        ]
        return torch.stack(drawn).to(next(self.generator.parameters()).device)

    def _loss(self, whose: str, logits: Tensor, step: Step) -> Tensor:
        low, high = self.labels[whose]
        if low == high:
            return _cross_entropy(logits, low)
        return _cross_entropy(logits, low + (high - low) * step.rand(len(logits)))


def _cross_entropy(logits: Tensor, labels: Tensor | float) -> Tensor:
    """Return the mean in float32, also of logits in bfloat16, which has no label of 0.9."""
    logits = logits.float()
    if not isinstance(labels, Tensor):
        labels = torch.full_like(logits, labels)
    return F.binary_cross_entropy_with_logits(logits, labels)


def _between(source: Range, target: Range, images: Tensor) -> Tensor:
    """Return images mapped from one range to another, linearly."""
    if source == target:
        return images
    scale = (target[1] - target[0]) / (source[1] - source[0])
    return images * scale + (target[0] - source[0] * scale)
