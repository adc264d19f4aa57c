"""FCOS: anchor-free detection in one stage, from the points of a feature pyramid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import pairwise
from math import gcd
from typing import Annotated, Any, NamedTuple

import torch
import torch.nn.functional as F
from pydantic import NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt
from torch import Tensor, nn
from torchvision.models.detection._utils import BoxLinearCoder
from torchvision.models.detection.fcos import FCOSClassificationHead, FCOSRegressionHead
from torchvision.ops import generalized_box_iou_loss, sigmoid_focal_loss

from gvt import Batch, PassedTo, Targets

from .cells import without_padding
from .detections import Selection, inside
from .detector import OneStage
from .maps import check_sizes, chosen
from .places import Places, of_truth, places_of
from .rpn import full_precision
from .types import Share

FINEST = 8
"""Default stride of the finest map, as in the paper."""

REACH = 8
"""Default limit of a map's distances to the sides of objects, in strides, as in the paper."""

WIDTH = 8
"""Default channels of a group in group normalisation, as in the paper."""


class Outputs(NamedTuple):
    """The outputs of the A points of N images, over all maps; all float32.

    Attributes:
        logits: (N, A, K), of the classes.
        deltas: (N, A, 4), distances to the left, upper, right and lower side in strides.
        centerness: (N, A) logits, how close a point is to the centre of its object.
        places: The points, the same for every image.
        inside: (N, A), whether a point is in the image, not in its padding.
        sizes: Unpadded (H, W) of each image.
    """

    logits: Tensor
    deltas: Tensor
    centerness: Tensor
    places: Places
    inside: Tensor
    sizes: tuple[tuple[int, int], ...]


class FCOS(OneStage):
    """FCOS on any backbone: anchor-free detection in one stage, built from torchvision's layers.

    Tian et al. 2019, https://arxiv.org/abs/1904.01355, with the authors' later improvements
    (https://arxiv.org/abs/2006.09214): centre sampling, GIoU, and centerness in the branch of the
    boxes. Weights have torchvision's names and shapes. Losses and predictions are those of
    torchvision's FCOS without padding, which is ignored in training and prediction.

    Args:
        feature_info: The (channels, stride) of each feature map.
        num_classes: Number of classes.
        maps: Names of the feature maps to use, with equal channels. By default those of stride 8
            and more for a pyramid, otherwise the coarsest one of stride 16 or less.
        layers: Convolutions before the last one, for classes and boxes each. The paper has 4,
            which dominate the cost with a small backbone; 2 miss only few objects.
        groups: Groups of each group normalisation. By default groups of 8 channels, as in the
            paper, or of fewer if 8 does not divide the channels.
        ranges: Limits in pixels between the maps, in ascending order, on the largest distance from
            a point to a side of its object; one fewer than maps. 8 strides of each map by default.
        radius: Distance in strides from the centre of an object within which points learn it.
        weights: Factors of the losses `classification`, `box` and `centerness`, 1 by default.
        score_threshold: Boxes with lower scores are dropped. A score is the geometric mean of the
            class probability and centerness.
        candidates: Most boxes of a class in non-maximum suppression, those with the highest scores.
        **selection: Parameters of `Selection`.

    Raises:
        ValueError: If the backbone lacks a map, the maps differ in channels, `groups` do not
            divide them, `ranges` do not fit the maps, or `weights` names an unknown loss.
    """

    losses: tuple[str, ...] = ("classification", "box", "centerness")

    def __init__(
        self,
        feature_info: Mapping[str, tuple[int, int]],
        num_classes: int,
        maps: tuple[str, ...] | None = None,
        layers: NonNegativeInt = 2,
        groups: PositiveInt | None = None,
        ranges: tuple[PositiveFloat, ...] | None = None,
        radius: PositiveFloat = 1.5,
        nms: Share = 0.6,
        candidates: PositiveInt = 1000,
        weights: dict[str, NonNegativeFloat] | None = None,
        **selection: Annotated[Any, PassedTo(Selection)],
    ) -> None:
        super().__init__(num_classes, weights, Selection(nms=nms, **selection))
        self.radius, self.candidates = radius, candidates
        self.maps = chosen(feature_info, maps, FINEST)
        self.strides = tuple(feature_info[name][1] for name in self.maps)
        self.ranges = _checked(self.strides, ranges)
        channels = feature_info[self.maps[0]][0]
        norm = partial(nn.GroupNorm, _groups(channels, groups))
        self.head = nn.ModuleDict(
            {
                "classification_head": FCOSClassificationHead(
                    channels, 1, num_classes, layers, norm_layer=norm
                ),
                "regression_head": FCOSRegressionHead(channels, 1, layers, norm_layer=norm),
            }
        )
        self.box_coder = BoxLinearCoder(normalize_by_size=True)

    def forward(self, features: Mapping[str, Tensor], batch: Batch) -> Outputs:
        """Return the outputs of all points.

        Raises:
            ConfigError: If a map covers more than the image.
        """
        maps = [features[name] for name in self.maps]
        sizes = [(feature.shape[-2], feature.shape[-1]) for feature in maps]
        check_sizes(sizes, self.strides, batch.frame.canvas)
        classes, boxes = self.head["classification_head"], self.head["regression_head"]
        # Otherwise group normalisation would include the padding in its statistics.
        class_maps, box_maps = (
            [
                without_padding(tower, feature, stride, batch.frame)
                for feature, stride in zip(maps, self.strides, strict=True)
            ]
            for tower in (classes.conv, boxes.conv)
        )
        with full_precision(maps[0].device):  # bfloat16 has 4 pixels of error at 1,024
            logits = _flat(classes.cls_logits, class_maps)
            deltas = _flat(boxes.bbox_reg, box_maps).relu()
            centerness = _flat(boxes.bbox_ctrness, box_maps).squeeze(dim=2)
        places = places_of(sizes, self.strides, self.ranges, maps[0].device)
        within = inside(places.points, batch.frame.sizes)
        return Outputs(logits, deltas, centerness, places, within, batch.frame.sizes)

    def loss(self, outputs: Outputs, targets: Targets) -> dict[str, Tensor]:
        """Return the losses `classification`, `box` and `centerness`, weighted."""
        labels, matched_boxes = [], []
        for boxes, classes, within in zip(
            targets["boxes"], targets["labels"], outputs.inside, strict=True
        ):
            matched = of_truth(outputs.places, boxes.float(), self.radius)
            objects = (matched >= 0) & within
            label = classes.new_full(matched.shape, -1)
            label[objects] = classes[matched[objects]]
            labels.append(label)
            matched_boxes.append(boxes.float()[matched[objects]])
        losses = self._losses(outputs, torch.stack(labels), torch.cat(matched_boxes))
        return self._weighted(losses)

    def scored(self, outputs: Outputs) -> tuple[Tensor, Tensor]:
        """Return the box of each point (N, A, 4), and the scores of its classes (N, A, K)."""
        scores = (outputs.logits.sigmoid() * outputs.centerness.sigmoid()[..., None]).sqrt()
        boxes = self.box_coder.decode(outputs.deltas, outputs.places.boxes)
        return boxes, scores.masked_fill(~outputs.inside[..., None], 0)

    def _losses(self, outputs: Outputs, labels: Tensor, truth: Tensor) -> dict[str, Tensor]:
        """Return the losses, divided by the number of points with an object.

        Args:
            outputs: The outputs of all points.
            labels: (N, A) int64, the class of each point's object; -1 without one.
            truth: The true boxes of the points with an object, (P, 4).
        """
        objects = labels >= 0
        count = max(len(truth), 1)
        classes = F.one_hot(labels.clamp(min=0), self.num_classes) * objects[..., None]
        within = outputs.inside
        classification = sigmoid_focal_loss(
            outputs.logits[within], classes[within].float(), reduction="sum"
        )
        squares = outputs.places.boxes.expand(len(labels), -1, -1)[objects]
        boxes = self.box_coder.decode(outputs.deltas[objects], squares)
        box = generalized_box_iou_loss(boxes, truth, reduction="sum")
        centerness = F.binary_cross_entropy_with_logits(
            outputs.centerness[objects],
            _centerness(self.box_coder.encode(squares, truth)),
            reduction="sum",
        )
        losses = {"classification": classification, "box": box, "centerness": centerness}
        return {name: loss / count for name, loss in losses.items()}


def _flat(layer: nn.Module, maps: Sequence[Tensor]) -> Tensor:
    """Return the outputs of a layer for all maps, (N, A, C) float32."""
    return torch.cat([layer(feature.float()).flatten(2).mT for feature in maps], dim=1)


def _centerness(distances: Tensor) -> Tensor:
    """Return the centerness of points, (P,) in [0, 1], by their distances (P, 4)."""
    across, along = distances[:, [0, 2]], distances[:, [1, 3]]
    shares = [pair.amin(dim=1) / pair.amax(dim=1) for pair in (across, along)]
    return (shares[0] * shares[1]).sqrt()


def _groups(channels: int, groups: int | None) -> int:
    """Return the number of groups.

    Raises:
        ValueError: If it does not divide the channels.
    """
    if groups is None:
        return channels // gcd(channels, WIDTH)
    if channels % groups:
        raise ValueError(f"groups {groups}: does not divide the {channels} channels of the maps")
    return groups


def _checked(strides: Sequence[int], ranges: Sequence[float] | None) -> tuple[float, ...]:
    """Return the limits between the maps.

    Raises:
        ValueError: If they do not ascend, or are too few or too many.
    """
    if ranges is None:
        ranges = [REACH * stride for stride in strides[:-1]]
    if len(ranges) != len(strides) - 1 or any(a >= b for a, b in pairwise(ranges)):
        raise ValueError(
            f"ranges {list(ranges)}: give {len(strides) - 1} ascending numbers, between the maps "
            f"of strides {', '.join(map(str, strides))}"
        )
    return tuple(map(float, ranges))
