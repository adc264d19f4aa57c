"""Which feature maps a detector looks at, and from which of them a region's features come."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil, floor, log2

import torch
from torch import Tensor
from torchvision.ops import MultiScaleRoIAlign
from torchvision.ops.poolers import LevelMapper

from gvt import ConfigError

FeatureInfo = Mapping[str, tuple[int, int]]

FINEST = 4
"""Stride of a pyramid's finest map unless others are asked for, as in its paper."""

SINGLE = 16
"""Largest stride of a map that stands alone, as in the first paper."""

COARSEST_OF_REGIONS = 32
"""Largest stride that regions are pooled from; coarser maps are for proposals only."""

SAMPLES = 2
"""Points along each side of a pooled cell that are averaged."""


def chosen(
    feature_info: FeatureInfo, names: Sequence[str] | None, finest: int = FINEST
) -> list[str]:
    """Return the names of the maps to look at.

    Unless they are given: of a pyramid, whose maps are equally wide, those of the stride `finest`
    and more; otherwise the coarsest map of stride 16 or less.

    Raises:
        ValueError: If there is no such map, one is named twice, or they are not equally wide.
    """
    if names is None:
        return _of_pyramid(feature_info, finest) or [_single(feature_info)]
    names = _known(feature_info, names)
    widths = [feature_info[name][0] for name in names]
    if len(set(widths)) > 1:
        raise ValueError(
            f"maps {list(names)} have {widths} channels, and one head serves all; put the "
            "backbone fpn on them, or name a single map"
        )
    return names


def of_each_stride(
    feature_info: FeatureInfo, names: Sequence[str] | None, finest: int
) -> list[str]:
    """Return the names of the maps to look at, which need not be equally wide.

    Unless they are given: those of the stride `finest` and more, of several with one stride the
    last one; if there are none, the coarsest map.

    Raises:
        ValueError: If there is no such map, or one is named twice.
    """
    if names is None:
        last = {stride: name for name, (_, stride) in feature_info.items()}
        return [n for stride, n in last.items() if stride >= finest] or [list(last.values())[-1]]
    return _known(feature_info, names)


def check_sizes(
    sizes: Sequence[Sequence[int]], strides: Sequence[int], canvas: tuple[int, int]
) -> None:
    """Check that maps show no more than the picture.

    Args:
        sizes: Of each map (h, w).
        strides: Of each map.
        canvas: Padded (H, W) of the images.

    Raises:
        ConfigError: If one does.
    """
    for size, stride in zip(sizes, strides, strict=True):
        limit = [ceil(side / stride) + 1 for side in canvas]
        if any(side > most for side, most in zip(size, limit, strict=True)):
            raise ConfigError(
                f"a map of stride {stride} has {size[0]}x{size[1]} cells for a picture of "
                f"{canvas[0]}x{canvas[1]}: a backbone with valid convolutions keeps a margin, "
                "in which a detector would see objects at other places"
            )


def region_pooler(feature_info: FeatureInfo, names: Sequence[str], size: int) -> MultiScaleRoIAlign:
    """Return what pools regions from those of the maps that have stride 32 or less.

    A region comes from the map that suits its area (Lin and others, 2017, equation 1). Scales are
    those of `feature_info`: torchvision's own guess of them, made from the first batch, is wrong
    where that is padded.

    Args:
        feature_info: Of each feature map its (channels, stride).
        names: The maps that the detector looks at.
        size: Side of the pooled features.
    """
    fine = [name for name in names if feature_info[name][1] <= COARSEST_OF_REGIONS]
    used = fine or list(names)
    strides = [feature_info[name][1] for name in used]
    pooler = _RegionAlign(used, size, SAMPLES)
    pooler.scales = [1 / stride for stride in strides]
    pooler.map_levels = _MapOfRegion(strides, pooler.canonical_scale, pooler.canonical_level)
    return pooler


class _RegionAlign(MultiScaleRoIAlign):
    """torchvision's, on maps that end where each image does."""

    def forward(
        self, x: dict[str, Tensor], boxes: list[Tensor], image_shapes: list[tuple[int, int]]
    ) -> Tensor:
        """Return features (R, C, size, size) of regions.

        Args:
            x: Maps by name, (N, C, h, w).
            boxes: Of each image (R, 4) in pixels.
            image_shapes: Unpadded (H, W) of each image.
        """
        parts = [
            {
                name: x[name][[row], :, : ceil(height * scale), : ceil(width * scale)]
                for name, scale in zip(self.featmap_names, self.scales, strict=True)
            }
            for row, (height, width) in enumerate(image_shapes)
        ]
        if all(part[name].shape[-2:] == x[name].shape[-2:] for part in parts for name in part):
            return super().forward(x, boxes, image_shapes)
        pool, per_image = super().forward, zip(parts, boxes, image_shapes, strict=True)
        return torch.cat([pool(part, [own], [size]) for part, own, size in per_image])


class _MapOfRegion:
    """Maps regions to the indices of maps, which need not be one for each power of two."""

    def __init__(self, strides: Sequence[int], canonical_scale: int, canonical_level: int) -> None:
        levels = [floor(log2(stride)) for stride in strides]
        first, last = min(levels), max(levels)
        self._level = LevelMapper(first, last, canonical_scale, canonical_level)
        # Of each level the map of it, or of the next finer level that has one.
        self._maps = [
            max((n for n in range(len(levels)) if levels[n] <= level), key=levels.__getitem__)
            for level in range(first, last + 1)
        ]

    def __call__(self, boxes: list[Tensor]) -> Tensor:
        """Return of all boxes, each (M, 4), the index of their map, (M in all,) int64."""
        level = self._level(boxes)
        return torch.tensor(self._maps, device=level.device)[level]


def _known(feature_info: FeatureInfo, names: Sequence[str]) -> list[str]:
    if not names or len(set(names)) != len(names) or not set(names) <= set(feature_info):
        raise ValueError(f"maps {list(names)}: the backbone has {', '.join(feature_info)}")
    return list(names)


def _of_pyramid(feature_info: FeatureInfo, finest: int) -> list[str]:
    """Return the maps of a pyramid, none if there is no pyramid."""
    widths, strides = zip(*feature_info.values(), strict=True)
    if len(strides) < 2 or len(set(widths)) > 1 or len(set(strides)) < len(strides):
        return []
    return [n for n, (_, stride) in feature_info.items() if stride >= finest] or list(feature_info)


def _single(feature_info: FeatureInfo) -> str:
    fine = [name for name, (_, stride) in feature_info.items() if stride <= SINGLE]
    return fine[-1] if fine else next(iter(feature_info))
