"""Layers that several plugins use, and a faster dropout for CPUs."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

__all__ = ["DoubleConv", "Dropout"]

_LEVELS = 1 << 16


class Dropout(nn.Dropout):
    """`torch.nn.Dropout` that draws its mask from 16 random bits for each value on a CPU.

    torch draws a double for each value, which took an eighth of a step of DCGAN. The share of
    dropped values is exact to 1 / 65,536, and the others are scaled accordingly. On other devices
    it is `torch.nn.Dropout`.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Return the input; in training, with a share `p` of its values set to zero."""
        dropped = round(self.p * _LEVELS)
        if not self.training or input.device.type != "cpu" or not 0 < dropped < _LEVELS:
            return super().forward(input)
        bits = torch.empty((input.numel() + 3) // 4, dtype=torch.int64).random_(-(2**63), None)
        # In the order in which the input lies in memory, whatever its memory format.
        strides = torch.empty_like(input, dtype=torch.bool).stride()
        levels = bits.view(torch.int16).as_strided(input.shape, strides)
        kept = (levels >= dropped - _LEVELS // 2).to(input.dtype)
        return input * kept.mul_(_LEVELS / (_LEVELS - dropped))


class DoubleConv(nn.Sequential):
    """Two 3x3 convolutions with ReLU, the block of a U-Net (Ronneberger and others, 2015).

    Args:
        channels: Channels of the input.
        width: Channels of the output.
        norm: `batch` adds batch norm before each ReLU.
        padding: `same` keeps the size, `valid` removes four rows and four columns.
    """

    def __init__(
        self,
        channels: int,
        width: int,
        norm: Literal["batch", "none"] = "batch",
        padding: Literal["same", "valid"] = "same",
    ) -> None:
        layers: list[nn.Module] = []
        for before in (channels, width):
            conv = nn.Conv2d(before, width, 3, padding=int(padding == "same"), bias=norm == "none")
            # As in the paper (He and others, 2015): without a norm, values vanish with the default.
            nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
            if conv.bias is not None:
                nn.init.zeros_(conv.bias)
            layers += [conv, *([nn.BatchNorm2d(width)] if norm == "batch" else []), nn.ReLU()]
        super().__init__(*layers)
