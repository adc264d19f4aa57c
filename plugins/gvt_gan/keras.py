"""Layers and initialisation as in Keras, for models that were published in Keras.

Defaults are those of https://keras.io/api/layers/. If "same" padding is an odd number of pixels, as
for even kernels, the odd pixel is at the right and the bottom. The running variance of batch norm
is that of torch. So is RMSprop, which divides by sqrt(v) + eps, like Keras before 2.11. Later
versions divide by sqrt(v + eps), where an eps of 1e-7 damps gradients below about 3e-4.
"""

from __future__ import annotations

from itertools import chain
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

BATCH_NORM: dict[str, Any] = {"momentum": 0.01, "eps": 1e-3}
"""Arguments of torch's batch norm; Keras defines this momentum as 0.99, the share that is kept."""


def leaky_relu() -> nn.LeakyReLU:
    """Return a leaky ReLU with Keras's slope of 0.3."""
    return nn.LeakyReLU(0.3)


class SameConv2d(nn.Conv2d):
    """Convolution with TensorFlow's "same" padding: (N, C, H, W) to (N, C', ~H/s, ~W/s).

    With stride s, n pixels become n/s, rounded up. The argument `padding` is not used.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Return the convolution of images padded with zeros."""
        sides = zip(input.shape[-2:], self.kernel_size, self.stride, strict=True)
        padding = [_same(side, kernel, stride) for side, kernel, stride in sides]
        symmetric = _symmetric(padding)
        if symmetric is None:
            input, symmetric = F.pad(input, _in_order_of_pad(padding)), (0, 0)
        return F.conv2d(input, self.weight, self.bias, self.stride, symmetric)


class SameConvTranspose2d(nn.ConvTranspose2d):
    """Gradient of `SameConv2d` with respect to its images: (N, C, H, W) to (N, C', sH, sW).

    The padding of the convolution is cropped here. The kernel is at least as long as the stride s.
    """

    def forward(self, input: Tensor) -> Tensor:  # type: ignore[override]
        """Return images of s times the size."""
        sides = zip(input.shape[-2:], self.kernel_size, self.stride, strict=True)
        padding = [_same(stride * side, kernel, stride) for side, kernel, stride in sides]
        symmetric = _symmetric(padding)
        if symmetric is not None:
            return F.conv_transpose2d(input, self.weight, self.bias, self.stride, symmetric)
        images = F.conv_transpose2d(input, self.weight, self.bias, self.stride)
        return F.pad(images, [-pixels for pixels in _in_order_of_pad(padding)])


def _same(side: int, kernel: int, stride: int) -> tuple[int, int]:
    """Return the padding before and after a side, in pixels."""
    count = -(-side // stride)
    total = max((count - 1) * stride + kernel - side, 0)
    return total // 2, total - total // 2


def _symmetric(padding: list[tuple[int, int]]) -> tuple[int, int] | None:
    """Return the padding of height and width if it is symmetric, else None.

    The convolution itself can pad symmetrically, which saves a copy of the images.
    """
    (top, bottom), (left, right) = padding
    return (top, left) if (top, left) == (bottom, right) else None


def _in_order_of_pad(padding: list[tuple[int, int]]) -> list[int]:
    """Return the padding of height and width in the order of `torch.nn.functional.pad`."""
    return list(chain.from_iterable(reversed(padding)))


def initialise(module: nn.Module) -> None:
    """Initialise one layer as Keras does; for `nn.Module.apply`.

    Weights are Glorot uniform (2010, https://proceedings.mlr.press/v9/glorot10a.html), within
    sqrt(6 / (fan in + fan out)); biases are zero.
    """
    if isinstance(module, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
