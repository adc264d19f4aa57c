"""Fast R-CNN: class and box of each proposal from outside the model."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import torch
from pydantic import PositiveInt
from torch import Tensor, nn
from torchvision.ops import MultiScaleRoIAlign, roi_pool

from gvt import Batch, PassedTo, Targets

from .detections import sizes_of
from .maps import check_sizes
from .proposing import Proposer, proposals_of
from .regions import RegionDetector, RegionSettings

RoI = Literal["pool", "align"]

_PADDING = -1e30
"""Value of the padding: less than every feature, but more than the start of max pooling."""


class Outputs(NamedTuple):
    """The outputs that losses and predictions are computed from.

    Attributes:
        maps: The feature maps to pool, (N, C, h, w) float32.
        proposals: Proposals (P, 4) of each image.
        sizes: Unpadded (H, W) of each image.
    """

    maps: dict[str, Tensor]
    proposals: list[Tensor]
    sizes: list[tuple[int, int]]


class FastRCNN(RegionDetector):
    """Fast R-CNN on any backbone, built from torchvision's layers.

    Girshick 2015, https://arxiv.org/abs/1504.08083, with the dense layers and the losses of
    torchvision's Faster R-CNN, on one map or on a pyramid. Proposals are `inputs["proposals"]` of
    the data, as from the data set `proposals`; otherwise they are computed from the images each
    time. The losses also use the true boxes as proposals. Padding is ignored in training and
    prediction.

    Args:
        proposer: Method that creates proposals if the data has none: `selective_search` (Uijlings
            et al. 2013), `selective_search_quality`, its thorough form, or `windows` of several
            sizes on a grid.
        proposals: Most proposals of an image.
        roi: Pooling of a region: `pool`, the largest value of each cell as in the paper, or
            `align`, the mean of interpolated points (He et al. 2017).
        weights: Factors of the losses `classification` and `box`, 1 by default.
        **regions: Parameters of `RegionSettings`.

    Raises:
        ValueError: If the backbone lacks a map, the maps differ in channels, or `weights` names
            an unknown loss.
    """

    reads = ("proposals",)

    def __init__(
        self,
        feature_info: Mapping[str, tuple[int, int]],
        num_classes: int,
        proposer: Proposer = "selective_search",
        proposals: PositiveInt = 2000,
        roi: RoI = "pool",
        roi_batch: PositiveInt = 64,
        **regions: Annotated[Any, PassedTo(RegionSettings)],
    ) -> None:
        settings = RegionSettings(roi_batch=roi_batch, **regions)
        super().__init__(feature_info, num_classes, settings)
        self.proposer, self.proposals = proposer, proposals
        self.roi_heads = self.region_heads(feature_info)
        if roi == "pool":
            self.roi_heads.box_roi_pool = RegionMaxPool(self.roi_heads.box_roi_pool)

    @staticmethod
    def gvt_example(folder: Path) -> dict[str, Any]:
        """Return parameters of a small example, without OpenCV, for the conformance kit."""
        return {"hidden": 32, "proposer": "windows", "proposals": 100}

    def forward(self, features: Mapping[str, Tensor], batch: Batch) -> Outputs:
        """Return the proposals, and the maps that they are pooled from.

        Raises:
            ConfigError: If a map covers more than the image, or selective search is needed and
                OpenCV is not installed.
        """
        map_sizes = [features[name].shape[-2:] for name in self.maps]
        check_sizes(map_sizes, self.strides, batch.frame.canvas)
        maps = {name: features[name].float() for name in self.roi_heads.box_roi_pool.featmap_names}
        proposals = proposals_of(batch, self.proposer, self.proposals)
        return Outputs(maps, proposals, sizes_of(batch.frame, len(batch)))

    def loss(self, outputs: Outputs, targets: Targets) -> dict[str, Tensor]:
        """Return the losses `classification` and `box`, weighted."""
        truth = self._truth(targets)
        regions = self._sampled(outputs.proposals, truth)
        return self._weighted(self.region_losses(outputs, regions, truth))

    def predict(self, outputs: Outputs) -> list[dict[str, Any]]:
        """Return the `boxes`, `labels` and `scores` of each image, by descending score."""
        return self._detected(outputs, outputs.proposals)


class RegionMaxPool(nn.Module):
    """Max pooling of regions, each from the map that suits its area.

    It is torchvision's `roi_pool` on maps that end where the images do. By its rounding, the last
    cells of a region at the edge of an image are beyond it. A cell with nothing in it is 0.

    Args:
        like: The average pooling of the same regions, whose maps, scales and size are used.
    """

    def __init__(self, like: MultiScaleRoIAlign) -> None:
        super().__init__()
        self.featmap_names, self.output_size = like.featmap_names, like.output_size
        self.scales, self.map_levels = like.scales, like.map_levels

    def forward(
        self, maps: Mapping[str, Tensor], boxes: list[Tensor], sizes: list[tuple[int, int]]
    ) -> Tensor:
        """Return the pooled features (R, C, size, size) of regions.

        Args:
            maps: Maps by name, (N, C, h, w) float32.
            boxes: Boxes (R, 4) of each image in pixels.
            sizes: Unpadded (H, W) of each image.
        """
        cut = [
            _without_padding(maps[name], sizes, round(1 / scale))
            for name, scale in zip(self.featmap_names, self.scales, strict=True)
        ]
        if len(cut) == 1:
            pooled = roi_pool(cut[0], boxes, self.output_size, self.scales[0])
        else:
            pooled = self._pool_levels(cut, boxes)
        return pooled.masked_fill(pooled == _PADDING, 0)

    def _pool_levels(self, maps: list[Tensor], boxes: list[Tensor]) -> Tensor:
        levels = self.map_levels(boxes)
        per_image = levels.split([len(image_boxes) for image_boxes in boxes])
        pooled = maps[0].new_zeros(len(levels), maps[0].shape[1], *self.output_size)
        for index, (feature, scale) in enumerate(zip(maps, self.scales, strict=True)):
            level_boxes = [b[level == index] for b, level in zip(boxes, per_image, strict=True)]
            rows = (levels == index).nonzero().flatten()
            values = roi_pool(feature, level_boxes, self.output_size, scale)
            pooled = pooled.index_put((rows,), values)
        return pooled


def _without_padding(feature: Tensor, sizes: list[tuple[int, int]], stride: int) -> Tensor:
    """Return a map (N, C, h, w) with the padding set to a value below all features."""
    height, width = feature.shape[-2:]
    outside = torch.zeros(len(sizes), 1, height, width, dtype=torch.bool)
    for mask, size in zip(outside, sizes, strict=True):
        mask[..., ceil(size[0] / stride) :, :] = True
        mask[..., ceil(size[1] / stride) :] = True
    return feature.masked_fill(outside.to(feature.device), _PADDING) if outside.any() else feature
