"""Layers that several heads are made of."""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn


class ConvNorm(nn.Sequential):
    """A convolution without bias, batch norm and ReLU; it keeps the size.

    Args:
        channels: Channels of its input.
        width: Channels of its output.
        kernel: Side of the kernel, odd.
        dilation: Distance of the kernel's cells, in cells.
        separable: Split into a convolution of each channel by itself, and a 1x1 convolution of
            all (Chollet, 2017).
    """

    def __init__(
        self,
        channels: int,
        width: int,
        kernel: int = 1,
        dilation: int = 1,
        separable: bool = False,
    ) -> None:
        padding = dilation * (kernel - 1) // 2
        layers: list[nn.Module] = []
        if separable:
            layers.append(
                nn.Conv2d(
                    channels,
                    channels,
                    kernel,
                    padding=padding,
                    dilation=dilation,
                    groups=channels,
                    bias=False,
                )
            )
            kernel = dilation = 1
            padding = 0
        layers += [
            nn.Conv2d(channels, width, kernel, padding=padding, dilation=dilation, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
        ]
        super().__init__(*layers)


def from_stride(feature_info: Mapping[str, tuple[int, int]], stride: int) -> list[str]:
    """Return the names of the maps from a stride on, the coarsest one where none is so coarse."""
    names = [name for name, (_, of_map) in feature_info.items() if of_map >= stride]
    return names or list(feature_info)[-1:]
