"""A generator against a discriminator."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from gvt import Batch, Discriminator, Generator, Phase, Step, Task

PICTURES = 64


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
    """

    def __init__(
        self,
        generator: Generator,
        discriminator: Discriminator,
        data_range: tuple[float, float] | None = None,
        critic_steps: int = 1,
    ) -> None:
        super().__init__()
        if critic_steps < 1:
            raise ValueError(f"critic_steps {critic_steps}: at least 1")
        self.phases = (
            Phase("discriminator", trains="discriminator", keeps_graph=("generator",)),
            Phase("generator", trains="generator", every=critic_steps, offset=critic_steps - 1),
        )
        self.generator = generator
        self.discriminator = discriminator
        self.data_range = data_range or generator.image_range

    def forward(self, phase: str, batch: Batch, step: Step) -> dict[str, Tensor]:
        """Return the losses `real` and `fake` of the discriminator, or that of the generator."""
        fakes = self._fakes(len(batch), step)
        if phase == "generator":
            return {"generator": _cross_entropy(self.discriminator(fakes), real=True)}
        reals = _between((0.0, 1.0), self.data_range, batch.images)
        return {
            "real": _cross_entropy(self.discriminator(reals), real=True),
            "fake": _cross_entropy(self.discriminator(fakes.detach()), real=False),
        }

    def _fakes(self, count: int, step: Step) -> Tensor:
        """Return this iteration's fakes, with a graph if the generator learns in it."""
        if "fakes" not in step.memo:
            learns = self.phases[1].is_due(step.index)
            latents = step.randn(count, *self.generator.latent_shape)
            with torch.set_grad_enabled(learns and torch.is_grad_enabled()):
                step.memo["fakes"] = self.to_data_range(self.generator(latents))
        fakes: Tensor = step.memo["fakes"]
        return fakes

    def to_data_range(self, images: Tensor) -> Tensor:
        """Return a generator's output in the range that the discriminator sees."""
        return _between(self.generator.image_range, self.data_range, images)

    def pictures(self, seed: int) -> dict[str, Tensor]:
        """Return a sheet of samples, always of the same latents for the same seed."""
        noise = torch.Generator().manual_seed(seed)
        latents = torch.randn(PICTURES, *self.generator.latent_shape, generator=noise)
        device = next(self.generator.parameters()).device
        fakes = self.to_data_range(self.generator(latents.to(device))).float()
        return {"samples": _between(self.data_range, (0.0, 1.0), fakes).clamp(0, 1)}


def _cross_entropy(logits: Tensor, real: bool) -> Tensor:
    target = torch.full_like(logits, float(real))
    return F.binary_cross_entropy_with_logits(logits, target)


def _between(source: tuple[float, float], target: tuple[float, float], images: Tensor) -> Tensor:
    """Return images mapped from one range to another, linearly."""
    if source == target:
        return images
    scale = (target[1] - target[0]) / (source[1] - source[0])
    return images * scale + (target[0] - source[0] * scale)
