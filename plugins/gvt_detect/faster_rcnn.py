"""Faster R-CNN: proposals, and of each its class and its box."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from pydantic import PositiveFloat, PositiveInt
from torch import Tensor

from gvt import Batch, PassedTo, Targets

from .regions import RegionDetector
from .rpn import ProposalNetwork, Proposals
from .types import Share

SCALES = (2, 4, 8, 16, 32)
"""Sides of a single map's anchors, in its strides: what the maps of a pyramid have together."""

SCALE = 8
"""Side of the anchors of each map of a pyramid, in its strides."""


class Outputs(NamedTuple):
    """What is computed once for both losses and predictions.

    Attributes:
        maps: Those that regions are pooled from, (N, C, h, w) float32.
        proposals: What is thought of all anchors.
        canvas: Padded (H, W) of all images.
    """

    maps: dict[str, Tensor]
    proposals: Proposals
    canvas: tuple[int, int]

    @property
    def sizes(self) -> list[tuple[int, int]]:
        """Unpadded (H, W) of each image."""
        return self.proposals.sizes


class FasterRCNN(RegionDetector):
    """Proposals from anchors, and of each its class and its box, by torchvision's own parts.

    Ren and others, 2015, https://arxiv.org/abs/1506.01497, on one map or on a pyramid (Lin and
    others, 2017, https://arxiv.org/abs/1612.03144). Weights have torchvision's names and shapes.
    Losses and predictions are those of torchvision's FasterRCNN, and nothing is learned from or
    found in the padding of images.

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
        weights: Factors of the losses `objectness`, `rpn_box`, `classification` and `box`, 1
            unless given.

    Raises:
        ValueError: If the maps are not there or not equally wide, the anchors do not fit them,
            or a weight is for no loss.
    """

    losses = ("objectness", "rpn_box", *RegionDetector.losses)

    def __init__(
        self,
        feature_info: Mapping[str, tuple[int, int]],
        num_classes: int,
        anchor_sizes: tuple[tuple[PositiveInt, ...], ...] | None = None,
        aspect_ratios: tuple[PositiveFloat, ...] = (0.5, 1.0, 2.0),
        rpn_iou: tuple[Share, Share] = (0.7, 0.3),
        rpn_batch: PositiveInt = 256,
        rpn_positive: Share = 0.5,
        rpn_nms: Share = 0.7,
        proposals_train: tuple[PositiveInt, PositiveInt] = (2000, 2000),
        proposals_predict: tuple[PositiveInt, PositiveInt] = (1000, 1000),
        **regions: Annotated[Any, PassedTo(RegionDetector)],
    ) -> None:
        super().__init__(feature_info, num_classes, **regions)
        self.rpn = ProposalNetwork(
            self.channels,
            self.strides,
            _usual_sizes(self.strides) if anchor_sizes is None else anchor_sizes,
            aspect_ratios,
            iou=rpn_iou,
            batch=rpn_batch,
            positive=rpn_positive,
            nms=rpn_nms,
            training=proposals_train,
            testing=proposals_predict,
        )
        self.roi_heads = self.region_heads(feature_info)

    @staticmethod
    def gvt_example(folder: Path) -> dict[str, Any]:
        """Return a narrow one to try."""
        return {"hidden": 32}

    def forward(self, features: Mapping[str, Tensor], batch: Batch) -> Outputs:
        """Return what is thought of all anchors, and the maps that regions are pooled from.

        Raises:
            ConfigError: If the maps show more than the picture.
        """
        proposals = self.rpn([features[name] for name in self.maps], batch.frame)
        maps = {name: features[name].float() for name in self.roi_heads.box_roi_pool.featmap_names}
        return Outputs(maps, proposals, batch.frame.canvas)

    def loss(self, outputs: Outputs, targets: Targets) -> dict[str, Tensor]:
        """Return the losses `objectness`, `rpn_box`, `classification` and `box`, weighted."""
        truth = self._truth(targets)
        objectness, rpn_box = self.rpn.losses(outputs.proposals, [t["boxes"] for t in truth])
        proposals = self.rpn.kept(outputs.proposals, training=True)
        found = {"objectness": objectness, "rpn_box": rpn_box}
        found |= self.region_losses(outputs, self._sampled(proposals, truth), truth)
        return self._weighted(found)

    def predict(self, outputs: Outputs) -> list[dict[str, Any]]:
        """Return of each image `boxes`, `labels` and `scores`, the best one first."""
        return self._found(outputs, self.rpn.kept(outputs.proposals, training=False))


def _usual_sizes(strides: Sequence[int]) -> list[list[int]]:
    if len(strides) == 1:
        return [[scale * strides[0] for scale in SCALES]]
    return [[SCALE * stride] for stride in strides]
