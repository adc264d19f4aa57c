"""Tiny models, and images with targets, to combine with a component under test."""

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
"""The keys of targets that `Pictures` can generate."""

OBJECTS = (2, 1, 0, 3)
"""Numbers of objects in the images, in turn."""


class TinyBackbone(Backbone):
    """Convolutions with stride 2; their maps are `stage1` to `stage4` with strides 2 to 16."""

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
    """One dense layer on the coarsest map, with cross entropy."""

    needs = predicts = ("class",)

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

    def tensors(self, outputs: Tensor) -> dict[str, Tensor]:
        """Return the classes, (N,)."""
        return {"class": outputs.argmax(dim=1)}


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
    """A task for a model without a loss, with the loss that `judge` computes.

    A factor is trained with the model, so that the model may be frozen, or have no weights.
    """

    phases = (Phase("probe", trains=("network", "factor")),)

    def __init__(self, network: nn.Module, judge: Callable[[Any, Batch, Step], Tensor]) -> None:
        super().__init__()
        self.network, self.judge = network, judge
        self.factor = nn.Linear(1, 1, bias=False)
        nn.init.ones_(self.factor.weight)

    def forward(self, phase: str, batch: Batch, step: Step) -> dict[str, Tensor]:
        """Return the loss of the output of the model."""
        value = self.judge(self.network, batch, step)
        return {"probe": value.float() * self.factor.weight.sum()}


class Judged(nn.Module):
    """A loss after a layer, so that there are weights to train; `loss` is callable."""

    def __init__(self, loss: Any, channels: int) -> None:
        super().__init__()
        self.layer = nn.Linear(channels, CLASSES)
        self.loss = loss

    def forward(self, images: Tensor, targets: Tensor) -> Any:
        """Return the loss of logits (N, CLASSES) for class indices (N,)."""
        return self.loss(self.layer(images.mean(dim=(2, 3))), targets)


class Pictures:
    """A data set of random images with targets of some keys; some images have no objects.

    Args:
        image_shape: (C, H, W).
        keys: Keys of the targets of every sample, from `TARGETS` and `own`.
        empty: Whether samples have no boxes, no masks and no `class`, and only ignored pixels in
            `semantic`.
        sizes: (H, W) of each image, if they differ from `image_shape`.
        own: Function from the index of an image to further targets; see `own_targets`.
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
        """Return an image, always the same for an index."""
        source = random_source(0, "picture", index)
        channels, height, width = self._shape
        if self._sizes:
            height, width = self._sizes[index]
        image = torch.randint(
            0, 256, (channels, height, width), dtype=torch.uint8, generator=source
        )
        values = dict(self._targets(index, (height, width), source))
        if self._own is not None and not self._empty:
            values |= self._own(index)
        targets = {key: values[key] for key in self._keys if key in values}
        return Sample({"image": image}, targets, Record(f"picture {index}", (height, width)))

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
    """Return the static method `gvt_targets(index)` of a component.

    It returns further targets of an image by key; without it there are none.
    """
    method: Callable[[int], Mapping[str, Tensor]] = getattr(
        component, "gvt_targets", lambda index: {}
    )
    return method


def _filled(boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """Return masks (M, H, W) uint8 of the pixels whose centres are inside boxes (M, 4)."""
    y, x = (torch.arange(side) + 0.5 for side in size)
    x1, y1, x2, y2 = boxes[..., None].unbind(dim=1)
    rows, columns = (y >= y1) & (y < y2), (x >= x1) & (x < x2)
    return (rows[:, :, None] & columns[:, None, :]).to(torch.uint8)


def batch_of(pictures: Pictures, placement: Placement, count: int = 4) -> Batch:
    """Return the first images as a batch on the device, (count, C, H, W) float32 in [0, 1]."""
    return next(Streamed(pictures, placement).batches([(0, torch.arange(count))]))
