"""Semantic segmentation on a feature pyramid."""

from __future__ import annotations

from collections.abc import Mapping
from math import gcd
from typing import Annotated, Any

from pydantic import PositiveInt
from torch import Tensor, nn
from torchvision.ops import FeaturePyramidNetwork

from gvt import Frame, PassedTo

from .dense import DenseHead, resized
from .layers import from_stride

GROUPS = 32
"""Groups of the group norm, as in the paper; fewer where the width is not divisible by it."""


class FPN(DenseHead):
    """Every level of a pyramid brought to the finest one's size, and their sum classified.

    The semantic branch of Kirillov and others (2019, https://arxiv.org/abs/1901.02446): 3x3
    convolution, group norm, ReLU and doubling, as often as it takes.

    The pyramid's lateral and top-down convolutions (Lin and others, 2017) are built on the
    backbone's maps, unless several maps come that have equal channels, as those of a pyramid.

    Args:
        feature_info: Of each feature map its (channels, stride).
        finest: Stride of the finest map that is used; masks are made at its size.
        channels: Channels of the pyramid, where it is built here.
        width: Channels of the convolutions on it.
        **dense: Those of `DenseHead`.

    Raises:
        ValueError: If there are not as many classes as the mode takes, no loss, or a weight for
            none of them.
    """

    def __init__(
        self,
        feature_info: Mapping[str, tuple[int, int]],
        num_classes: int,
        finest: PositiveInt = 4,
        channels: PositiveInt = 256,
        width: PositiveInt = 128,
        **dense: Annotated[Any, PassedTo(DenseHead)],
    ) -> None:
        super().__init__(feature_info, num_classes, **dense)
        self.names = from_stride(feature_info, finest)
        given = [feature_info[name][0] for name in self.names]
        self.pyramid = None
        if len(given) > 1 and len(set(given)) == 1:
            channels = given[0]
        else:
            self.pyramid = FeaturePyramidNetwork(given, channels)
        self.levels = nn.ModuleList(
            nn.ModuleList(
                _Level(channels if number == 0 else width, width) for number in range(max(1, level))
            )
            for level in range(len(given))
        )
        self.score = nn.Conv2d(width, self.outputs, 1)

    def logits(self, features: Mapping[str, Tensor], frame: Frame) -> Tensor:
        """Return (N, outputs, h, w) of the finest map's size."""
        maps = {name: features[name] for name in self.names}
        pyramid = list((self.pyramid(maps) if self.pyramid is not None else maps).values())
        sizes = [of_level.shape[-2:] for of_level in pyramid]
        total: Tensor | None = None
        for level, steps in enumerate(self.levels):
            assert isinstance(steps, nn.ModuleList)
            x = pyramid[level]
            for number, step in enumerate(steps, start=1):
                x = resized(step(x), sizes[max(0, level - number)])
            total = x if total is None else total + x
        assert total is not None
        scores: Tensor = self.score(total)
        return scores


class _Level(nn.Sequential):
    """A 3x3 convolution, group norm and ReLU."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__(
            nn.Conv2d(channels, width, 3, padding=1, bias=False),
            nn.GroupNorm(gcd(GROUPS, width), width),
            nn.ReLU(),
        )
