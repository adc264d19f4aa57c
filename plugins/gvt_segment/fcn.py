"""Fully convolutional network (FCN): scores of several maps, added up."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import PositiveInt
from torch import Tensor, nn

from gvt import Frame, PassedTo

from .dense import DenseHead, resized
from .layers import from_stride


class FCN(DenseHead):
    """FCN: 1x1 convolutions on the coarse maps; their scores are upsampled and added.

    The skips of FCN-8s (Long et al. 2015, https://arxiv.org/abs/1411.4038), on any backbone.
    Upsampling is bilinear, the initialisation of the paper's transposed convolutions.

    Args:
        feature_info: The (channels, stride) of each feature map.
        finest: Stride of the finest map with scores: 8 is FCN-8s, 32 is FCN-32s.
        **dense: Parameters of `DenseHead`.

    Raises:
        ValueError: If the number of classes does not fit the mode, there are no losses, or
            `weights` names an unknown loss.
    """

    def __init__(
        self,
        feature_info: Mapping[str, tuple[int, int]],
        num_classes: int,
        finest: PositiveInt = 8,
        **dense: Annotated[Any, PassedTo(DenseHead)],
    ) -> None:
        super().__init__(feature_info, num_classes, **dense)
        self.names = from_stride(feature_info, finest)
        self.scores = nn.ModuleList(
            nn.Conv2d(feature_info[name][0], self.outputs, 1) for name in self.names
        )

    def logits(self, features: Mapping[str, Tensor], frame: Frame) -> Tensor:
        """Return (N, outputs, h, w) at the size of the finest map."""
        total: Tensor | None = None
        for name, score in zip(reversed(self.names), reversed(self.scores), strict=True):
            scores: Tensor = score(features[name])
            total = scores if total is None else scores + resized(total, scores.shape[-2:])
        assert total is not None
        return total
