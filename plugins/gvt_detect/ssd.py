"""SSD: detection in one stage, from default boxes on several feature maps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, ClassVar, NamedTuple

import torch
import torch.nn.functional as F
from pydantic import NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt
from torch import Tensor, nn
from torchvision.models.detection._utils import BoxCoder, Matcher
from torchvision.models.detection.anchor_utils import DefaultBoxGenerator
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.ssd import SSDHead
from torchvision.ops import Conv2dNormActivation, box_iou

from gvt import Batch, PassedTo, Targets
from gvt.vision.padding import blanked, seen_frame

from .detections import Selection, inside
from .detector import OneStage
from .maps import check_sizes, of_each_stride
from .rpn import full_precision
from .types import Share

FINEST = 8
"""Default stride of the finest map, as in the paper."""

SCALE = 4
"""Default side of a map's default boxes in strides, about that of the paper."""

CODER = (10.0, 10.0, 5.0, 5.0)
"""Weights of the box coder, as in the authors' code."""


class Outputs(NamedTuple):
    """The outputs for the A default boxes of N images; all float32.

    Attributes:
        logits: (N, A, 1 + K), the background first.
        deltas: (N, A, 4), the encoded changes of the boxes.
        boxes: (A, 4), the same ones for every image.
        inside: (N, A), whether the cell of a box is in the image, not in its padding.
        sizes: Unpadded (H, W) of each image.
    """

    logits: Tensor
    deltas: Tensor
    boxes: Tensor
    inside: Tensor
    sizes: tuple[tuple[int, int], ...]


class SSD(OneStage):
    """Single Shot MultiBox Detector on any backbone, built from torchvision's layers.

    Liu et al. 2016, https://arxiv.org/abs/1512.02325. The feature maps may differ in width;
    convolutions add coarser ones. Default boxes have sizes in pixels, so the padding of an image
    does not change them. Losses and predictions are those of torchvision's SSD, with two
    exceptions: an image without objects is learned from as background, and an object that no
    default box touches is not assigned to one. Padding is ignored in training and prediction.

    Args:
        feature_info: The (channels, stride) of each feature map.
        num_classes: Number of classes.
        maps: Names of the feature maps to use. By default those of stride 8 and more, or the
            coarsest one if there are none.
        extra: Number of maps to add. Each has twice the stride of the previous one, by a 1x1 and
            a 3x3 convolution.
        extra_channels: Channels of each added map.
        sizes: Side of the default boxes of each map in pixels, including the added maps, and the
            side that the next map would have; in ascending order. 4 strides by default.
        aspect_ratios: For each map, the ratios of the longer to the shorter side of its default
            boxes, in addition to two squares. By default 2 for the finest map, 2 and 3 for the
            others.
        iou: Smallest IoU with an object at which a default box is positive. The best box of each
            object is always positive.
        negatives: Number of hardest negatives that count for each positive of an image.
        weights: Factors of the losses `classification` and `box`, 1 by default.
        candidates: Most boxes of a class in non-maximum suppression, those with the highest scores.
        ignore_padding: Whether an image of a padded batch is treated as if it were alone. Models
            of checkpoint format 1 were trained without.
        **selection: Parameters of `Selection`.

    Raises:
        ValueError: If the backbone lacks a map, `sizes` or `aspect_ratios` do not fit the maps, or
            `weights` names an unknown loss.
    """

    losses: tuple[str, ...] = ("classification", "box")
    gvt_unrecorded: ClassVar[Mapping[str, Any]] = {"ignore_padding": False}

    def __init__(
        self,
        feature_info: Mapping[str, tuple[int, int]],
        num_classes: int,
        maps: tuple[str, ...] | None = None,
        extra: NonNegativeInt = 2,
        extra_channels: PositiveInt = 256,
        sizes: tuple[PositiveFloat, ...] | None = None,
        aspect_ratios: tuple[tuple[PositiveFloat, ...], ...] | None = None,
        iou: Share = 0.5,
        negatives: PositiveFloat = 3.0,
        score_threshold: Share = 0.01,
        nms: Share = 0.45,
        candidates: PositiveInt = 1000,
        weights: dict[str, NonNegativeFloat] | None = None,
        ignore_padding: bool = True,
        **selection: Annotated[Any, PassedTo(Selection)],
    ) -> None:
        super().__init__(
            num_classes, weights, Selection(score_threshold=score_threshold, nms=nms, **selection)
        )
        self.negatives, self.candidates = negatives, candidates
        self.ignore_padding = ignore_padding
        self.maps = of_each_stride(feature_info, maps, FINEST)
        widths, strides = map(list, zip(*(feature_info[name] for name in self.maps), strict=True))
        self.extra = nn.ModuleList()
        for _ in range(extra):
            self.extra.append(_coarser(widths[-1], extra_channels))
            widths.append(extra_channels)
            strides.append(2 * strides[-1])
        self.strides = tuple(strides)
        self.anchor_generator = _default_boxes(self.strides, sizes, aspect_ratios)
        self.boxes_per_cell = self.anchor_generator.num_anchors_per_location()
        self.head = SSDHead(widths, self.boxes_per_cell, num_classes + 1)
        self.box_coder = BoxCoder(CODER)
        self.matcher = _Matcher(iou, iou)

    @staticmethod
    def gvt_example(folder: Path) -> dict[str, Any]:
        """Return parameters of a small example, for the conformance kit."""
        return {"extra_channels": 16}

    def forward(self, features: Mapping[str, Tensor], batch: Batch) -> Outputs:
        """Return the outputs for all default boxes.

        Raises:
            ConfigError: If a map covers more than the image.
        """
        frame = seen_frame(batch.frame, self.ignore_padding)
        strides = iter(self.strides)
        maps = [blanked(features[name], next(strides), frame) for name in self.maps]
        for (narrow, halved), stride in zip(self.extra, strides, strict=True):
            reduced = blanked(narrow(maps[-1]), stride // 2, frame)
            maps.append(blanked(halved(reduced), stride, frame))
        check_sizes([feature.shape[-2:] for feature in maps], self.strides, batch.frame.canvas)
        with full_precision(maps[0].device):  # bfloat16 has 4 pixels of error at 1,024
            maps = [feature.float() for feature in maps]
            predictions = self.head(maps)
            # An image of one pixel keeps sizes in pixels as they are.
            pixel = ImageList(maps[0].new_empty(1, 1, 1, 1), [(1, 1)])
            boxes = self.anchor_generator(pixel, maps)[0]
        within = inside(self._corners(maps), batch.frame.sizes)
        logits, deltas = predictions["cls_logits"], predictions["bbox_regression"]
        return Outputs(logits, deltas, boxes, within, batch.frame.sizes)

    def loss(self, outputs: Outputs, targets: Targets) -> dict[str, Tensor]:
        """Return the losses `classification` and `box`, weighted."""
        labels, deltas, target_deltas = [], [], []
        for row, (boxes, classes) in enumerate(
            zip(targets["boxes"], targets["labels"], strict=True)
        ):
            within = outputs.inside[row]
            matched = torch.full_like(within, -1, dtype=torch.int64)
            if len(boxes):
                matched[within] = self.matcher(box_iou(boxes.float(), outputs.boxes[within]))
            objects = matched >= 0
            label = torch.zeros_like(matched)
            label[objects] = classes[matched[objects]] + 1
            matched_boxes = boxes.float()[matched[objects]]
            labels.append(label)
            deltas.append(outputs.deltas[row, objects])
            target_deltas.append(
                self.box_coder.encode_single(matched_boxes, outputs.boxes[objects])
            )
        box = F.smooth_l1_loss(torch.cat(deltas), torch.cat(target_deltas), reduction="sum")
        classification = self._classification(outputs, torch.stack(labels))
        count = max(sum(map(len, target_deltas)), 1)
        return self._weighted({"classification": classification / count, "box": box / count})

    def scored(self, outputs: Outputs) -> tuple[Tensor, Tensor]:
        """Return the changed default boxes (N, A, 4), and the scores of the classes (N, A, K)."""
        scores = outputs.logits.softmax(dim=2)[..., 1:]
        defaults = outputs.boxes.expand_as(outputs.deltas).flatten(0, 1)
        boxes = self.box_coder.decode_single(outputs.deltas.flatten(0, 1), defaults)
        return boxes.view_as(outputs.deltas), scores.masked_fill(~outputs.inside[..., None], 0)

    def _classification(self, outputs: Outputs, labels: Tensor) -> Tensor:
        """Return the summed cross entropy of all positives and the hardest negatives.

        Args:
            outputs: The outputs for all default boxes.
            labels: (N, A) int64, 0 is the background.
        """
        losses = F.cross_entropy(outputs.logits.flatten(0, 1), labels.flatten(), reduction="none")
        losses = losses.view(labels.shape)
        positive = labels > 0
        # Without positives negatives count as for one, or false detections would be free.
        counts = self.negatives * positive.sum(dim=1, keepdim=True).clamp(min=1)
        negative = outputs.inside & ~positive
        hardness = losses.detach().masked_fill(~negative, -torch.inf)
        ranks = hardness.argsort(dim=1, descending=True, stable=True).argsort(dim=1)
        return losses[positive | (negative & (ranks < counts))].sum()

    def _corners(self, maps: Sequence[Tensor]) -> Tensor:
        """Return the upper left corner of each default box's cell, (A, 2), x and y in pixels."""
        corners = []
        for feature, stride, count in zip(maps, self.strides, self.boxes_per_cell, strict=True):
            y, x = (
                torch.arange(side, device=feature.device) * stride for side in feature.shape[-2:]
            )
            grid = torch.stack(torch.meshgrid(y, x, indexing="ij")[::-1], dim=-1).flatten(0, 1)
            corners.append(grid.repeat_interleave(count, dim=0))
        return torch.cat(corners).float()


class _Matcher(Matcher):
    """torchvision's `Matcher`, which also matches each object with its best default box."""

    def __call__(self, ious: Tensor) -> Tensor:
        """Return the index of the matched object of each box, (A,); negative without one.

        Args:
            ious: (M, A), of M objects with A boxes.
        """
        matches = super().__call__(ious)
        best, columns = ious.max(dim=1, keepdim=True)
        # If two objects share a best box, the one with the higher IoU gets it.
        forced, rows = torch.zeros_like(ious).scatter_(1, columns, best).max(dim=0)
        return rows.where(forced > 0, matches)


def _coarser(channels_in: int, channels: int) -> nn.Sequential:
    """Build convolutions to a map of twice the stride, without normalisation as in the paper."""
    narrow = max(channels // 2, 1)
    block = nn.Sequential(
        Conv2dNormActivation(channels_in, narrow, 1, norm_layer=None),
        Conv2dNormActivation(narrow, channels, 3, stride=2, norm_layer=None),
    )
    for layer in block.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)
    return block


def _default_boxes(
    strides: Sequence[int],
    sizes: Sequence[float] | None,
    ratios: Sequence[Sequence[float]] | None,
) -> DefaultBoxGenerator:
    """Build the generator of default boxes.

    Raises:
        ValueError: If there are too few or too many sizes or ratios, or sizes do not ascend.
    """
    listed = ", ".join(map(str, strides))
    if sizes is None:
        sizes = [SCALE * stride for stride in (*strides, 2 * strides[-1])]
    if len(sizes) != len(strides) + 1 or any(a >= b for a, b in pairwise(sizes)):
        raise ValueError(
            f"sizes {list(sizes)}: give {len(strides) + 1} ascending numbers, one for each map of "
            f"strides {listed} and one more"
        )
    if ratios is None:
        ratios = [(2.0,), *((2.0, 3.0) for _ in strides[1:])]
    if len(ratios) != len(strides):
        raise ValueError(
            f"aspect_ratios has {len(ratios)} lists for {len(strides)} maps, of strides {listed}; "
            "give a list for each map"
        )
    return DefaultBoxGenerator(
        list(map(list, ratios)), scales=list(sizes), steps=list(strides), clip=False
    )
