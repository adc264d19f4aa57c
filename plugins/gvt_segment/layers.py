"""Layers shared by the heads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn


class ConvNorm(nn.Sequential):
    """A convolution without bias, batch norm and ReLU, which keeps the size.

    Args:
        channels: Channels of the input.
        width: Channels of the output.
        kernel: Odd side of the kernel.
        dilation: Distance of the cells of the kernel.
        separable: Whether to split it into a convolution of each channel by itself, and a 1x1
            convolution of all (Chollet 2017).
    """

    def __init__(
        self,
        channels: int,
        width: int,
        kernel: int = 1,
        dilation: int = 1,
        separable: bool = False,
    ) -> None:
        options: dict[str, Any] = {"padding": dilation * (kernel - 1) // 2, "dilation": dilation}
        layers: list[nn.Module] = []
        if separable:
            layers.append(
                nn.Conv2d(channels, channels, kernel, groups=channels, bias=False, **options)
            )
            kernel, options = 1, {}
        layers.append(nn.Conv2d(channels, width, kernel, bias=False, **options))
        super().__init__(*layers, nn.BatchNorm2d(width), nn.ReLU())


def from_stride(feature_info: Mapping[str, tuple[int, int]], stride: int) -> list[str]:
    """Return the names of the maps of at least a stride, or of the coarsest one without any."""
    names = [name for name, (_, coarse) in feature_info.items() if coarse >= stride]
    return names or list(feature_info)[-1:]
