"""Faster R-CNN: detection in two stages, with proposals from anchors."""

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
    """The outputs that losses and predictions are computed from.

    Attributes:
        maps: The feature maps to pool, (N, C, h, w) float32.
        proposals: The outputs for all anchors.
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
    """Parameters of both stages."""


class FasterRCNN(RegionDetector):
    """Faster R-CNN on any backbone, built from torchvision's layers.

    Ren et al. 2015, https://arxiv.org/abs/1506.01497, on one map or on a pyramid (Lin et al.
    2017, https://arxiv.org/abs/1612.03144). Weights have torchvision's names and shapes. Losses
    and predictions are those of torchvision's FasterRCNN; padding is ignored in training and
    prediction.

    Args:
        weights: Factors of the losses `objectness`, `rpn_box`, `classification` and `box`, 1 by
            default.
        **settings: Parameters of `FasterRCNNSettings`.

    Raises:
        ValueError: If the backbone lacks a map, the maps differ in channels, the anchors do not
            fit them, or `weights` names an unknown loss.
    """

    losses = ("objectness", "rpn_box", *RegionDetector.losses)

    def __init__(
        self,
        feature_info: Mapping[str, tuple[int, int]],
        num_classes: int,
        **settings: Annotated[Any, PassedTo(FasterRCNNSettings)],
    ) -> None:
        parameters = FasterRCNNSettings(**settings)
        super().__init__(feature_info, num_classes, parameters)
        self.rpn = ProposalNetwork(
            self.channels, self.strides, parameters, parameters.ignore_padding
        )
        self.roi_heads = self.region_heads(feature_info)

    @staticmethod
    def gvt_example(folder: Path) -> dict[str, Any]:
        """Return parameters of a small example, for the conformance kit."""
        return {"hidden": 32}

    def forward(self, features: Mapping[str, Tensor], batch: Batch) -> Outputs:
        """Return the outputs for all anchors, and the maps that regions are pooled from.

        Raises:
            ConfigError: If a map covers more than the image.
        """
        proposals = self.rpn([features[name] for name in self.maps], batch.frame)
        maps = {name: features[name].float() for name in self.roi_heads.box_roi_pool.featmap_names}
        return Outputs(maps, proposals, batch.frame.canvas)

    def loss(self, outputs: Outputs, targets: Targets) -> dict[str, Tensor]:
        """Return the losses `objectness`, `rpn_box`, `classification` and `box`, weighted."""
        truth = self._truth(targets)
        objectness, rpn_box = self.rpn.losses(outputs.proposals, [t["boxes"] for t in truth])
        proposals = self.rpn.kept(outputs.proposals, training=True)
        losses = {"objectness": objectness, "rpn_box": rpn_box}
        losses |= self.region_losses(outputs, self._sampled(proposals, truth), truth)
        return self._weighted(losses)

    def predict(self, outputs: Outputs) -> list[dict[str, Any]]:
        """Return the `boxes`, `labels` and `scores` of each image, by descending score."""
        return self._detected(outputs, self.rpn.kept(outputs.proposals, training=False))
