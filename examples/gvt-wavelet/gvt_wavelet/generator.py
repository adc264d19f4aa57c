"""A generator of wavelet coefficients, after SWAGAN (Gal et al. 2021).

Coarse and fine structure are generated as separate coefficients; https://arxiv.org/abs/2102.06108.
"""

from __future__ import annotations

import torch
from pydantic import PositiveInt
from torch import Tensor, nn

from gvt import Generator

from .haar import BANDS, reconstruct

GROUPS = 8


class WaveletGenerator(Generator):
    """Latents to a coarse image, and at each level to the details that double its size.

    Args:
        image_shape: (C, H, W), of any size.
        latent: Length of a latent.
        width: Channels of the features, divisible by 8.
        levels: Doublings of the size.

    Raises:
        ValueError: If the width is not divisible by 8.
    """

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        latent: PositiveInt = 64,
        width: PositiveInt = 32,
        levels: PositiveInt = 3,
    ) -> None:
        super().__init__()
        if width % GROUPS:
            raise ValueError(f"width {width}: should be divisible by {GROUPS}")
        channels, *size = image_shape
        self.latent_shape, self.image_shape = (latent,), image_shape
        height, breadth = (-(-side // 2**levels) for side in size)  # rounded up; `forward` crops
        self.features = nn.Sequential(
            nn.Linear(latent, width * height * breadth),
            nn.Unflatten(1, (width, height, breadth)),
            nn.GroupNorm(GROUPS, width),
            nn.ReLU(),
        )
        self.average = nn.Conv2d(width, channels, 3, padding=1)
        details = (len(BANDS) - 1) * channels
        self.details = nn.ModuleList(nn.Conv2d(width, details, 3, padding=1) for _ in range(levels))
        self.finer = nn.ModuleList(_finer(width) for _ in range(levels - 1))

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return images (N, C, H, W) in [-1, 1] for latents (N, latent)."""
        channels, height, width = self.image_shape
        features = self.features(z)
        images = self.average(features)
        for level, details in enumerate(self.details):
            if level > 0:
                features = self.finer[level - 1](features)
            # The average band of a constant image is twice its value.
            bands = [2 * images, *details(features).split(channels, dim=1)]
            images = reconstruct(torch.stack(bands, dim=1))
        return images[..., :height, :width].tanh()


def _finer(width: int) -> nn.Module:
    return nn.Sequential(
        nn.Upsample(scale_factor=2),
        nn.Conv2d(width, width, 3, padding=1),
        nn.GroupNorm(GROUPS, width),
        nn.ReLU(),
    )
