"""Proposals: boxes in which there may be an object of any class."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

import torch
from pydantic import PositiveFloat, PositiveInt
from torch import Tensor
from torchvision.models.detection._utils import Matcher
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.rpn import (
    RegionProposalNetwork,
    RPNHead,
    concat_box_prediction_layers,
)

from gvt import Frame
from gvt.vision.padding import blanked

from .detections import inside
from .maps import check_sizes
from .types import Share

SCALES = (2, 4, 8, 16, 32)
"""Sides of a single map's anchors, in its strides: what the maps of a pyramid have together."""

SCALE = 8
"""Side of the anchors of each map of a pyramid, in its strides."""


@dataclass(frozen=True)
class ProposalSettings:
    """How anchors are laid out and learned from, and which become proposals.

    Args:
        anchor_sizes: Of each map the sides of its anchors in pixels. Unless given: 8 strides on
            each of several maps, and 2 to 32 on a single one.
        aspect_ratios: Height over width of the anchors.
        rpn_iou: An anchor is positive from the first IoU on, and negative below the second.
        rpn_batch: Anchors of an image that the losses are taken of.
        rpn_positive: Largest share of positive ones among them.
        rpn_nms: IoU above which the less likely of two proposals is dropped.
        proposals_train: Proposals of an image in training: of each map before suppression, and
            of all after it.
        proposals_predict: The same for predictions.
    """

    anchor_sizes: tuple[tuple[PositiveInt, ...], ...] | None = None
    aspect_ratios: tuple[PositiveFloat, ...] = (0.5, 1.0, 2.0)
    rpn_iou: tuple[Share, Share] = (0.7, 0.3)
    rpn_batch: PositiveInt = 256
    rpn_positive: Share = 0.5
    rpn_nms: Share = 0.7
    proposals_train: tuple[PositiveInt, PositiveInt] = (2000, 2000)
    proposals_predict: tuple[PositiveInt, PositiveInt] = (1000, 1000)


class Proposals(NamedTuple):
    """What is thought of the A anchors of N images, before any is dropped; all float32.

    Attributes:
        objectness: (N * A, 1) logits.
        deltas: (N * A, 4), how the anchors are to be changed.
        anchors: (A, 4), the same ones for every image.
        inside: (N, A), whether an anchor's centre is in the image and not in its padding.
        boxes: (N, A, 4), the anchors changed, without a gradient.
        counts: How many of the anchors are of each map.
        sizes: Unpadded (H, W) of each image.
    """

    objectness: Tensor
    deltas: Tensor
    anchors: Tensor
    inside: Tensor
    boxes: Tensor
    counts: list[int]
    sizes: list[tuple[int, int]]


class ProposalNetwork(RegionProposalNetwork):
    """torchvision's region proposal network, in three parts and with the padding left out.

    Ren and others, 2015, https://arxiv.org/abs/1506.01497. What it computes, the losses and the
    proposals for training or for predicting are asked for one by one, in any mode.

    Args:
        channels: Channels of every map.
        strides: Of each map.
        settings: Its anchors, what it learns from, and what it proposes.

    Raises:
        ValueError: If the anchors do not fit the maps.
    """

    def __init__(self, channels: int, strides: Sequence[int], settings: ProposalSettings) -> None:
        sizes = settings.anchor_sizes
        anchors = _anchors(
            strides, _usual_sizes(strides) if sizes is None else sizes, settings.aspect_ratios
        )
        iou, train, predict = settings.rpn_iou, settings.proposals_train, settings.proposals_predict
        if iou[0] < iou[1]:
            raise ValueError(f"rpn_iou {list(iou)}: the first, of positives, is the higher one")
        super().__init__(
            anchors,
            RPNHead(channels, anchors.num_anchors_per_location()[0]),
            *iou,
            settings.rpn_batch,
            settings.rpn_positive,
            {"training": train[0], "testing": predict[0]},
            {"training": train[1], "testing": predict[1]},
            settings.rpn_nms,
        )
        self.proposal_matcher = _Matcher(*iou, allow_low_quality_matches=True)
        self.strides = tuple(strides)

    def forward(self, maps: Sequence[Tensor], frame: Frame) -> Proposals:
        """Return what is thought of all anchors.

        Args:
            maps: Of each stride a map (N, C, h, w).
            frame: Sizes of the images.

        Raises:
            ConfigError: If a map shows more than the picture.
        """
        sizes = [feature.shape[-2:] for feature in maps]
        check_sizes(sizes, self.strides, frame.canvas)
        device = maps[0].device
        pairs = zip(maps, self.strides, strict=True)
        hidden = [self.head.conv(blanked(feature, stride, frame)) for feature, stride in pairs]
        with full_precision(device):  # bfloat16 has 4 pixels of error at 1,024
            objectness = [self.head.cls_logits(of_map.float()) for of_map in hidden]
            deltas = [self.head.bbox_pred(of_map.float()) for of_map in hidden]
            counts = [of_map[0].numel() for of_map in objectness]
            flat, flat_deltas = concat_box_prediction_layers(objectness, deltas)
            anchors = self._grid(sizes, device)
            count = len(frame.sizes)
            boxes = self.box_coder.decode(flat_deltas.detach(), [anchors] * count)
        there = inside((anchors[:, :2] + anchors[:, 2:]) / 2, frame.sizes)
        per_image = boxes.view(count, -1, 4)
        return Proposals(flat, flat_deltas, anchors, there, per_image, counts, list(frame.sizes))

    def kept(self, found: Proposals, training: bool) -> list[Tensor]:
        """Return the proposals of each image, (M, 4) in it, the most likely first.

        Args:
            found: What is thought of all anchors.
            training: Whether as many are kept as for training, or as for predicting.
        """
        # Those of the padding take nobody's place, and without a size they are dropped.
        objectness = found.objectness.detach().view(found.inside.shape)
        objectness = objectness.masked_fill(~found.inside, -torch.inf)
        boxes = found.boxes.masked_fill(~found.inside[..., None], 0)
        with _mode(self, training):
            proposals: list[Tensor]
            proposals, _ = self.filter_proposals(boxes, objectness, found.sizes, found.counts)
        return proposals

    def losses(self, found: Proposals, truth: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Return the losses of objectness and of boxes.

        Args:
            found: What is thought of all anchors.
            truth: Of each image the boxes, (M, 4).
        """
        anchors = [found.anchors] * len(truth)
        labels, matched = [], []
        for there, boxes in zip(found.inside, truth, strict=True):
            # Labels below 0 are of anchors that count neither way.
            label = found.anchors.new_full((len(there),), -1)
            match = found.anchors.clone()
            of_inside = self.assign_targets_to_anchors([found.anchors[there]], [{"boxes": boxes}])
            label[there], match[there] = of_inside[0][0], of_inside[1][0]
            labels.append(label)
            matched.append(match)
        wanted = self.box_coder.encode(matched, anchors)
        objectness, box = self.compute_loss(found.objectness, found.deltas, labels, wanted)
        return objectness, box

    def _grid(self, sizes: Sequence[Sequence[int]], device: torch.device) -> Tensor:
        """Return the anchors, (A, 4) float32, by the maps' declared strides."""
        self.anchor_generator.set_cell_anchors(torch.float32, device)
        strides = [[stride, stride] for stride in self.strides]
        return torch.cat(self.anchor_generator.grid_anchors(sizes, strides))


class _Matcher(Matcher):
    """torchvision's, but a truth that no anchor touches makes none positive, instead of all."""

    def set_low_quality_matches_(
        self, matches: Tensor, all_matches: Tensor, match_quality_matrix: Tensor
    ) -> None:
        touched = match_quality_matrix.amax(dim=1) > 0
        super().set_low_quality_matches_(matches, all_matches, match_quality_matrix[touched])


def full_precision(device: torch.device) -> torch.autocast:
    """Return a context in which autocast is off."""
    return torch.autocast(device.type, enabled=False)


@contextmanager
def _mode(module: torch.nn.Module, training: bool) -> Iterator[None]:
    """Put one module, and none below it, into a mode for a while."""
    before = module.training
    module.training = training
    try:
        yield
    finally:
        module.training = before


def _usual_sizes(strides: Sequence[int]) -> list[list[int]]:
    if len(strides) == 1:
        return [[scale * strides[0] for scale in SCALES]]
    return [[SCALE * stride] for stride in strides]


def _anchors(
    strides: Sequence[int], sizes: Sequence[Sequence[int]], ratios: Sequence[float]
) -> AnchorGenerator:
    """Return a generator of anchors, of which every map has as many.

    Raises:
        ValueError: If there are not as many lists of sizes as maps, or not as many sizes in each;
            or an anchor, in whole pixels, has no area.
    """
    if len(sizes) != len(strides):
        raise ValueError(
            f"anchor_sizes has {len(sizes)} lists, and there are {len(strides)} maps, of strides "
            f"{', '.join(map(str, strides))}; give a list for each"
        )
    if len({len(of_map) for of_map in sizes}) != 1 or not sizes[0] or not ratios:
        raise ValueError(
            "anchor_sizes and aspect_ratios give every map at least one anchor, and as many as "
            f"the others; they are {[list(of_map) for of_map in sizes]} and {list(ratios)}"
        )
    anchors = AnchorGenerator(
        tuple(tuple(of_map) for of_map in sizes), (tuple(ratios),) * len(sizes)
    )
    if any(bool((cells[:, 2:] <= cells[:, :2]).any()) for cells in anchors.cell_anchors):
        raise ValueError(
            f"anchor_sizes {[list(of_map) for of_map in sizes]} with aspect_ratios "
            f"{list(ratios)}: an anchor is less than a pixel wide"
        )
    return anchors
