"""Resize images to one size, with the matrix between their pixels."""

from __future__ import annotations

from typing import Literal

import torch
from PIL import Image
from torch import Tensor

Fit = Literal["crop", "pad", "stretch", "within"]
"""How an image is fitted to a size of another shape; see `fitted`."""

Filter = Literal["nearest", "bilinear", "bicubic", "lanczos"]
"""How pixels are resampled, by Pillow's filters, which widen with the reduction (antialiasing)."""


def fitted(
    image: Image.Image,
    size: tuple[int, int] | None,
    fit: Fit,
    filter: Filter = "bilinear",
    share: float = 1.0,
    fill: int = 0,
) -> tuple[Image.Image, Tensor]:
    """Return an image in a size, and the matrix from its own pixels to those of the result.

    It is resampled once.

    Args:
        image: The image.
        size: (H, W) in pixels; None leaves the image unchanged.
        fit: `crop` fills the size and cuts what is left over, equally on two sides; `pad` keeps
            the whole image and pads at the right and the bottom; `stretch` changes the
            proportions; `within` reduces an image that is larger, in its proportions, and pads
            nothing, so sizes differ.
        filter: The resampling filter.
        share: Fraction of each side of the part that `crop` takes, around its centre.
        fill: Value of the pixels that `pad` adds.

    Returns:
        The image, and a (3, 3) float64 matrix from original to new coordinates (x, y, 1).
    """
    if size is None:
        return image, torch.eye(3, dtype=torch.float64)
    height, width = size
    within, left, top = (width, height), 0.0, 0.0
    if fit == "crop":
        left = (image.width - share * min(image.width, image.height * width / height)) / 2
        top = (image.height - share * min(image.height, image.width * height / width)) / 2
    elif fit == "within" and image.width <= width and image.height <= height:
        within = image.size
    elif fit in ("pad", "within"):
        within = _scaled_within(image.size, within)
    box = (left, top, image.width - left, image.height - top)
    resized = image.resize(within, Image.Resampling[filter.upper()], box=box)
    if fit == "pad" and within != (width, height):
        canvas = Image.new(image.mode, (width, height), fill)
        canvas.paste(resized)
        resized = canvas
    x, y = within[0] / (box[2] - box[0]), within[1] / (box[3] - box[1])
    rows = [[x, 0.0, -left * x], [0.0, y, -top * y], [0.0, 0.0, 1.0]]
    return resized, torch.tensor(rows, dtype=torch.float64)


def _scaled_within(size: tuple[int, int], limit: tuple[int, int]) -> tuple[int, int]:
    """Return the largest size of these proportions within another one, in whole pixels."""
    (width, height), (most_width, most_height) = size, limit
    if width * most_height > height * most_width:
        return most_width, max(1, round(height * most_width / width))
    return max(1, round(width * most_height / height)), most_height
