"""The two-dimensional Haar wavelet (A. Haar, 1910, https://doi.org/10.1007/BF01456326)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

BANDS = ("average", "horizontal", "vertical", "diagonal")

# Acts on the pixels (a b; c d) of a 2x2 block. Symmetric and orthogonal, so its own inverse.
_HAAR = (
    (0.5, 0.5, 0.5, 0.5),
    (0.5, 0.5, -0.5, -0.5),
    (0.5, -0.5, 0.5, -0.5),
    (0.5, -0.5, -0.5, 0.5),
)


def decompose(images: Tensor) -> Tensor:
    """Return the bands (N, 4, C, H/2, W/2) of images (N, C, H, W), in the order of `BANDS`.

    The bands have the same energy as the images. If a side is odd, its last row or column is
    repeated first.
    """
    height, width = images.shape[-2:]
    if height % 2 or width % 2:
        images = F.pad(images, (0, width % 2, 0, height % 2), mode="replicate")
    blocks = F.pixel_unshuffle(images, 2).unflatten(1, (-1, 4))
    return torch.einsum("bp,ncphw->nbchw", images.new_tensor(_HAAR), blocks)


def reconstruct(bands: Tensor) -> Tensor:
    """Return the images (N, C, H, W) of bands (N, 4, C, H/2, W/2)."""
    blocks = torch.einsum("pb,nbchw->ncphw", bands.new_tensor(_HAAR), bands)
    return F.pixel_shuffle(blocks.flatten(1, 2), 2)


def energies(images: Tensor) -> Tensor:
    """Return the mean energy of each band and channel, (N, 4, C) float32."""
    return decompose(images.float()).square().mean(dim=(-2, -1))
