"""SSD: default boxes on several maps, each with a class and what it is to become."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, NamedTuple

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
from gvt.vision.padding import blanked

from .detections import inside
from .detector import Detector, Selection
from .maps import check_sizes, of_each_stride
from .rpn import full_precision
from .types import Share

FINEST = 8
"""Stride of the finest map unless others are asked for, as in the paper."""

SCALE = 4
"""Side of the default boxes of a map in its strides, about that of the paper."""

CODER = (10.0, 10.0, 5.0, 5.0)
"""Factors of what boxes are to become, as in the authors' code."""


class Outputs(NamedTuple):
    """What is thought of the A default boxes of N images; all float32.

    Attributes:
        logits: (N, A, 1 + K), of the background first.
        deltas: (N, A, 4), how they are to be changed.
        boxes: (A, 4), the same ones for every image.
        inside: (N, A), whether a box's cell is in the image and not in its padding.
        sizes: Unpadded (H, W) of each image.
    """

    logits: Tensor
    deltas: Tensor
    boxes: Tensor
    inside: Tensor
    sizes: tuple[tuple[int, int], ...]


class SSD(Detector):
    """Objects in one stage, from default boxes on several maps, by torchvision's own parts.

    Liu and others, 2016, https://arxiv.org/abs/1512.02325. Maps may be of any widths, and coarser
    ones are added by convolutions. Default boxes have sizes in pixels, so that those of an image
    do not depend on what it is padded to. Losses and predictions are those of torchvision's SSD,
    but that an image without an object teaches what is none, and that an object which no default
    box touches is not forced on one. Nothing is learned from or found in the padding of images.

    Args:
        feature_info: Of each feature map its (channels, stride).
        num_classes: Number of classes.
        maps: Names of the maps to look at. Unless given: those of stride 8 and more, or the
            coarsest one if there is none.
        extra: Maps that are added, each of twice the stride of the one before, by a convolution
            of 1 x 1 and one of 3 x 3.
        extra_channels: Of each of them.
        sizes: Side of the default boxes of each map in pixels, those that are added included, and
            last the side that the next map would have, each larger than the one before. Unless
            given: 4 strides.
        aspect_ratios: Of each map the ratios of its default boxes' longer side to the shorter,
            besides two squares. Unless given: 2 on the finest one, 2 and 3 on the others.
        iou: A default box is positive from it on; the best one of each object always is.
        negatives: So many negatives, the hardest ones, count for each positive of an image.
        weights: Factors of the losses `classification` and `box`, 1 unless given.
        candidates: Most boxes of each class that are compared with each other for this, the surest
            ones of an image.
        **selection: Those of `Selection`.

    Raises:
        ValueError: If the maps are not there, `sizes` or `aspect_ratios` do not fit them, or a
            weight is for no loss.
    """

    losses: tuple[str, ...] = ("classification", "box")

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
        **selection: Annotated[Any, PassedTo(Selection)],
    ) -> None:
        super().__init__(
            num_classes, weights, Selection(score_threshold=score_threshold, nms=nms, **selection)
        )
        self.negatives, self.candidates = negatives, candidates
        self.maps = of_each_stride(feature_info, maps, FINEST)
        widths, strides = map(list, zip(*(feature_info[name] for name in self.maps), strict=True))
        self.extra = nn.ModuleList()
        for _ in range(extra):
            self.extra.append(_coarser(widths[-1], extra_channels))
            widths.append(extra_channels)
            strides.append(2 * strides[-1])
        self.strides = tuple(strides)
        self.anchor_generator = _default_boxes(self.strides, sizes, aspect_ratios)
        self.boxes_of_cell = self.anchor_generator.num_anchors_per_location()
        self.head = SSDHead(widths, self.boxes_of_cell, num_classes + 1)
        self.box_coder = BoxCoder(CODER)
        self.matcher = _Matcher(iou, iou)

    @staticmethod
    def gvt_example(folder: Path) -> dict[str, Any]:
        """Return a narrow one to try."""
        return {"extra_channels": 16}

    def forward(self, features: Mapping[str, Tensor], batch: Batch) -> Outputs:
        """Return what is thought of all default boxes.

        Raises:
            ConfigError: If the maps show more than the picture.
        """
        frame, strides = batch.frame, iter(self.strides)
        maps = [blanked(features[name], next(strides), frame) for name in self.maps]
        for (narrow, halved), stride in zip(self.extra, strides, strict=True):
            within = blanked(narrow(maps[-1]), stride // 2, frame)
            maps.append(blanked(halved(within), stride, frame))
        check_sizes([of_map.shape[-2:] for of_map in maps], self.strides, batch.frame.canvas)
        with full_precision(maps[0].device):  # bfloat16 has 4 pixels of error at 1,024
            maps = [of_map.float() for of_map in maps]
            found = self.head(maps)
            # Of an image of one pixel, so that sizes in pixels stay what they are.
            pixel = ImageList(maps[0].new_empty(1, 1, 1, 1), [(1, 1)])
            boxes = self.anchor_generator(pixel, maps)[0]
        there = inside(self._corners(maps), batch.frame.sizes)
        logits, deltas = found["cls_logits"], found["bbox_regression"]
        return Outputs(logits, deltas, boxes, there, batch.frame.sizes)

    def loss(self, outputs: Outputs, targets: Targets) -> dict[str, Tensor]:
        """Return the losses `classification` and `box`, weighted."""
        labels, deltas, wanted = [], [], []
        for row, (boxes, classes) in enumerate(
            zip(targets["boxes"], targets["labels"], strict=True)
        ):
            there = outputs.inside[row]
            matched = torch.full_like(there, -1, dtype=torch.int64)
            if len(boxes):
                matched[there] = self.matcher(box_iou(boxes.float(), outputs.boxes[there]))
            objects = matched >= 0
            label = torch.zeros_like(matched)
            label[objects] = classes[matched[objects]] + 1
            own = boxes.float()[matched[objects]]
            labels.append(label)
            deltas.append(outputs.deltas[row, objects])
            wanted.append(self.box_coder.encode_single(own, outputs.boxes[objects]))
        box = F.smooth_l1_loss(torch.cat(deltas), torch.cat(wanted), reduction="sum")
        classification = self._classification(outputs, torch.stack(labels))
        count = max(sum(map(len, wanted)), 1)
        return self._weighted({"classification": classification / count, "box": box / count})

    def predict(self, outputs: Outputs) -> list[dict[str, Any]]:
        """Return of each image `boxes`, `labels` and `scores`, the best one first."""
        scores = outputs.logits.softmax(dim=2)[..., 1:]
        return [
            self._best(
                self.box_coder.decode_single(of_deltas[there], outputs.boxes[there]),
                of_scores[there],
                size,
            )
            for of_deltas, of_scores, there, size in zip(
                outputs.deltas, scores, outputs.inside, outputs.sizes, strict=True
            )
        ]

    def _classification(self, outputs: Outputs, labels: Tensor) -> Tensor:
        """Return the sum of the cross entropy of all positives and the hardest negatives.

        Args:
            outputs: What is thought of all default boxes.
            labels: (N, A) int64, 0 is the background.
        """
        losses = F.cross_entropy(outputs.logits.flatten(0, 1), labels.flatten(), reduction="none")
        losses = losses.view(labels.shape)
        positive = labels > 0
        # Without a positive it would teach nothing, and false detections on it stay for good.
        counts = self.negatives * positive.sum(dim=1, keepdim=True).clamp(min=1)
        negative = outputs.inside & ~positive
        hardness = losses.detach().masked_fill(~negative, -torch.inf)
        ranks = hardness.argsort(dim=1, descending=True, stable=True).argsort(dim=1)
        return losses[positive | (negative & (ranks < counts))].sum()

    def _corners(self, maps: Sequence[Tensor]) -> Tensor:
        """Return the left upper corner of each default box's cell, (A, 2), x and y in pixels."""
        corners = []
        for of_map, stride, count in zip(maps, self.strides, self.boxes_of_cell, strict=True):
            y, x = (torch.arange(side, device=of_map.device) * stride for side in of_map.shape[-2:])
            grid = torch.stack(torch.meshgrid(y, x, indexing="ij")[::-1], dim=-1).flatten(0, 1)
            corners.append(grid.repeat_interleave(count, dim=0))
        return torch.cat(corners).float()


class _Matcher(Matcher):
    """torchvision's, and of each object the default box that it overlaps most."""

    def __call__(self, ious: Tensor) -> Tensor:
        """Return of A boxes which of M objects each is matched with, (A,), below 0 for none.

        Args:
            ious: (M, A).
        """
        matches = super().__call__(ious)
        best, which = ious.max(dim=1, keepdim=True)
        # Of two objects with the same best box, the one that overlaps it more.
        forced, whose = torch.zeros_like(ious).scatter_(1, which, best).max(dim=0)
        return whose.where(forced > 0, matches)


def _coarser(before: int, channels: int) -> nn.Sequential:
    """Return what makes a map of twice the stride, without normalisation as in the paper."""
    narrow = max(channels // 2, 1)
    block = nn.Sequential(
        Conv2dNormActivation(before, narrow, 1, norm_layer=None),
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
    """Return a generator of default boxes.

    Raises:
        ValueError: If sizes or ratios are not as many as needed, or sizes do not rise.
    """
    told = ", ".join(map(str, strides))
    if sizes is None:
        sizes = [SCALE * stride for stride in (*strides, 2 * strides[-1])]
    if len(sizes) != len(strides) + 1 or any(a >= b for a, b in pairwise(sizes)):
        raise ValueError(
            f"sizes {list(sizes)}: {len(strides) + 1} rising numbers, one of each map of strides "
            f"{told} and one more"
        )
    if ratios is None:
        ratios = [(2.0,), *((2.0, 3.0) for _ in strides[1:])]
    if len(ratios) != len(strides):
        raise ValueError(
            f"aspect_ratios has {len(ratios)} lists, and there are {len(strides)} maps, of "
            f"strides {told}; give a list for each"
        )
    return DefaultBoxGenerator(
        [list(of_map) for of_map in ratios], scales=list(sizes), steps=list(strides), clip=False
    )
