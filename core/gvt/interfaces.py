"""The interfaces between the core and its components: data sets, models and metrics.

Images are float32 in [0, 1], NCHW. Boxes are (M, 4) xyxy in pixels. `class`, `labels` and
`semantic` are indices of the class names of the data set, which do not include a background. In
`semantic`, 255 is ignored and, if the data set has a background, `len(classes)` is background.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, runtime_checkable

import torch
from pydantic import PositiveInt
from torch import Tensor, nn

from gvt.batch import Batch, Record, Sample, Targets
from gvt_registry import nearest

FeatureInfo = Mapping[str, tuple[int, int]]
"""(channels, stride in pixels) of each feature map, from the finest to the coarsest."""

Prediction = dict[str, Any]
"""The prediction for one image: the keys of the targets, with `scores`.

`class` has scores (K,), `boxes` and `labels` have scores (M,) and optionally `masks` (M, H, W),
`semantic` has scores (K, H, W). A prediction of several labels for each pixel has `masks`
(K, H, W) and `labels` (K,) with scores (K, H, W).
"""


# --- data ------------------------------------------------------------------------------------


class Dataset(Protocol):
    """A map-style data set of one split, built as `target(split=..., **parameters)`.

    It has an attribute `info`, a `gvt.DataInfo`, or plain attributes with the names of its fields.
    Then `classes` and `image_shape` are required. `gvt.DataInfo.of` reads either.

    Attributes:
        splits: Names of the splits; an attribute of the class.
    """

    splits: ClassVar[tuple[str, ...]]

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Sample: ...


@runtime_checkable
class FileDataset(Protocol):
    """A data set of image files. When it is opened, warnings name common problems of the files.

    Attributes:
        files: Paths of the image files, each once.
        reader: The `gvt.PictureReader` that reads them.
    """

    files: Sequence[Any]
    reader: Any


@runtime_checkable
class MixedDataset(Protocol):
    """A mix of several data sets.

    Attributes:
        parts: The data sets by name.
    """

    parts: Mapping[str, Dataset]


@runtime_checkable
class ResidentDataset(Protocol):
    """A data set that can also be returned as whole tensors, which are kept on the device."""

    def tensors(self) -> tuple[Mapping[str, Tensor], Mapping[str, Tensor]]:
        """Return all inputs and all targets by field, each of length N; images as uint8."""

    def record(self, index: int) -> Record:
        """Return the origin of one image."""


# --- networks ---------------------------------------------------------------------------------


class Generator(nn.Module):
    """Base class of generators, which map latents to images.

    Attributes:
        latent_shape: Shape of one latent, without the batch.
        image_shape: (C, H, W) of one image.
        image_range: Output values for black and for white. The task maps them to the range of the
            data, and images are clamped to it.
    """

    latent_shape: tuple[int, ...]
    image_shape: tuple[int, int, int]
    image_range: tuple[float, float] = (-1.0, 1.0)

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return images (N, C, H, W) in `image_range` for latents (N, *latent_shape)."""
        raise NotImplementedError


class Discriminator(nn.Module):
    """Base class of discriminators, which map images to one logit each."""

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return logits (N,) for images (N, C, H, W) in the data's range; real ones are larger."""
        raise NotImplementedError


class Backbone(nn.Module):
    """Base class of backbones, which map images, or other inputs, to named feature maps.

    The map of a sequence is (N, C, 1, L), with its stride in steps, and a single vector is a map
    (N, C, 1, 1). So a head that needs no image plane works on the features of texts and sounds.

    Attributes:
        feature_info: (channels, stride) of each map, from the finest to the coarsest.
        reads: Inputs of a batch that are passed to `forward`, in this order.
        image_size: (H, W) of the images in pixels, for a backbone that takes a single size.
    """

    feature_info: FeatureInfo
    reads: tuple[str, ...] = ("image",)
    image_size: tuple[int, int] | None = None

    def forward(self, images: Tensor, /, *more: Any) -> dict[str, Tensor]:
        """Return feature maps, NCHW, for images (N, C, H, W) in [0, 1], or for what it reads."""
        raise NotImplementedError

    def split(self, stage: str) -> tuple[Backbone, nn.Module]:
        """Return the backbone up to a map, the trunk, and a module that computes the later maps.

        `rest(trunk(images))` are all the maps of the backbone, with the same bits. Trunk and rest
        have the parameters and buffers of the backbone itself, each one of them, and a deep copy of
        the rest is independent. The trunk may return further tensors for the rest, with a row for
        each sample. Any backbone can be split at its last map; for others it overrides this method.

        Args:
            stage: Name of the last map that the trunk computes.

        Raises:
            NotImplementedError: If the backbone cannot be split there; the message says why.
            ValueError: If it has no such map.
        """
        if len(self.up_to(stage)) == len(self.feature_info):
            return self, nn.Identity()
        raise NotImplementedError(f"a {type(self).__name__} cannot be split at {stage}")

    def up_to(self, stage: str) -> FeatureInfo:
        """Return the entries of `feature_info` up to a map, which are those of a trunk.

        Raises:
            ValueError: If there is no such map; the message names the nearest.
        """
        names = list(self.feature_info)
        if stage not in names:
            hint = nearest(stage, names) or f"; there are {', '.join(names)}"
            raise ValueError(f"the backbone has no map {stage!r}{hint}")
        return {name: self.feature_info[name] for name in names[: names.index(stage) + 1]}


class Head(nn.Module):
    """Base class of heads, which map feature maps to predictions.

    A head is built as `target(feature_info, num_classes, ...)`. Its outputs do not depend on train
    or eval mode, except for those of batch norm and dropout.

    A head implements `tensors`, and then its task can be exported, or `predict`, or both.

    Attributes:
        needs: Target keys that a sample must have for this head to learn from it.
        predicts: The keys of its predictions, such as `("class", "scores")`, in their order. `()`
            means that they are read from a prediction, and the head has no deployed form.
        reads: Inputs of the batch that it uses besides the features, such as `("proposals",)`.
    """

    needs: tuple[str, ...] = ()
    predicts: tuple[str, ...] = ()
    reads: tuple[str, ...] = ()

    def forward(self, features: Mapping[str, Tensor], batch: Batch) -> Any:
        """Return any tree of tensors. It is computed once, and must not use `batch.targets`."""
        raise NotImplementedError

    def loss(self, outputs: Any, targets: Targets) -> dict[str, Tensor]:
        """Return scalar losses by name. Every sample has all the keys of `needs`."""
        raise NotImplementedError

    def predict(self, outputs: Any) -> list[Prediction]:
        """Return one prediction per image, in pixels of the padded canvas.

        By default these are the rows of `tensors`. A head whose predictions vary in length, such
        as a detector, implements it.
        """
        tensors = self.tensors(outputs)
        rows = zip(*tensors.values(), strict=True)
        return [dict(zip(tensors, row, strict=True)) for row in rows]

    def tensors(self, outputs: Any) -> dict[str, Tensor]:
        """Return the predictions for a batch by the keys of `predicts`, as tensors.

        The first axis is that of the samples: `scores` (N, K), `semantic` (N, H, W). What varies
        in length is filled up at the end to a fixed length D, with -1 in `labels` and 0 elsewhere:
        `boxes` (N, D, 4), `labels` (N, D), `scores` (N, D), `masks` (N, D, H, W).

        It is computed by operations that `torch.export` supports, without loops over the samples,
        unless the class says that it cannot be exported. In a deployed model `batch.frame.sizes`
        has one entry, the size (H, W) of all images.
        """
        raise NotImplementedError(f"{type(self).__name__} implements neither tensors nor predict")

    def metric(self) -> Metric | None:
        """Return a new metric over (predictions, targets), or None if there is none."""
        return None

    def decide(self, scores: Tensor) -> Prediction:
        """Return the prediction for an image from the scores of its pixels, (K, H, W).

        A head whose predictions have such `scores` predicts images of any size. The scores of
        overlapping tiles and flipped copies are blended, and this method makes the prediction from
        them. The prediction for a pixel depends on its own scores only.
        """
        # The first of equal scores, like argmax, which takes eight times as long on a CPU.
        return {"semantic": scores.max(dim=0).indices, "scores": scores}

    def errors(self, predictions: list[Prediction], targets: list[dict[str, Any]]) -> Tensor | None:
        """Return the error of each prediction, (N,), 0 for a correct one; None by default.

        The worst predictions of an evaluation are shown as a sheet. Every target has all the keys
        of `needs`.
        """
        return None


class Weighting(nn.Module):
    """Base class of weightings: how the losses of several heads train what the heads share.

    A weighting changes the losses (`forward`), or combines the gradients that the heads have in the
    shared parameters (`weights`). By default losses are summed, and so are their gradients.

    Args:
        cosines_every: Steps between two logs of the cosines between the heads' gradients, as
            `cosine/HEAD/HEAD`. In such a step each head has a backward pass of its own.

    Attributes:
        uses_gradients: Whether `weights` is called, so that each head has a backward pass of its
            own in every step.
        observes_losses: Whether `observe` is called after every step.
        heads: Names of the heads.
    """

    uses_gradients: bool = False
    observes_losses: bool = False

    def __init__(self, cosines_every: PositiveInt | None = None) -> None:
        super().__init__()
        self.cosines_every = cosines_every
        self.heads: list[str] = []

    def add_head(self, name: str) -> None:
        """Add a head, and what is learned for it."""
        self.heads.append(name)

    def remove_head(self, name: str) -> None:
        """Remove a head, and what is learned for it."""
        self.heads.remove(name)

    def forward(self, head: str, losses: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return the losses of a head that are minimised, for its losses in a micro-batch."""
        return losses

    def weights(self, heads: Sequence[str], gram: Tensor, generator: torch.Generator) -> Tensor:
        """Return the weight of each head's gradient in the shared parameters, (K,).

        Args:
            heads: Names of the K heads with a gradient in this step.
            gram: (K, K) float64 on the CPU, the scalar products of their gradients, which are
                averaged over the micro-batches and the processes.
            generator: Source of random numbers, the same in all processes.
        """
        return gram.new_ones(len(heads))

    def observe(self, losses: Mapping[str, float]) -> None:
        """Called after each step with the mean loss of each head that had one, as returned above.

        Means are over the micro-batches and the processes. What is kept for the next step has to
        be in buffers or parameters, so that checkpoints hold it.
        """


@dataclass(frozen=True)
class Curves:
    """A curve for each class, such as precision over recall.

    Attributes:
        x: (P,), ascending.
        y: (K, P); NaN for a class without a curve.
        names: Labels of x and y.
    """

    x: Tensor
    y: Tensor
    names: tuple[str, str]


class Metric(Protocol):
    """The methods of a metric that an evaluation calls; every torchmetrics metric has them.

    A metric with an attribute `needs`, such as `("image",)`, gets these inputs of the batch in the
    targets of each sample: an image without padding, (C, H, W) in [0, 1].

    `compute` returns a number, a vector, or a dict of them by name. A dict may also contain (K, K)
    tables over the classes, with rows for the truth, and `Curves`, which are drawn and not listed.
    A vector with an entry for each class, and a last one for the background if there is one, is
    listed by the names of the classes.
    """

    def to(self, device: torch.device) -> Any: ...

    def update(self, predictions: Any, targets: Any) -> None: ...

    def compute(self) -> Any: ...


class Loss(Protocol):
    """A function of outputs and targets that returns one number, such as the losses of `torch.nn`.

    A constructor's parameter of this type, of `Metric` or of `Weighting` is a component that a
    recipe names.
    """

    def __call__(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the mean loss ()."""
