"""Semantic FPN: segmentation on a feature pyramid."""

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
"""Groups of group normalisation, as in the paper; fewer if they do not divide the width."""


class FPN(DenseHead):
    """Semantic FPN: the levels of a pyramid are upsampled to the finest one, added and classified.

    The semantic branch of Kirillov et al. (2019, https://arxiv.org/abs/1901.02446): 3x3
    convolution, group norm, ReLU and upsampling by 2, repeated as needed.

    The pyramid's lateral and top-down convolutions (Lin et al. 2017) are added on the backbone's
    maps, unless these are several with equal channels, such as those of a pyramid.

    Args:
        feature_info: The (channels, stride) of each feature map.
        finest: Stride of the finest map to use; masks have its size.
        channels: Channels of the pyramid, if it is built here.
        width: Channels of the convolutions on it.
        **dense: Parameters of `DenseHead`.

    Raises:
        ValueError: If the number of classes does not fit the mode, there are no losses, or
            `weights` names an unknown loss.
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
        widths = [feature_info[name][0] for name in self.names]
        self.pyramid = None
        if len(widths) > 1 and len(set(widths)) == 1:
            channels = widths[0]
        else:
            self.pyramid = FeaturePyramidNetwork(widths, channels)
        self.levels = nn.ModuleList(
            nn.ModuleList(
                _Level(channels if number == 0 else width, width) for number in range(max(1, level))
            )
            for level in range(len(widths))
        )
        self.score = nn.Conv2d(width, self.outputs, 1)

    def logits(self, features: Mapping[str, Tensor], frame: Frame) -> Tensor:
        """Return (N, outputs, h, w) at the size of the finest map."""
        maps = {name: features[name] for name in self.names}
        pyramid = list((self.pyramid(maps) if self.pyramid is not None else maps).values())
        sizes = [level.shape[-2:] for level in pyramid]
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
