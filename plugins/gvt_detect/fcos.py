"""FCOS: every place of a pyramid says which object it is in, and how far its sides are."""

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
from .detections import inside
from .detector import Detector, Selection
from .maps import check_sizes, chosen
from .places import Places, of_truth, places_of
from .rpn import full_precision
from .types import Share

FINEST = 8
"""Stride of the finest map unless others are asked for, as in the paper."""

REACH = 8
"""Distance in strides up to which the sides of an object are a map's, as in the paper."""

WIDTH = 8
"""Channels that are normalised together unless `groups` are given, as in the paper."""


class Outputs(NamedTuple):
    """What the A places of N images say, on all maps together; all float32.

    Attributes:
        logits: (N, A, K), of each class.
        deltas: (N, A, 4), distances to the left, upper, right and lower side in strides.
        centerness: (N, A) logits, how near a place is to its object's middle.
        places: The places, the same ones for every image.
        inside: (N, A), whether a place is in the image and not in its padding.
        sizes: Unpadded (H, W) of each image.
    """

    logits: Tensor
    deltas: Tensor
    centerness: Tensor
    places: Places
    inside: Tensor
    sizes: tuple[tuple[int, int], ...]


class FCOS(Detector):
    """Objects in one stage and without anchors, by torchvision's own parts.

    Tian and others, 2019, https://arxiv.org/abs/1904.01355, with what the authors added later
    (https://arxiv.org/abs/2006.09214): the sampling of centres, GIoU, and centerness beside the
    boxes. Weights have torchvision's names and shapes, and losses and predictions are those of
    torchvision's FCOS without padding. Nothing is learned from or found in the padding of images,
    and its layers do not see it.

    Args:
        feature_info: Of each feature map its (channels, stride).
        num_classes: Number of classes.
        maps: Names of the maps to look at, equally wide. Unless given: of a pyramid those of
            stride 8 and more, otherwise the coarsest one of stride 16 or less.
        layers: Convolutions before the last one, for classes and for boxes each. The paper has 4,
            which are most of the work on a small backbone; with 2 few objects are lost.
        groups: Of each group normalisation after them. Unless given: as many as there are times 8
            channels, as in the paper, or of a width that 8 does not divide fewer channels each.
        ranges: The largest distances from a place to a side of its object, in pixels, at which
            maps take turns, from the finest on and one fewer than there are maps. Unless given:
            8 strides of each.
        radius: Places within so many strides of an object's middle learn to find it.
        weights: Factors of the losses `classification`, `box` and `centerness`, 1 unless given.
        score_threshold: Boxes of lower scores are left out. A score is the geometric mean of the
            class's probability and of centerness.
        candidates: Most boxes of each class that are compared with each other for this, the surest
            ones of an image.
        **selection: Those of `Selection`.

    Raises:
        ValueError: If the maps are not there or not equally wide, `groups` do not divide their
            width, `ranges` do not fit them, or a weight is for no loss.
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
        """Return what all places say.

        Raises:
            ConfigError: If the maps show more than the picture.
        """
        maps = [features[name] for name in self.maps]
        sizes = [(of_map.shape[-2], of_map.shape[-1]) for of_map in maps]
        check_sizes(sizes, self.strides, batch.frame.canvas)
        classes, boxes = self.head["classification_head"], self.head["regression_head"]
        # Group normalisation would take its mean and variance over the padding, too.
        of_classes, of_boxes = (
            [
                without_padding(tower, of_map, stride, batch.frame)
                for of_map, stride in zip(maps, self.strides, strict=True)
            ]
            for tower in (classes.conv, boxes.conv)
        )
        with full_precision(maps[0].device):  # bfloat16 has 4 pixels of error at 1,024
            logits = _flat(classes.cls_logits, of_classes)
            deltas = _flat(boxes.bbox_reg, of_boxes).relu()
            centerness = _flat(boxes.bbox_ctrness, of_boxes).squeeze(dim=2)
        places = places_of(sizes, self.strides, self.ranges, maps[0].device)
        there = inside(places.points, batch.frame.sizes)
        return Outputs(logits, deltas, centerness, places, there, batch.frame.sizes)

    def loss(self, outputs: Outputs, targets: Targets) -> dict[str, Tensor]:
        """Return the losses `classification`, `box` and `centerness`, weighted."""
        labels, wanted = [], []
        for boxes, classes, there in zip(
            targets["boxes"], targets["labels"], outputs.inside, strict=True
        ):
            matched = of_truth(outputs.places, boxes.float(), self.radius)
            objects = (matched >= 0) & there
            label = classes.new_full(matched.shape, -1)
            label[objects] = classes[matched[objects]]
            labels.append(label)
            wanted.append(boxes.float()[matched[objects]])
        return self._weighted(self._losses(outputs, torch.stack(labels), torch.cat(wanted)))

    def predict(self, outputs: Outputs) -> list[dict[str, Any]]:
        """Return of each image `boxes`, `labels` and `scores`, the best one first."""
        scores = (outputs.logits.sigmoid() * outputs.centerness.sigmoid()[..., None]).sqrt()
        boxes = self.box_coder.decode(outputs.deltas, outputs.places.boxes)
        return [
            self._best(of_boxes[there], of_scores[there], size)
            for of_boxes, of_scores, there, size in zip(
                boxes, scores, outputs.inside, outputs.sizes, strict=True
            )
        ]

    def _losses(self, outputs: Outputs, labels: Tensor, wanted: Tensor) -> dict[str, Tensor]:
        """Return the losses, each over the number of places that are to find an object.

        Args:
            outputs: What all places say.
            labels: (N, A) int64, the class that each is to find; -1 for none.
            wanted: The boxes that those with a class are to find, (P, 4).
        """
        objects = labels >= 0
        count = max(len(wanted), 1)
        classes = F.one_hot(labels.clamp(min=0), self.num_classes) * objects[..., None]
        there = outputs.inside
        classification = sigmoid_focal_loss(
            outputs.logits[there], classes[there].float(), reduction="sum"
        )
        squares = outputs.places.boxes.expand(len(labels), -1, -1)[objects]
        boxes = self.box_coder.decode(outputs.deltas[objects], squares)
        box = generalized_box_iou_loss(boxes, wanted, reduction="sum")
        centerness = F.binary_cross_entropy_with_logits(
            outputs.centerness[objects],
            _centerness(self.box_coder.encode(squares, wanted)),
            reduction="sum",
        )
        found = {"classification": classification, "box": box, "centerness": centerness}
        return {name: loss / count for name, loss in found.items()}


def _flat(layer: nn.Module, maps: Sequence[Tensor]) -> Tensor:
    """Return what a layer makes of all maps, (N, A, C) float32."""
    return torch.cat([layer(of_map.float()).flatten(2).mT for of_map in maps], dim=1)


def _centerness(distances: Tensor) -> Tensor:
    """Return how near to the middle places are, (P,) in [0, 1], by their distances (P, 4)."""
    across, along = distances[:, [0, 2]], distances[:, [1, 3]]
    shares = [pair.amin(dim=1) / pair.amax(dim=1) for pair in (across, along)]
    return (shares[0] * shares[1]).sqrt()


def _groups(channels: int, groups: int | None) -> int:
    """Return the number of groups.

    Raises:
        ValueError: If they do not divide the channels.
    """
    if groups is None:
        return channels // gcd(channels, WIDTH)
    if channels % groups:
        raise ValueError(f"groups {groups}: the maps have {channels} channels, no multiple of it")
    return groups


def _checked(strides: Sequence[int], ranges: Sequence[float] | None) -> tuple[float, ...]:
    """Return the distances at which maps take turns.

    Raises:
        ValueError: If they do not rise, or there are not as many as needed.
    """
    if ranges is None:
        ranges = [REACH * stride for stride in strides[:-1]]
    if len(ranges) != len(strides) - 1 or any(a >= b for a, b in pairwise(ranges)):
        raise ValueError(
            f"ranges {list(ranges)}: {len(strides) - 1} rising numbers, between the maps of "
            f"strides {', '.join(map(str, strides))}"
        )
    return tuple(map(float, ranges))
