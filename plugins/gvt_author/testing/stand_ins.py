"""What a component under test is put together with: tiny networks, and pictures with targets."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gvt import (
    IGNORED,
    Backbone,
    Batch,
    Discriminator,
    Generator,
    Head,
    Phase,
    Placement,
    Record,
    Sample,
    Step,
    Targets,
    Task,
    random_source,
)
from gvt.data import Streamed

Shape = tuple[int, int, int]

CLASSES = 3
TARGETS = ("class", "boxes", "labels", "masks", "semantic")
"""The target keys that `Pictures` can make."""

OBJECTS = (2, 1, 0, 3)
"""How many objects the pictures have, in turn."""


class TinyBackbone(Backbone):
    """Convolutions of stride 2: `stage1` to `stage4`, of strides 2 to 16."""

    def __init__(self, image_shape: Shape, widths: Sequence[int] = (4, 8, 12, 16)) -> None:
        super().__init__()
        before = image_shape[0]
        self.stages, self.feature_info = nn.ModuleDict(), {}
        for number, width in enumerate(widths, start=1):
            self.stages[f"stage{number}"] = nn.Conv2d(before, width, 3, stride=2, padding=1)
            self.feature_info[f"stage{number}"] = (width, 2**number)
            before = width

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Return the map of every stage."""
        features = {}
        for name, stage in self.stages.items():
            images = features[name] = stage(images).tanh()
        return features


class TinyHead(Head):
    """One dense layer on the coarsest map, cross entropy."""

    needs = ("class",)

    def __init__(self, feature_info: Mapping[str, tuple[int, int]]) -> None:
        super().__init__()
        self.feature, (channels, _) = list(feature_info.items())[-1]
        self.layer = nn.Linear(channels, CLASSES)

    def forward(self, features: Mapping[str, Tensor], batch: Batch) -> Tensor:
        """Return logits."""
        logits: Tensor = self.layer(features[self.feature].mean(dim=(2, 3)))
        return logits

    def loss(self, outputs: Tensor, targets: Targets) -> dict[str, Tensor]:
        """Return the cross entropy."""
        return {"cross_entropy": F.cross_entropy(outputs.float(), targets["class"])}

    def predict(self, outputs: Tensor) -> list[dict[str, Any]]:
        """Return the classes."""
        return [{"class": number} for number in outputs.argmax(dim=1)]


class TinyGenerator(Generator):
    """One dense layer and tanh."""

    latent_shape = (4,)

    def __init__(self, image_shape: Shape) -> None:
        super().__init__()
        self.image_shape = image_shape
        self.layer = nn.Linear(4, math.prod(image_shape))

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return images."""
        values: Tensor = self.layer(z)
        return values.tanh().view(-1, *self.image_shape)


class TinyDiscriminator(Discriminator):
    """One dense layer."""

    def __init__(self, image_shape: Shape) -> None:
        super().__init__()
        self.layer = nn.Linear(math.prod(image_shape), 1)

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return logits."""
        logits: Tensor = self.layer(images.flatten(1))
        return logits.squeeze(1)


class Probe(Task):
    """Trains a network that brings no loss of its own, on what `judge` makes of it.

    A further factor is trained with it, so that a network may be all frozen, or have no weights.
    """

    phases = (Phase("probe", trains=("network", "factor")),)

    def __init__(self, network: nn.Module, judge: Callable[[Any, Batch, Step], Tensor]) -> None:
        super().__init__()
        self.network, self.judge = network, judge
        self.factor = nn.Linear(1, 1, bias=False)
        nn.init.ones_(self.factor.weight)

    def forward(self, phase: str, batch: Batch, step: Step) -> dict[str, Tensor]:
        """Return what is thought of the network's output."""
        value = self.judge(self.network, batch, step)
        return {"probe": value.float() * self.factor.weight.sum()}


class Judged(nn.Module):
    """A loss with a layer before it, so that there is something to learn; `loss` is callable."""

    def __init__(self, loss: Any, channels: int) -> None:
        super().__init__()
        self.layer = nn.Linear(channels, CLASSES)
        self.loss = loss

    def forward(self, images: Tensor, targets: Tensor) -> Any:
        """Return the loss of logits (N, CLASSES) against class numbers (N,)."""
        return self.loss(self.layer(images.mean(dim=(2, 3))), targets)


class Pictures:
    """A data set of random pictures, with targets of the wanted keys; some have no objects.

    Args:
        image_shape: (C, H, W).
        keys: Those of `TARGETS`, and of `own`, that every sample has.
        empty: No boxes, no masks, and of `semantic` nothing but what is to be ignored; samples
            have no `class`.
        sizes: (H, W) of each picture, where they differ from `image_shape`.
        own: Returns of a picture's number targets that only its learner knows; see `own_targets`.
    """

    splits: ClassVar[tuple[str, ...]] = ("train",)
    classes: Sequence[str] = ("a", "b", "c")

    def __init__(
        self,
        image_shape: Shape,
        keys: Iterable[str] = ("class",),
        empty: bool = False,
        sizes: Sequence[tuple[int, int]] = (),
        own: Callable[[int], Mapping[str, Tensor]] | None = None,
    ) -> None:
        self.image_shape: Shape | None = None if sizes else image_shape
        self._shape, self._keys, self._empty = image_shape, tuple(keys), empty
        self._sizes, self._own = sizes, own

    def __len__(self) -> int:
        return len(self._sizes) or 12

    def __getitem__(self, index: int) -> Sample:
        """Return one picture, the same one whenever it is asked for."""
        source = random_source(0, "picture", index)
        channels, height, width = self._shape
        if self._sizes:
            height, width = self._sizes[index]
        image = torch.randint(
            0, 256, (channels, height, width), dtype=torch.uint8, generator=source
        )
        known = dict(self._targets(index, (height, width), source))
        if self._own is not None and not self._empty:
            known |= self._own(index)
        targets = {key: known[key] for key in self._keys if key in known}
        return Sample(image, targets, Record(f"picture {index}", (height, width)))

    def _targets(
        self, index: int, size: tuple[int, int], source: torch.Generator
    ) -> Iterator[tuple[str, Tensor]]:
        height, width = size
        count = 0 if self._empty else OBJECTS[index % len(OBJECTS)]
        near = torch.rand(count, 2, generator=source) * torch.tensor([width, height]) / 2
        boxes = torch.cat([near, near + torch.tensor([width, height]) / 3], dim=1)
        yield "boxes", boxes
        yield "labels", (torch.arange(count) + index) % CLASSES
        yield "masks", _filled(boxes, size)
        if self._empty:
            yield "semantic", torch.full(size, IGNORED)
        else:
            yield "class", torch.tensor(index % CLASSES)
            yield "semantic", torch.randint(0, CLASSES, size, generator=source)


def own_targets(component: Any) -> Callable[[int], Mapping[str, Tensor]]:
    """Return what makes up targets of a kind that only a component itself knows.

    It says so by a static method `gvt_targets(index)`, which returns those of a picture by key.
    """
    made: Callable[[int], Mapping[str, Tensor]] = getattr(
        component, "gvt_targets", lambda index: {}
    )
    return made


def _filled(boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """Return masks (M, H, W) uint8 of the pixels whose centres are inside boxes (M, 4)."""
    y, x = (torch.arange(side) + 0.5 for side in size)
    x1, y1, x2, y2 = boxes[..., None].unbind(dim=1)
    rows, columns = (y >= y1) & (y < y2), (x >= x1) & (x < x2)
    return (rows[:, :, None] & columns[:, None, :]).to(torch.uint8)


def batch_of(pictures: Pictures, placement: Placement, count: int = 4) -> Batch:
    """Return the first pictures as a batch on the device, (count, C, H, W) float32 in [0, 1]."""
    return next(Streamed(pictures, placement).batches([(0, torch.arange(count))]))
