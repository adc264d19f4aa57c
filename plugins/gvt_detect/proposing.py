"""Proposals from outside a model: selective search, or windows on a grid."""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt
from typing import Any, Literal

import torch
from torch import Tensor
from torchvision.ops import clip_boxes_to_image

from gvt import Batch, ConfigError, DataError

from .detections import sizes_of

Proposer = Literal["selective_search", "selective_search_quality", "windows"]
"""`selective_search` (Uijlings et al. 2013) in its fast form, `selective_search_quality`, its
thorough form, which takes several times as long, or `windows`, the same for all images of a
size."""

RATIOS = (0.5, 1.0, 2.0)
"""Ratios of height to width of windows."""

SCALES = tuple(2 ** (-step / 2) for step in range(7))
"""Sides of windows relative to the image's shorter side: from all of it to an eighth."""

STEPS = (0.25, 1 / 3, 0.5, 2 / 3, 1.0)
"""Distances of neighbouring windows relative to their sides; the first that fits is used."""

LEAST_SIDE = 1.0
"""Smallest side of a window in pixels."""


def proposals_of(batch: Batch, proposer: Proposer, most: int) -> list[Tensor]:
    """Return the proposals of each image.

    They are those of the data, `batch.inputs["proposals"]`. If there are none, or None for an
    image, the proposer creates them.

    Args:
        batch: N images; their padding is ignored.
        proposer: Method that creates missing proposals.
        most: Most proposals of an image; the rest is dropped.

    Returns:
        N tensors (P, 4) float32, clipped to the image, each box with an area.

    Raises:
        ConfigError: If selective search is needed, and OpenCV's contributed modules are not
            installed or the images are neither grey nor RGB.
        DataError: If the proposals of the data are not (P, 4) for each image.
    """
    proposals = []
    sizes = sizes_of(batch.frame, len(batch))
    for image, size, data in zip(batch.images, sizes, _data_proposals(batch), strict=True):
        boxes = data
        if boxes is None:
            boxes = proposals_in(image[:, : size[0], : size[1]], proposer, most)
        proposals.append(visible_part(boxes.to(image.device).float(), size)[:most])
    return proposals


def visible_part(boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """Return boxes clipped to an image of (H, W) pixels, without empty ones, (R, 4)."""
    clipped: Tensor = clip_boxes_to_image(boxes, size)
    return clipped[(clipped[:, 2:] > clipped[:, :2]).all(dim=1)]


def _data_proposals(batch: Batch) -> list[Tensor | None]:
    """Return the proposals of the data for each image, None for an image without them.

    Raises:
        DataError: If their number differs from that of the images, or one is not (P, 4).
    """
    proposals = batch.inputs.get("proposals")
    if proposals is None:
        return [None] * len(batch)
    if isinstance(proposals, Tensor):  # the same number for each image
        proposals = list(proposals) if proposals.ndim else [proposals]
    count = len(proposals)
    if count != len(batch):
        missing = f", none for {_source(batch, count)}" if count < len(batch) else ""
        raise DataError(
            f"inputs['proposals'] is for {count} images, and the batch has {len(batch)}{missing}; "
            "give (P, 4) boxes for each, or None"
        )
    for row, boxes in enumerate(proposals):
        if boxes is not None and (not isinstance(boxes, Tensor) or boxes.shape[1:] != (4,)):
            problem = f"a {type(boxes).__name__}"
            if isinstance(boxes, Tensor):
                problem = f"shape {tuple(boxes.shape)}"
            raise DataError(
                f"inputs['proposals'] of {_source(batch, row)}: {problem}; give a tensor (P, 4), "
                "boxes xyxy in pixels of the image"
            )
    return list(proposals)


def _source(batch: Batch, row: int) -> str:
    return batch.records[row].source if batch.records else f"image {row} of the batch"


def proposals_in(image: Tensor, proposer: Proposer, most: int) -> Tensor:
    """Return the proposals of one image, (P, 4) float32 on its device.

    They are the same for the same image, in the same order.

    Args:
        image: (C, H, W), uint8 or float in [0, 1].
        proposer: Method that creates them.
        most: Most proposals.

    Raises:
        ConfigError: If selective search is needed, and OpenCV's contributed modules are not
            installed or the image is neither grey nor RGB.
    """
    if proposer == "windows":
        return windows((image.shape[-2], image.shape[-1]), most).to(image.device)
    thorough = proposer == "selective_search_quality"
    return _searched(image, thorough)[:most].to(image.device)


def windows(size: tuple[int, int], most: int) -> Tensor:
    """Return windows of several sizes and proportions that cover an image evenly.

    They are as dense as `most` allows, in order of descending size. If even adjacent windows are
    too many, the smallest are dropped.

    Args:
        size: (H, W) of the image in pixels.
        most: Most windows.

    Returns:
        (P, 4) float32.
    """
    grids: list[Tensor] = []
    for step in STEPS:
        grids = [_grid(size, window, step) for window in _window_sizes(size)]
        if sum(map(len, grids)) <= most:
            break
    parts: list[Tensor] = []
    for grid in grids:
        left = most - sum(map(len, parts))
        # The last sizes are thinned evenly, instead of to their first rows.
        rows = torch.linspace(0, len(grid) - 1, min(len(grid), left)).long()
        parts.append(grid[rows])
    return clip_boxes_to_image(torch.cat(parts), size)


def _window_sizes(size: tuple[int, int]) -> list[tuple[float, float]]:
    """Return the distinct (h, w) of the windows of an image."""
    windows = []
    for scale in SCALES:
        side = scale * min(size)
        for ratio in RATIOS:
            window = (side * sqrt(ratio), side / sqrt(ratio))
            if min(window) >= LEAST_SIDE or scale == SCALES[0]:
                windows.append((min(window[0], size[0]), min(window[1], size[1])))
    return list(dict.fromkeys(windows))


def _grid(size: tuple[int, int], window: tuple[float, float], step: float) -> Tensor:
    """Return windows of one size, (P, 4), from edge to edge of the image."""
    starts = []
    for length, side in zip(size, window, strict=True):
        count = round((length - side) / (step * side)) + 1
        middle = torch.tensor([(length - side) / 2])
        starts.append(torch.linspace(0, length - side, count) if count > 1 else middle)
    y, x = (coordinates.flatten() for coordinates in torch.meshgrid(*starts, indexing="ij"))
    return torch.stack([x, y, x + window[1], y + window[0]], dim=1)


def _searched(image: Tensor, thorough: bool) -> Tensor:
    """Return all boxes of selective search, ranked, (P, 4) float32 on the CPU.

    Uijlings et al. 2013, https://doi.org/10.1007/s11263-013-0620-5
    """
    search = _selective_search()()
    search.setBaseImage(_bgr(image))
    if thorough:
        search.switchToSelectiveSearchQuality()
    else:
        search.switchToSelectiveSearchFast()
    xywh = torch.from_numpy(search.process()).long()
    boxes = torch.cat([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]], dim=1)
    return _ranked(torch.unique(boxes, dim=0)).float()


def _ranked(boxes: Tensor) -> Tensor:
    """Return boxes in the paper's order, by rank times a random number with a fixed seed.

    OpenCV's own order depends on the C library's random numbers, which cannot be seeded. It does
    not return the rank in the hierarchy, so boxes are ranked by area: the largest come last there.
    """
    sides = boxes[:, 2:] - boxes[:, :2]
    largest_first = boxes[sides.prod(dim=1).argsort(descending=True, stable=True)]
    noise = torch.rand(len(boxes), generator=torch.Generator().manual_seed(0))
    return largest_first[(noise * torch.arange(1, len(boxes) + 1)).argsort(stable=True)]


def _bgr(image: Tensor) -> Any:
    """Convert an image to OpenCV's format, (H, W, 3) uint8 in BGR."""
    if len(image) not in (1, 3):
        raise ConfigError(
            f"proposer: selective search needs grey or RGB images, these have {len(image)} "
            "channels; use proposer: windows, or add proposals to the data"
        )
    pixels = image.detach().cpu()
    if pixels.is_floating_point():
        pixels = (pixels.float().clamp(0, 1) * 255).round().to(torch.uint8)
    return pixels.expand(3, -1, -1).flip(0).permute(1, 2, 0).contiguous().numpy()


def _selective_search() -> Callable[[], Any]:
    try:
        from cv2.ximgproc import segmentation
    except ImportError as error:
        raise ConfigError(
            "proposer: selective search needs OpenCV with its contributed modules; pip install "
            '"gvt[selective-search]", or use proposer: windows'
        ) from error
    return segmentation.createSelectiveSearchSegmentation
