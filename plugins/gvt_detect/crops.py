"""Regions of a picture as pictures of their own, all of one size."""

from __future__ import annotations

import torch
from torch import Tensor
from torchvision.ops import roi_align


def crops(image: Tensor, boxes: Tensor, size: int, context: int) -> Tensor:
    """Return what is in boxes and around them, each warped to a square, (P, C, size, size) float32.

    Girshick and others, 2014, https://arxiv.org/abs/1311.2524, appendix A: whatever its
    proportions, a box fills the square but for a margin of as many pixels on every side, in which
    its surroundings are seen. Where they are beyond the picture, its mean colour stands. What is
    made smaller is averaged over.

    Args:
        image: (C, H, W), without padding.
        boxes: (P, 4) xyxy in pixels of it, each with an area.
        size: Side of the square in pixels.
        context: Width of the margin in pixels of the square, less than half of it.
    """
    pixels = image.float()
    mean = pixels.mean(dim=(1, 2), keepdim=True)
    margin = (boxes[:, 2:] - boxes[:, :2]) * context / (size - 2 * context)
    wide = torch.cat([boxes[:, :2] - margin, boxes[:, 2:] + margin], dim=1)
    # It reads 0 beyond the picture, which is then the mean.
    found: Tensor = roi_align((pixels - mean)[None], [wide], size, aligned=True)
    return found + mean
