"""Crops of regions, warped to one size."""

from __future__ import annotations

import torch
from torch import Tensor
from torchvision.ops import roi_align


def crops(image: Tensor, boxes: Tensor, size: int, context: int) -> Tensor:
    """Return crops of boxes and their surroundings, warped to squares, (P, C, size, size) float32.

    Girshick et al. 2014, https://arxiv.org/abs/1311.2524, appendix A. A box of any proportions
    fills the square except for a margin of the same width on every side, which shows its
    surroundings. Beyond the image the margin is the image's mean colour. Shrinking averages.

    Args:
        image: (C, H, W), without padding.
        boxes: (P, 4) xyxy in pixels of the image, each with an area.
        size: Side of the square in pixels.
        context: Width of the margin in pixels of the square, less than half of it.
    """
    pixels = image.float()
    mean = pixels.mean(dim=(1, 2), keepdim=True)
    margin = (boxes[:, 2:] - boxes[:, :2]) * context / (size - 2 * context)
    wide = torch.cat([boxes[:, :2] - margin, boxes[:, 2:] + margin], dim=1)
    # roi_align is 0 beyond the image, which becomes the mean.
    warped: Tensor = roi_align((pixels - mean)[None], [wide], size, aligned=True)
    return warped + mean
