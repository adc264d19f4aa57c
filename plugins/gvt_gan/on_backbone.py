"""A discriminator out of a backbone and heads."""

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
    Frame,
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
    """Any backbone, with a head on it that says whether an image is real, and perhaps others.

    One pass of the backbone serves all heads. With a classifier among them, and a generator that
    draws by class, it is that of the auxiliary classifier GAN (Odena and others 2017,
    https://arxiv.org/abs/1610.09585).

    Args:
        backbone: Images in [0, 1] to feature maps.
        realness: Feature maps to logits (N,); the head `realness`, on the coarsest map, unless
            given.
        heads: Further heads by names of one's own, on the same maps. They learn from the reals
            that carry what they need, and a head that needs only `class` also from fakes of a
            wanted class.
        weights: Factor of each further head's losses, 1 unless given.
        data_range: What stands for black and for white in the images that it is given; that of
            the data, or [-1, 1] where nobody says.

    Raises:
        ValueError: If a weight is for none of the further heads.
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
        self.backbone = backbone
        self.realness = realness or Realness(backbone.feature_info)
        self.heads = nn.ModuleDict(heads)
        self.weights = {name: weights.get(name, 1.0) for name in heads}
        self.data_range = (-1.0, 1.0) if data_range is None else data_range
        self.tells = tuple(dict.fromkeys(key for head in heads.values() for key in head.needs))

    @staticmethod
    def gvt_example(folder: Path) -> dict[str, Any]:
        """Return how to try it: without further heads, which its logits alone do not teach."""
        return {"heads": None}

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return logits (N,) for images (N, C, H, W) in the data's range."""
        return self.judge(images, None)[0]

    def judge(self, images: Tensor, targets: Targets | None) -> tuple[Tensor, dict[str, Tensor]]:
        """Return logits (N,), and the further heads' weighted losses by name; see `Judge.judge`.

        With one further head losses bear their own names, with several `head/name`.

        Raises:
            ConfigError: If the head `realness` does not give one logit an image.
        """
        size = (int(images.shape[-2]), int(images.shape[-1]))
        batch = Batch(
            # Here, and nowhere else, the data's range becomes that of backbones.
            between(self.data_range, (0.0, 1.0), images),
            Frame((size,) * len(images), size),
            targets=targets,
        )
        features = self.backbone(batch.images)
        logits = self._logits(features, batch)
        losses: dict[str, Tensor] = {}
        for name, head in self.heads.items():
            lesson = taught(head, features, batch)
            if lesson is None:
                continue
            found = head.loss(head(*lesson[:2]), lesson[2])
            losses |= {
                short_name(name, self.heads, key): self.weights[name] * loss
                for key, loss in found.items()
            }
        return logits, losses

    def supervised(self) -> Task | None:
        """Return the further heads on the backbone as a task of their own; None without any."""
        heads = dict(self.heads.items())
        return MultiHead(self.backbone, heads, self.weights) if heads else None

    def _logits(self, features: Mapping[str, Tensor], batch: Batch) -> Tensor:
        logits: Any = self.realness(features, batch)
        given = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        # Anything of another shape would be trained to be 1 or 0 throughout, and nobody told.
        if given != (len(batch),):
            raise ConfigError(
                f"discriminator.realness: {type(self.realness).__name__} gives {given} for "
                f"{len(batch)} images, where a logit of each, {(len(batch),)}, is wanted; leave it "
                "out, or choose a head such as realness"
            )
        return logits

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """Compile the networks in it, since `judge` goes around the call of the whole."""
        for network in (self.backbone, self.realness, *self.heads.values()):
            network.compile(*args, **kwargs)
