"""Faster R-CNN: proposals, and of each its class and its box."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from torch import Tensor

from gvt import Batch, PassedTo, Targets

from .regions import RegionDetector, RegionSettings
from .rpn import ProposalNetwork, Proposals, ProposalSettings


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


@dataclass(frozen=True)
class FasterRCNNSettings(RegionSettings, ProposalSettings):
    """How anchors become proposals, and how these are judged."""


class FasterRCNN(RegionDetector):
    """Proposals from anchors, and of each its class and its box, by torchvision's own parts.

    Ren and others, 2015, https://arxiv.org/abs/1506.01497, on one map or on a pyramid (Lin and
    others, 2017, https://arxiv.org/abs/1612.03144). Weights have torchvision's names and shapes.
    Losses and predictions are those of torchvision's FasterRCNN, and nothing is learned from or
    found in the padding of images.

    Args:
        weights: Factors of the losses `objectness`, `rpn_box`, `classification` and `box`, 1
            unless given.
        **settings: Those of `FasterRCNNSettings`.

    Raises:
        ValueError: If the maps are not there or not equally wide, the anchors do not fit them,
            or a weight is for no loss.
    """

    losses = ("objectness", "rpn_box", *RegionDetector.losses)

    def __init__(
        self,
        feature_info: Mapping[str, tuple[int, int]],
        num_classes: int,
        **settings: Annotated[Any, PassedTo(FasterRCNNSettings)],
    ) -> None:
        both = FasterRCNNSettings(**settings)
        super().__init__(feature_info, num_classes, both)
        self.rpn = ProposalNetwork(self.channels, self.strides, both)
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
