"""A light DCGAN, after Radford et al. (2015, https://arxiv.org/abs/1511.06434).

Group norm replaces the paper's batch norm: an image depends on its own latent only, and the result
does not depend on the number of processes. Upsampling and convolution replace the transposed
convolutions, which avoids their checkerboard artefacts.
"""

from __future__ import annotations

from pydantic import NonNegativeInt, PositiveInt
from torch import Tensor, nn

from gvt import Discriminator, Generator

from .types import Share

GROUPS = 8
"""Number of groups of each group norm; divides the width."""


class DCGANGenerator(Generator):
    """Latents to images in [-1, 1], with two doublings of the resolution.

    Args:
        image_shape: (C, H, W); H and W divisible by 4.
        latent: Length of a latent.
        width: Channels of the convolutions, divisible by 8; twice as many at the start.
        conditional: Whether to generate images of a class: the latent is multiplied by a learned
            embedding of the class.
        num_classes: Number of classes of the data.

    Attributes:
        num_classes: Number of classes to generate; 0 if the generator is not conditional.

    Raises:
        ValueError: If the width is not divisible by 8, H or W is not divisible by 4, or the
            generator is conditional and the data has no classes.
    """

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        latent: PositiveInt = 64,
        width: PositiveInt = 32,
        conditional: bool = False,
        num_classes: NonNegativeInt = 0,
    ) -> None:
        super().__init__()
        if width % GROUPS:
            raise ValueError(f"width {width}: should be divisible by {GROUPS}")
        channels, height, image_width = image_shape
        if height % 4 or image_width % 4:
            raise ValueError(f"images {height}x{image_width}: both sides should be divisible by 4")
        self.latent_shape = (latent,)
        self.image_shape = image_shape
        if conditional and not num_classes:
            raise ValueError("conditional: the data has no classes; set conditional=false")
        self.num_classes = num_classes if conditional else 0
        self.embedding = nn.Embedding(num_classes, latent) if conditional else None
        start = (2 * width, height // 4, image_width // 4)
        self.layers = nn.Sequential(
            nn.Linear(latent, start[0] * start[1] * start[2], bias=False),
            nn.Unflatten(1, start),
            nn.GroupNorm(GROUPS, start[0]),
            nn.ReLU(),
            *_upsampled(2 * width, width),
            *_upsampled(width, width),
            nn.Conv2d(width, channels, 3, padding=1),
            nn.Tanh(),
        )
        self.apply(_initialise)

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return images (N, C, H, W) in [-1, 1] for latents (N, latent), and classes (N,) int64.

        Raises:
            ValueError: If the generator is conditional and `labels` is None.
        """
        if self.embedding is not None:
            if labels is None:
                raise ValueError("a conditional generator needs labels (N,)")
            # Concatenated, the class soon dominates the latent, and all its images look alike.
            z = z * self.embedding(labels)
        images: Tensor = self.layers(z)
        return images


class DCGANDiscriminator(Discriminator):
    """Images in the data range to logits, with two halvings of the resolution.

    Args:
        image_shape: (C, H, W); H and W divisible by 4.
        width: Channels after the first layer; twice as many after the second.
        dropout: Share of channels dropped after each convolution in training.

    Raises:
        ValueError: If H or W is not divisible by 4.
    """

    def __init__(
        self, image_shape: tuple[int, int, int], width: PositiveInt = 32, dropout: Share = 0.0
    ) -> None:
        super().__init__()
        channels, height, image_width = image_shape
        if height % 4 or image_width % 4:
            raise ValueError(f"images {height}x{image_width}: both sides should be divisible by 4")
        self.layers = nn.Sequential(
            nn.Conv2d(channels, width, 4, stride=2, padding=1),
            nn.LeakyReLU(0.2),
            nn.Dropout2d(dropout),
            nn.Conv2d(width, 2 * width, 4, stride=2, padding=1),
            nn.LeakyReLU(0.2),
            nn.Dropout2d(dropout),
            nn.Flatten(),
            nn.Linear(2 * width * (height // 4) * (image_width // 4), 1),
        )
        self.apply(_initialise)

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return logits (N,) for images (N, C, H, W)."""
        logits: Tensor = self.layers(images)
        return logits.squeeze(1)


def _upsampled(channels: int, width: int) -> list[nn.Module]:
    return [
        nn.Upsample(scale_factor=2),
        nn.Conv2d(channels, width, 3, padding=1, bias=False),
        nn.GroupNorm(GROUPS, width),
        nn.ReLU(),
    ]


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d | nn.Linear):
        nn.init.normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
