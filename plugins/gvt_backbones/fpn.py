"""Feature pyramid network on any backbone."""

from __future__ import annotations

from pydantic import PositiveInt
from torch import Tensor, nn
from torchvision.ops import FeaturePyramidNetwork
from torchvision.ops.feature_pyramid_network import ExtraFPNBlock, LastLevelMaxPool

from gvt import Backbone

from .splitting import twin


class FPN(Backbone):
    """Feature pyramid network: coarser maps are added to finer ones, all of equal width.

    Lin et al. 2017, https://arxiv.org/abs/1612.03144; `torchvision.ops.FeaturePyramidNetwork`. The
    maps keep their names, sizes and strides.

    Args:
        backbone: The backbone whose maps are combined.
        channels: Channels of every map.
        stages: Names of the maps to use, all by default; the paper leaves out strides below 4.
        pool: Whether to add the map `pool`, every second pixel of the coarsest map, for large
            objects.

    Raises:
        ValueError: If the backbone has no such map.
    """

    def __init__(
        self,
        backbone: Backbone,
        channels: PositiveInt = 256,
        stages: tuple[str, ...] | None = None,
        pool: bool = False,
    ) -> None:
        super().__init__()
        below = backbone.feature_info
        if stages is not None and (not stages or not {*stages} <= {*below}):
            raise ValueError(f"stages {list(stages)}: the backbone has {', '.join(below)}")
        self.backbone = backbone
        self.names = [name for name in below if stages is None or name in stages]
        self.feature_info = {name: (channels, below[name][1]) for name in self.names}
        extra: ExtraFPNBlock | None = None
        if pool:
            extra = LastLevelMaxPool()
            self.feature_info["pool"] = (channels, 2 * below[self.names[-1]][1])
        widths = [below[name][0] for name in self.names]
        self.pyramid = FeaturePyramidNetwork(widths, channels, extra)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Return the maps of the pyramid, the finest first."""
        features = self.backbone(images)
        maps: dict[str, Tensor] = self.pyramid({name: features[name] for name in self.names})
        return maps

    def split(self, stage: str) -> tuple[Backbone, nn.Module]:
        """Return the backbone below up to one of its maps, and its rest with the pyramid."""
        rest = twin(self)
        trunk, rest.backbone = self.backbone.split(stage)  # type: ignore[assignment]
        return trunk, rest
