"""The fully convolutional network: a score of each class on each map, added up."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import PositiveInt
from torch import Tensor, nn

from gvt import Frame, PassedTo

from .dense import DenseHead, resized
from .layers import from_stride


class FCN(DenseHead):
    """1x1 convolutions on the coarse maps, from coarse to fine enlarged and added.

    The skips of FCN-8s (Long and others, 2015, https://arxiv.org/abs/1411.4038), on any backbone.
    Scores are enlarged bilinearly, which is what the paper's transposed convolutions begin with.

    Args:
        feature_info: Of each feature map its (channels, stride).
        finest: Stride of the finest map that has a score: 8 is FCN-8s, 32 is FCN-32s.
        **dense: Those of `DenseHead`.

    Raises:
        ValueError: If there are not as many classes as the mode takes, no loss, or a weight for
            none of them.
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
        """Return (N, outputs, h, w) of the finest map's size."""
        total: Tensor | None = None
        for name, score in zip(reversed(self.names), reversed(self.scores), strict=True):
            own: Tensor = score(features[name])
            total = own if total is None else own + resized(total, own.shape[-2:])
        assert total is not None
        return total
