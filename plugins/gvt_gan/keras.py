"""What Keras does otherwise than torch, for networks that were published in Keras.

Its defaults are in https://keras.io/api/layers/. Where "same" padding is an odd number of pixels,
as for even kernels, the odd one is at the right and the bottom. The running variance of batch norm
is torch's. So is RMSprop, which divides by sqrt(v) + eps, as Keras did before 2.11; later ones, and
Keras 3, divide by sqrt(v + eps), where an eps of 1e-7 holds back gradients of less than some 3e-4.
"""

from __future__ import annotations

from itertools import chain
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

BATCH_NORM: dict[str, Any] = {"momentum": 0.01, "eps": 1e-3}
"""Arguments of torch's batch norm; Keras writes this momentum 0.99, the share that is kept."""


def leaky_relu() -> nn.LeakyReLU:
    """Return a leaky ReLU of slope 0.3."""
    return nn.LeakyReLU(0.3)


class SameConv2d(nn.Conv2d):
    """A convolution with TensorFlow's "same" padding: (N, C, H, W) to (N, C', ~H/s, ~W/s).

    For stride s a side of n pixels becomes one of n/s, rounded up. It takes no padding of its own.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Return the convolution of images padded with zeros."""
        sides = zip(input.shape[-2:], self.kernel_size, self.stride, strict=True)
        padding = [_same(side, kernel, stride) for side, kernel, stride in sides]
        both = _on_both_sides(padding)
        if both is None:
            input, both = F.pad(input, _last_side_first(padding)), (0, 0)
        return F.conv2d(input, self.weight, self.bias, self.stride, both)


class SameConvTranspose2d(nn.ConvTranspose2d):
    """The gradient of `SameConv2d` with respect to its images: (N, C, H, W) to (N, C', sH, sW).

    What the convolution pads is cropped here. A kernel is at least as long as its stride s.
    """

    def forward(self, input: Tensor) -> Tensor:  # type: ignore[override]
        """Return images of s times the size."""
        sides = zip(input.shape[-2:], self.kernel_size, self.stride, strict=True)
        padding = [_same(stride * side, kernel, stride) for side, kernel, stride in sides]
        both = _on_both_sides(padding)
        if both is not None:
            return F.conv_transpose2d(input, self.weight, self.bias, self.stride, both)
        whole = F.conv_transpose2d(input, self.weight, self.bias, self.stride)
        return F.pad(whole, [-pixels for pixels in _last_side_first(padding)])


def _same(side: int, kernel: int, stride: int) -> tuple[int, int]:
    """Return the pixels added before and after a side."""
    count = -(-side // stride)
    total = max((count - 1) * stride + kernel - side, 0)
    return total // 2, total - total // 2


def _on_both_sides(padding: list[tuple[int, int]]) -> tuple[int, int] | None:
    """Return the padding of height and width if it is the same before and after each.

    The convolution itself can do that, which saves a copy of what goes through it.
    """
    (top, bottom), (left, right) = padding
    return (top, left) if (top, left) == (bottom, right) else None


def _last_side_first(padding: list[tuple[int, int]]) -> list[int]:
    """Return the padding of height and width in the order that torch's `pad` wants."""
    return list(chain.from_iterable(reversed(padding)))


def initialise(module: nn.Module) -> None:
    """Set the weights of one layer as Keras does; for `nn.Module.apply`.

    They are Glorot's uniform ones (2010, https://proceedings.mlr.press/v9/glorot10a.html), within
    sqrt(6 / (fan in + fan out)); biases are zero.
    """
    if isinstance(module, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
