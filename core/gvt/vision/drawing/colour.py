"""Images of any number of channels, as people see them."""

from __future__ import annotations

from torch import Tensor


def as_rgb(images: Tensor) -> Tensor:
    """Return images (..., C, H, W) as (..., 3, H, W), a view of the same values.

    Of three channels or more the first three are red, green and blue: a fourth, be it alpha or
    infrared, is not shown. Of fewer the first one is shown as grey.
    """
    channels = images.shape[-3]
    if channels >= 3:
        return images[..., :3, :, :]
    return images[..., :1, :, :].expand(*images.shape[:-3], 3, -1, -1)
