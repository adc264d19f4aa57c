"""Fast R-CNN: of each proposal from outside its class and its box."""

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

from .maps import check_sizes
from .proposing import Proposer, proposals_of
from .regions import RegionDetector, RegionSettings

RoI = Literal["pool", "align"]

_PADDING = -1e30
"""Less than every feature, and more than what max pooling begins with."""


class Outputs(NamedTuple):
    """What is computed once for both losses and predictions.

    Attributes:
        maps: Those that regions are pooled from, (N, C, h, w) float32.
        proposals: Of each image (P, 4).
        sizes: Unpadded (H, W) of each image.
    """

    maps: dict[str, Tensor]
    proposals: list[Tensor]
    sizes: list[tuple[int, int]]


class FastRCNN(RegionDetector):
    """Proposals from outside, and of each its class and its box, by torchvision's own parts.

    Girshick, 2015, https://arxiv.org/abs/1504.08083, with the dense layers and the losses of
    torchvision's Faster R-CNN, on one map or on a pyramid. Proposals are what the data gives as
    `inputs["proposals"]`, as the data set `proposals` does, or are made of the pictures each time
    that they are seen. The true boxes are proposals, too, but for the losses only. Nothing is
    learned from or found in the padding of images.

    Args:
        proposer: What makes proposals where the data gives none: `selective_search` (Uijlings and
            others, 2013), `selective_search_quality`, its thorough form, or `windows` of several
            sizes all over the picture.
        proposals: Most proposals of an image.
        roi: How a region becomes features: `pool`, the largest value of each cell as in the paper,
            or `align`, the mean of points between the cells (He and others, 2017).
        weights: Factors of the losses `classification` and `box`, 1 unless given.
        **regions: Those of `RegionSettings`.

    Raises:
        ValueError: If the maps are not there or not equally wide, or a weight is for no loss.
    """

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
        """Return a narrow one to try, which needs no OpenCV."""
        return {"hidden": 32, "proposer": "windows", "proposals": 100}

    def forward(self, features: Mapping[str, Tensor], batch: Batch) -> Outputs:
        """Return the proposals, and the maps that they are pooled from.

        Raises:
            ConfigError: If the maps show more than the picture, or proposals are to be made by
                selective search and OpenCV is not installed.
        """
        shown = [features[name].shape[-2:] for name in self.maps]
        check_sizes(shown, self.strides, batch.frame.canvas)
        maps = {name: features[name].float() for name in self.roi_heads.box_roi_pool.featmap_names}
        proposals = proposals_of(batch, self.proposer, self.proposals)
        return Outputs(maps, proposals, list(batch.frame.sizes))

    def loss(self, outputs: Outputs, targets: Targets) -> dict[str, Tensor]:
        """Return the losses `classification` and `box`, weighted."""
        truth = self._truth(targets)
        regions = self._sampled(outputs.proposals, truth)
        return self._weighted(self.region_losses(outputs, regions, truth))

    def predict(self, outputs: Outputs) -> list[dict[str, Any]]:
        """Return of each image `boxes`, `labels` and `scores`, the best one first."""
        return self._found(outputs, outputs.proposals)


class RegionMaxPool(nn.Module):
    """The largest value of each cell of a region, from the map that suits the region's area.

    It is torchvision's `roi_pool` on maps that end where the images do: by its rounding the last
    cells of a region at an image's edge are beyond that. A cell with nothing in it is 0.

    Args:
        like: What pools the same regions by their mean: its maps, its scales and its size.
    """

    def __init__(self, like: MultiScaleRoIAlign) -> None:
        super().__init__()
        self.featmap_names, self.output_size = like.featmap_names, like.output_size
        self.scales, self.map_levels = like.scales, like.map_levels

    def forward(
        self, maps: Mapping[str, Tensor], boxes: list[Tensor], sizes: list[tuple[int, int]]
    ) -> Tensor:
        """Return features (R, C, size, size) of regions.

        Args:
            maps: By name, (N, C, h, w) float32.
            boxes: Of each image (R, 4) in pixels.
            sizes: Unpadded (H, W) of each image.
        """
        used = [
            _without_padding(maps[name], sizes, round(1 / scale))
            for name, scale in zip(self.featmap_names, self.scales, strict=True)
        ]
        if len(used) == 1:
            pooled = roi_pool(used[0], boxes, self.output_size, self.scales[0])
        else:
            pooled = self._of_levels(used, boxes)
        return pooled.masked_fill(pooled == _PADDING, 0)

    def _of_levels(self, maps: list[Tensor], boxes: list[Tensor]) -> Tensor:
        levels = self.map_levels(boxes)
        per_image = levels.split([len(of_image) for of_image in boxes])
        pooled = maps[0].new_zeros(len(levels), maps[0].shape[1], *self.output_size)
        for index, (of_map, scale) in enumerate(zip(maps, self.scales, strict=True)):
            own = [b[level == index] for b, level in zip(boxes, per_image, strict=True)]
            rows = (levels == index).nonzero().flatten()
            found = roi_pool(of_map, own, self.output_size, scale)
            pooled = pooled.index_put((rows,), found)
        return pooled


def _without_padding(of_map: Tensor, sizes: list[tuple[int, int]], stride: int) -> Tensor:
    """Return a map (N, C, h, w) whose cells beyond the images are less than all others."""
    height, width = of_map.shape[-2:]
    outside = torch.zeros(len(sizes), 1, height, width, dtype=torch.bool)
    for of_image, size in zip(outside, sizes, strict=True):
        of_image[..., ceil(size[0] / stride) :, :] = True
        of_image[..., ceil(size[1] / stride) :] = True
    return of_map.masked_fill(outside.to(of_map.device), _PADDING) if outside.any() else of_map
