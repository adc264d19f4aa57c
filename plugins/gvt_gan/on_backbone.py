"""A discriminator built from a backbone and heads."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import PositiveFloat
from torch import Tensor, nn

from gvt import (
    Backbone,
    Batch,
    ConfigError,
    Discriminator,
    Head,
    MultiHead,
    Targets,
    Task,
)
from gvt.heads import taught
from gvt.predictions import short_name

from .ranges import Range, between
from .realness import Realness


class OnBackbone(Discriminator):
    """Any backbone with a head that predicts real or fake, and optionally further heads.

    All heads share one pass of the backbone. With a classifier as further head and a conditional
    generator, it is the discriminator of an auxiliary classifier GAN (Odena et al. 2017,
    https://arxiv.org/abs/1610.09585).

    Args:
        backbone: Images in [0, 1] to feature maps.
        realness: Feature maps to logits (N,); by default the head `realness` on the coarsest map.
        heads: Further heads by name, on the same maps. They learn from the real images with the
            targets that they need. A head that needs only `class` also learns from the fakes of a
            conditional generator.
        weights: Factor of each further head's losses, 1 by default.
        data_range: Pixel values of black and white in the input images; by default those of the
            data, or [-1, 1] without data.

    Raises:
        ValueError: If a weight does not belong to a further head, or the backbone reads anything
            but images.
    """

    def __init__(
        self,
        backbone: Backbone,
        realness: Head | None = None,
        heads: dict[str, Head] | None = None,
        weights: dict[str, PositiveFloat] | None = None,
        data_range: Range | None = None,
    ) -> None:
        super().__init__()
        heads, weights = heads or {}, weights or {}
        if unknown := sorted(weights.keys() - heads.keys()):
            raise ValueError(
                f"weights for {', '.join(unknown)}; the further heads are "
                f"{', '.join(sorted(heads)) or 'none'}"
            )
        if (reads := tuple(getattr(backbone, "reads", ("image",)))) != ("image",):
            raise ValueError(
                f"a discriminator sees images, and {type(backbone).__name__} reads "
                f"{', '.join(reads)}; use another backbone"
            )
        self.backbone = backbone
        self.realness = realness or Realness(backbone.feature_info)
        self.heads = nn.ModuleDict(heads)
        self.weights = {name: weights.get(name, 1.0) for name in heads}
        self.data_range = (-1.0, 1.0) if data_range is None else data_range
        self._is_sharded = False
        self.tells = tuple(dict.fromkeys(key for head in heads.values() for key in head.needs))

    @staticmethod
    def gvt_example(folder: Path) -> dict[str, Any]:
        """Return example parameters: no further heads, since the logits alone do not train them."""
        return {"heads": None}

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return logits (N,) for images (N, C, H, W) in the data range."""
        return self.judge(images, None)[0]

    def judge(self, images: Tensor, targets: Targets | None) -> tuple[Tensor, dict[str, Tensor]]:
        """Return logits (N,), and the further heads' weighted losses by name; see `Judge.judge`.

        Losses of a single further head keep their names; those of several are `head/name`.

        Raises:
            ConfigError: If the head `realness` does not return one logit for each image.
        """
        # The only place where images are mapped from the data range to that of backbones.
        batch = Batch.of_images(between(self.data_range, (0.0, 1.0), images), targets=targets)
        features = self.backbone(batch.images)
        logits = self._logits(features, batch)
        if self._is_sharded:  # every map gets a gradient, also where no head learns from it
            logits = logits + sum(f.reshape(-1)[:0].sum() for f in features.values())
        losses: dict[str, Tensor] = {}
        for name, head in self.heads.items():
            lesson = taught(head, features, batch)
            if lesson is None:
                continue
            head_losses = head.loss(head(*lesson[:2]), lesson[2])
            losses |= {
                short_name(name, self.heads, key): self.weights[name] * loss
                for key, loss in head_losses.items()
            }
        return logits, losses

    def shard(self, mesh: Any) -> None:
        """Shard the backbone, not the heads: only some processes may have targets for them."""
        from torch.distributed.fsdp import fully_shard

        fully_shard(self.backbone, mesh=mesh)
        self._is_sharded = True

    def supervised(self) -> Task | None:
        """Return a task of the backbone and the further heads; None if there are none."""
        heads = dict(self.heads.items())
        return MultiHead(self.backbone, heads, self.weights) if heads else None

    def _logits(self, features: Mapping[str, Tensor], batch: Batch) -> Tensor:
        logits: Any = self.realness(features, batch)
        shape = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        # Outputs of another shape would be trained towards 1 or 0 without an error.
        if shape != (len(batch),):
            raise ConfigError(
                f"discriminator.realness: {type(self.realness).__name__} returned {shape} for "
                f"{len(batch)} images, but should return one logit for each, {(len(batch),)}; "
                "remove it, or choose a head such as realness"
            )
        return logits

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """Compile the backbone and the heads, since `judge` bypasses the call of this module."""
        for module in (self.backbone, self.realness, *self.heads.values()):
            module.compile(*args, **kwargs)
