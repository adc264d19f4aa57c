"""Region proposal network: class-agnostic boxes from anchors."""

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
from gvt.vision.padding import blanked, seen_frame

from .detections import inside, sizes_of
from .maps import check_sizes
from .types import Share

SCALES = (2, 4, 8, 16, 32)
"""Default sides of a single map's anchors in strides: those of a whole pyramid together."""

SCALE = 8
"""Default side of the anchors of each map of a pyramid, in strides."""


@dataclass(frozen=True)
class ProposalSettings:
    """Parameters of anchors, of the losses on them, and of proposals.

    Args:
        anchor_sizes: Sides of each map's anchors in pixels. By default 8 strides for each of
            several maps, and 2 to 32 strides for a single one.
        aspect_ratios: Ratios of height to width of the anchors.
        rpn_iou: Smallest IoU of a positive anchor, and IoU below which an anchor is negative.
        rpn_batch: Anchors of an image that are sampled for the losses.
        rpn_positive: Largest share of positives among them.
        rpn_nms: IoU above which the less likely of two proposals is dropped.
        proposals_train: Proposals of an image in training: for each map before non-maximum
            suppression, and for all maps after it.
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
    """The outputs for the A anchors of N images, before any is dropped; all float32.

    Attributes:
        objectness: (N * A, 1) logits.
        deltas: (N * A, 4), the encoded changes of the anchors.
        anchors: (A, 4), the same for every image.
        inside: (N, A), whether the centre of an anchor is in the image, not in its padding.
        boxes: (N, A, 4), the decoded boxes, detached.
        counts: Number of anchors of each map.
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
    """torchvision's region proposal network, in three parts, and without the padding.

    Ren et al. 2015, https://arxiv.org/abs/1506.01497. The outputs, the losses, and the proposals
    for training or prediction are computed by separate methods, in either mode.

    Args:
        channels: Channels of every map.
        strides: Strides of the maps.
        settings: Parameters of anchors, losses and proposals.
        ignore_padding: Whether the padding of a map is set to 0.

    Raises:
        ValueError: If the anchors do not fit the maps.
    """

    def __init__(
        self,
        channels: int,
        strides: Sequence[int],
        settings: ProposalSettings,
        ignore_padding: bool = True,
    ) -> None:
        sizes = settings.anchor_sizes
        anchors = _anchors(
            strides, _default_sizes(strides) if sizes is None else sizes, settings.aspect_ratios
        )
        iou, train, predict = settings.rpn_iou, settings.proposals_train, settings.proposals_predict
        if iou[0] < iou[1]:
            raise ValueError(f"rpn_iou {list(iou)}: the first, of positives, has to be the higher")
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
        self.strides, self.ignore_padding = tuple(strides), ignore_padding

    def forward(self, maps: Sequence[Tensor], frame: Frame) -> Proposals:
        """Return the outputs for all anchors.

        Args:
            maps: One map (N, C, h, w) for each stride.
            frame: Sizes of the images.

        Raises:
            ConfigError: If a map covers more than the image.
        """
        images = sizes_of(frame, len(maps[0]))
        sizes = [feature.shape[-2:] for feature in maps]
        check_sizes(sizes, self.strides, frame.canvas)
        device = maps[0].device
        pairs = zip(maps, self.strides, strict=True)
        seen = seen_frame(frame, self.ignore_padding)
        hidden = [self.head.conv(blanked(feature, stride, seen)) for feature, stride in pairs]
        with full_precision(device):  # bfloat16 has 4 pixels of error at 1,024
            objectness = [self.head.cls_logits(feature.float()) for feature in hidden]
            deltas = [self.head.bbox_pred(feature.float()) for feature in hidden]
            counts = [logits[0].numel() for logits in objectness]
            flat, flat_deltas = concat_box_prediction_layers(objectness, deltas)
            anchors = self._grid(sizes, device)
            boxes = self.box_coder.decode(flat_deltas.detach(), [anchors] * len(images))
        within = inside((anchors[:, :2] + anchors[:, 2:]) / 2, images)
        boxes = boxes.view(len(images), -1, 4)
        return Proposals(flat, flat_deltas, anchors, within, boxes, counts, images)

    def kept(self, outputs: Proposals, training: bool) -> list[Tensor]:
        """Return the proposals of each image, (M, 4) clipped to it, the most likely first.

        Args:
            outputs: The outputs for all anchors.
            training: Whether to return the number of proposals for training, or for prediction.
        """
        # Anchors in the padding come last, and without an area they are dropped.
        objectness = outputs.objectness.detach().view(outputs.inside.shape)
        objectness = objectness.masked_fill(~outputs.inside, -torch.inf)
        boxes = outputs.boxes.masked_fill(~outputs.inside[..., None], 0)
        with _mode(self, training):
            proposals: list[Tensor]
            proposals, _ = self.filter_proposals(boxes, objectness, outputs.sizes, outputs.counts)
        return proposals

    def losses(self, outputs: Proposals, truth: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Return the losses of objectness and of boxes.

        Args:
            outputs: The outputs for all anchors.
            truth: The true boxes of each image, (M, 4).
        """
        anchors = [outputs.anchors] * len(truth)
        labels, matched = [], []
        for within, boxes in zip(outputs.inside, truth, strict=True):
            # A label of -1 excludes an anchor from the losses.
            label = outputs.anchors.new_full((len(within),), -1)
            match = outputs.anchors.clone()
            assigned = self.assign_targets_to_anchors([outputs.anchors[within]], [{"boxes": boxes}])
            label[within], match[within] = assigned[0][0], assigned[1][0]
            labels.append(label)
            matched.append(match)
        deltas = self.box_coder.encode(matched, anchors)
        objectness, box = self.compute_loss(outputs.objectness, outputs.deltas, labels, deltas)
        return objectness, box

    def _grid(self, sizes: Sequence[Sequence[int]], device: torch.device) -> Tensor:
        """Return the anchors, (A, 4) float32, by the declared strides of the maps."""
        self.anchor_generator.set_cell_anchors(torch.float32, device)
        strides = [[stride, stride] for stride in self.strides]
        return torch.cat(self.anchor_generator.grid_anchors(sizes, strides))


class _Matcher(Matcher):
    """torchvision's `Matcher`; a box that no anchor touches makes none positive, instead of all."""

    def set_low_quality_matches_(
        self, matches: Tensor, all_matches: Tensor, match_quality_matrix: Tensor
    ) -> None:
        touched = match_quality_matrix.amax(dim=1) > 0
        super().set_low_quality_matches_(matches, all_matches, match_quality_matrix[touched])


def full_precision(device: torch.device) -> torch.autocast:
    """Return a context manager that disables autocast."""
    return torch.autocast(device.type, enabled=False)


@contextmanager
def _mode(module: torch.nn.Module, training: bool) -> Iterator[None]:
    """Set the mode of one module, without its children, within a context."""
    before = module.training
    module.training = training
    try:
        yield
    finally:
        module.training = before


def _default_sizes(strides: Sequence[int]) -> list[list[int]]:
    if len(strides) == 1:
        return [[scale * strides[0] for scale in SCALES]]
    return [[SCALE * stride] for stride in strides]


def _anchors(
    strides: Sequence[int], sizes: Sequence[Sequence[int]], ratios: Sequence[float]
) -> AnchorGenerator:
    """Build the generator of anchors, with the same number for every map.

    Raises:
        ValueError: If the lists of sizes are not one for each map, or differ in length, or an
            anchor, rounded to whole pixels, has no area.
    """
    if len(sizes) != len(strides):
        raise ValueError(
            f"anchor_sizes has {len(sizes)} lists for {len(strides)} maps, of strides "
            f"{', '.join(map(str, strides))}; give a list for each map"
        )
    size_lists = list(map(list, sizes))
    if len({*map(len, sizes)}) != 1 or not sizes[0] or not ratios:
        raise ValueError(
            "anchor_sizes and aspect_ratios: give at least one anchor, and the same number for "
            f"every map; got {size_lists} and {list(ratios)}"
        )
    anchors = AnchorGenerator(tuple(map(tuple, sizes)), (tuple(ratios),) * len(sizes))
    if any(bool((cells[:, 2:] <= cells[:, :2]).any()) for cells in anchors.cell_anchors):
        raise ValueError(
            f"anchor_sizes {size_lists} with aspect_ratios {list(ratios)}: an anchor is less than "
            "a pixel wide"
        )
    return anchors
