"""Bringing pictures to one size, and saying exactly how."""

from __future__ import annotations

from typing import Literal

import torch
from PIL import Image
from torch import Tensor

Fit = Literal["crop", "pad", "stretch", "within"]
"""How a picture meets a size of another shape; see `fitted`."""


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
    """Return a picture in a size, and the matrix from its own pixels to those.

    It is resampled once.

    Args:
        image: The picture.
        size: (H, W) in pixels; None leaves it as it is.
        fit: `crop` fills the size and loses what stands over on two sides, the same on both;
            `pad` keeps all of it and fills up at the right and the bottom; `stretch` gives up the
            proportions; `within` makes it smaller where it is larger, in its proportions, and adds
            nothing, so that sizes differ.
        filter: How it is resampled.
        share: Of each side of the part that `crop` takes, so much is left, around the centre.
        fill: What `pad` fills up with.

    Returns:
        The picture, and a (3, 3) float64 matrix from original to new coordinates (x, y, 1).
    """
    if size is None:
        return image, torch.eye(3, dtype=torch.float64)
    height, width = size
    left, top = _cropped(image.size, (width, height), share) if fit == "crop" else (0.0, 0.0)
    box = (left, top, image.width - left, image.height - top)
    within = (width, height)
    if fit == "within" and image.width <= width and image.height <= height:
        within = image.size
    elif fit in ("pad", "within"):
        within = _scaled_within(image.size, (width, height))
    resized = image.resize(within, Image.Resampling[filter.upper()], box=box)
    if fit == "pad" and within != (width, height):
        canvas = Image.new(image.mode, (width, height), fill)
        canvas.paste(resized)
        resized = canvas
    x, y = within[0] / (box[2] - box[0]), within[1] / (box[3] - box[1])
    rows = [[x, 0.0, -left * x], [0.0, y, -top * y], [0.0, 0.0, 1.0]]
    return resized, torch.tensor(rows, dtype=torch.float64)


def _cropped(size: tuple[int, int], wanted: tuple[int, int], share: float) -> tuple[float, float]:
    """Return what a centred part of the wanted proportions leaves at the left and at the top."""
    (width, height), (wanted_width, wanted_height) = size, wanted
    part_width = min(width, height * wanted_width / wanted_height)
    part_height = min(height, width * wanted_height / wanted_width)
    return (width - share * part_width) / 2, (height - share * part_height) / 2


def _scaled_within(size: tuple[int, int], wanted: tuple[int, int]) -> tuple[int, int]:
    """Return the largest size of these proportions within the wanted one, in whole pixels."""
    (width, height), (wanted_width, wanted_height) = size, wanted
    if width * wanted_height > height * wanted_width:
        return wanted_width, max(1, round(height * wanted_width / width))
    return max(1, round(width * wanted_height / height)), wanted_height
