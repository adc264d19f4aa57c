"""Choice of a detector's feature maps, and pooling of regions from them."""

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
"""Default stride of a pyramid's finest map, as in its paper."""

SINGLE = 16
"""Default largest stride of a single map, as in the first paper."""

COARSEST_OF_REGIONS = 32
"""Largest stride of a map to pool regions from; coarser maps are for proposals only."""

SAMPLES = 2
"""Sampling points along each side of a pooled cell."""


def chosen(
    feature_info: FeatureInfo, names: Sequence[str] | None, finest: int = FINEST
) -> list[str]:
    """Return the names of the maps to use, with equal channels.

    By default those of stride `finest` and more for a pyramid, whose maps have equal channels;
    otherwise the coarsest map of stride 16 or less.

    Raises:
        ValueError: If a map is missing or repeated, or the maps differ in channels.
    """
    if names is None:
        return _pyramid(feature_info, finest) or [_single(feature_info)]
    names = _checked(feature_info, names)
    widths = [feature_info[name][0] for name in names]
    if len(set(widths)) > 1:
        raise ValueError(
            f"maps {list(names)} have {widths} channels, and one head needs equal ones; add the "
            "backbone fpn, or name a single map"
        )
    return names


def of_each_stride(
    feature_info: FeatureInfo, names: Sequence[str] | None, finest: int
) -> list[str]:
    """Return the names of the maps to use, whose channels may differ.

    By default those of stride `finest` and more, the last one of each stride, or the coarsest map
    if there are none.

    Raises:
        ValueError: If a map is missing or repeated.
    """
    if names is None:
        last = {stride: name for name, (_, stride) in feature_info.items()}
        return [n for stride, n in last.items() if stride >= finest] or [list(last.values())[-1]]
    return _checked(feature_info, names)


def check_sizes(
    sizes: Sequence[Sequence[int]], strides: Sequence[int], canvas: tuple[int, int]
) -> None:
    """Check that no map covers more than the image.

    Args:
        sizes: (h, w) of each map.
        strides: Stride of each map.
        canvas: Padded (H, W) of the images.

    Raises:
        ConfigError: If a map does.
    """
    for size, stride in zip(sizes, strides, strict=True):
        limit = [ceil(side / stride) + 1 for side in canvas]
        if any(side > most for side, most in zip(size, limit, strict=True)):
            raise ConfigError(
                f"a map of stride {stride} has {size[0]}x{size[1]} cells for an image of "
                f"{canvas[0]}x{canvas[1]}: a backbone with valid convolutions keeps a margin, "
                "which would shift all objects; use one with padding: same"
            )


def region_pooler(
    feature_info: FeatureInfo, names: Sequence[str], size: int, ignore_padding: bool = True
) -> MultiScaleRoIAlign:
    """Build the average pooling of regions from the maps of stride 32 or less.

    The area of a region selects its map (Lin et al. 2017, equation 1). Scales are those of
    `feature_info`: torchvision derives them from the first batch, which is wrong if it is padded.

    Args:
        feature_info: The (channels, stride) of each feature map.
        names: Names of the detector's maps.
        size: Side of the pooled features.
        ignore_padding: Whether maps end where each image does.
    """
    names = [n for n in names if feature_info[n][1] <= COARSEST_OF_REGIONS] or list(names)
    strides = [feature_info[name][1] for name in names]
    pooler = (_RegionAlign if ignore_padding else MultiScaleRoIAlign)(names, size, SAMPLES)
    pooler.scales = [1 / stride for stride in strides]
    pooler.map_levels = _LevelMapper(strides, pooler.canonical_scale, pooler.canonical_level)
    return pooler


class _RegionAlign(MultiScaleRoIAlign):
    """torchvision's `MultiScaleRoIAlign`, on maps that end where each image does."""

    def forward(
        self, x: dict[str, Tensor], boxes: list[Tensor], image_shapes: list[tuple[int, int]]
    ) -> Tensor:
        """Return the pooled features (R, C, size, size) of regions.

        Args:
            x: Maps by name, (N, C, h, w).
            boxes: Boxes (R, 4) of each image in pixels.
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
        return torch.cat([pool(part, [b], [size]) for part, b, size in per_image])


class _LevelMapper:
    """Mapping of regions to map indices, also if strides skip powers of two."""

    def __init__(self, strides: Sequence[int], canonical_scale: int, canonical_level: int) -> None:
        levels = [floor(log2(stride)) for stride in strides]
        first, last = min(levels), max(levels)
        self._level = LevelMapper(first, last, canonical_scale, canonical_level)
        # For each level its map, or that of the next finer level with a map.
        self._maps = [
            max((n for n in range(len(levels)) if levels[n] <= level), key=levels.__getitem__)
            for level in range(first, last + 1)
        ]

    def __call__(self, boxes: list[Tensor]) -> Tensor:
        """Return the map index of all boxes, (sum of M,) int64, for lists of boxes (M, 4)."""
        level = self._level(boxes)
        return torch.tensor(self._maps, device=level.device)[level]


def _checked(feature_info: FeatureInfo, names: Sequence[str]) -> list[str]:
    if not names or len(set(names)) != len(names) or not set(names) <= set(feature_info):
        raise ValueError(f"maps {list(names)}: the backbone has {', '.join(feature_info)}")
    return list(names)


def _pyramid(feature_info: FeatureInfo, finest: int) -> list[str]:
    """Return the maps of a pyramid; none if the maps are not a pyramid."""
    widths, strides = zip(*feature_info.values(), strict=True)
    if len(strides) < 2 or len(set(widths)) > 1 or len(set(strides)) < len(strides):
        return []
    return [n for n, (_, stride) in feature_info.items() if stride >= finest] or list(feature_info)


def _single(feature_info: FeatureInfo) -> str:
    fine = [name for name, (_, stride) in feature_info.items() if stride <= SINGLE]
    return fine[-1] if fine else next(iter(feature_info))
