"""Base class of segmentation heads: losses, predictions and metrics of dense outputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gvt import IGNORED, Batch, ConfigError, Frame, Head, Loss, Metric, Targets
from gvt.vision.padding import inside, is_padded, seen_frame, without_padding

from .losses import CrossEntropy
from .metrics import LabelMetric, SegmentationMetric, counted, label_masks

Mode = Literal["multiclass", "binary", "multilabel"]
FeatureInfo = Mapping[str, tuple[int, int]]


class DenseHead(Head):
    """Base class of segmentation heads. A subclass implements `logits`, a map for each class.

    Modes:

    - `multiclass`: each pixel has one class, by softmax. C is the number of classes, plus one for
      the background, which comes last, if the data has one.
    - `binary`: the same for two classes, by one logit and sigmoid. The logit is that of the
      foreground: class 1, or the only class if the other one is the background.
    - `multilabel`: each pixel has any number of classes, by sigmoid. The targets are `masks` and
      `labels`; the background is not learned.

    The losses are called with logits in float32 at the size of the canvas. Targets are class
    numbers (N, H, W), or in the other two modes floats of the logits' shape. 255 is to be
    ignored; losses of `torch.nn` need it as a parameter:
    `{name: CrossEntropyLoss, ignore_index: 255}`.

    Args:
        feature_info: The (channels, stride) of each feature map.
        num_classes: Number of classes.
        background: Whether pixels can have no class.
        mode: Kind of targets: `multiclass`, `binary` or `multilabel`.
        losses: Losses by name; cross entropy by default.
        weights: Factor of each loss, 1 by default.
        ignore_padding: Whether an image of a padded batch is treated as if it were alone. Models
            of checkpoint format 1 were trained without.

    Attributes:
        padding_reach: Pixels beyond an image's edge that affect its output. With 0, each image of
            a padded batch is passed to `logits` by itself.

    Raises:
        ValueError: If the number of classes does not fit the mode, there are no losses, or
            `weights` names an unknown loss.
    """

    padding_reach = 0
    exports = ("torch",)
    gvt_unrecorded: ClassVar[Mapping[str, Any]] = {"ignore_padding": False}

    def __init__(
        self,
        feature_info: FeatureInfo,
        num_classes: int,
        background: bool = False,
        mode: Mode = "multiclass",
        losses: dict[str, Loss] | None = None,
        weights: dict[str, float] | None = None,
        ignore_padding: bool = True,
    ) -> None:
        super().__init__()
        self.ignore_padding = ignore_padding
        self.mode, self.num_classes = mode, num_classes
        self.strides = {name: stride for name, (_, stride) in feature_info.items()}
        self.channels = num_classes + (background and mode != "multilabel")
        _check_classes(mode, self.channels)
        self.foreground = 0 if background else 1
        self.needs = ("masks", "labels") if mode == "multilabel" else ("semantic",)
        self.predicts = (*self.needs, "scores")
        self.losses = {"cross_entropy": CrossEntropy()} if losses is None else losses
        self.weights = weights or {}
        if not self.losses:
            raise ValueError("losses is empty; leave it out for cross entropy")
        if unknown := sorted(set(self.weights) - set(self.losses)):
            raise ValueError(f"weights for {unknown}, the losses are {sorted(self.losses)}")
        # Registered, so that their tensors are moved with the model.
        self.loss_modules = nn.ModuleList(
            loss for loss in self.losses.values() if isinstance(loss, nn.Module)
        )

    @property
    def outputs(self) -> int:
        """Number of maps that `logits` returns."""
        return 1 if self.mode == "binary" else self.channels

    def logits(self, features: Mapping[str, Tensor], frame: Frame) -> Tensor:
        """Return (N, outputs, h, w), of any size; it is resized to the canvas."""
        raise NotImplementedError

    def forward(self, features: Mapping[str, Tensor], batch: Batch) -> dict[str, Tensor]:
        """Return `logits` (N, outputs, H, W), and for multilabel `inside`, the pixels of images.

        Raises:
            ConfigError: If a map covers more than the image.
        """
        frame = batch.frame
        seen = seen_frame(frame, self.ignore_padding)
        self._check_maps(features, frame.canvas)
        if self.padding_reach or not is_padded(seen):
            outputs = {"logits": resized(self.logits(features, seen), frame.canvas)}
        else:
            outputs = {"logits": self._one_by_one(features, frame)}
        if self.mode == "multilabel":
            outputs["inside"] = inside(batch.images, 1, frame)
        return outputs

    def _one_by_one(self, features: Mapping[str, Tensor], frame: Frame) -> Tensor:
        """Return the logits of each image by itself, 0 in the padding, (N, outputs, H, W)."""
        maps = {n: without_padding(f, self.strides[n], frame) for n, f in features.items()}
        height, width = frame.canvas
        padded = []
        for row, size in enumerate(frame.sizes):
            image_maps = {name: parts[row] for name, parts in maps.items()}
            logits = resized(self.logits(image_maps, Frame((size,), size)), size)
            padded.append(F.pad(logits, (0, width - size[1], 0, height - size[0])))
        return torch.cat(padded)

    def loss(self, outputs: dict[str, Tensor], targets: Targets) -> dict[str, Tensor]:
        """Return each loss by its name, weighted."""
        logits = outputs["logits"].float()
        truth = self._truth(outputs, targets)
        return {
            name: self.weights.get(name, 1.0) * loss(logits, truth)
            for name, loss in self.losses.items()
        }

    def predict(self, outputs: dict[str, Tensor]) -> list[dict[str, Any]]:
        """Return the result of `decide` for each image's `scores` (C, H, W), probabilities."""
        return [self.decide(image_scores) for image_scores in self._scores(outputs)]

    def tensors(self, outputs: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return `semantic` (N, H, W), or `masks` and `labels`, with `scores` (N, C, H, W)."""
        decided = torch.vmap(self.decide)(self._scores(outputs))
        return {key: decided[key] for key in self.predicts}

    def _scores(self, outputs: dict[str, Tensor]) -> Tensor:
        """Return the probabilities of each pixel's classes, (N, C, H, W)."""
        logits = outputs["logits"].float()
        scores = logits.softmax(dim=1) if self.mode == "multiclass" else logits.sigmoid()
        if self.mode == "multilabel":
            scores = scores * outputs["inside"]  # padding has no labels
        if self.mode == "binary":
            both = (1 - scores, scores) if self.foreground else (scores, 1 - scores)
            scores = torch.cat(both, dim=1)
        return scores

    def decide(self, scores: Tensor) -> dict[str, Any]:
        """Return the most likely class of each pixel; for multilabel all classes above 0.5."""
        if self.mode != "multilabel":
            return super().decide(scores)
        labels = torch.arange(self.num_classes, device=scores.device)
        return {"masks": scores > 0.5, "labels": labels, "scores": scores}

    def metric(self) -> Metric:
        """Return the metric: mean IoU, mean Dice and pixel accuracy, and those of each class."""
        if self.mode == "multilabel":
            return LabelMetric(self.num_classes)
        return SegmentationMetric(self.channels)

    def errors(self, predictions: list[dict[str, Any]], targets: list[dict[str, Any]]) -> Tensor:
        """Return 1 minus the mean IoU of each image, over the classes that occur in it."""
        errors = []
        for prediction, target in zip(predictions, targets, strict=True):
            if self.mode == "multilabel":
                truth = label_masks(target["masks"], target["labels"], self.num_classes)
                predicted, truth = prediction["masks"].flatten(1), truth.flatten(1) > 0
                hits, union = (predicted & truth).sum(1), (predicted | truth).sum(1)
            else:
                table = counted(prediction["semantic"], target["semantic"], self.channels)
                hits = table.diagonal()
                union = table.sum(0) + table.sum(1) - hits
            occurs = union > 0
            iou = (hits / union.clamp(min=1)).sum() / occurs.sum().clamp(min=1)
            errors.append(torch.where(occurs.any(), 1 - iou, 0.0))
        return torch.stack(errors)

    def _truth(self, outputs: Mapping[str, Tensor], targets: Targets) -> Tensor:
        """Return class numbers (N, H, W), or floats of the logits' shape; 255 is ignored."""
        if self.mode == "multiclass":
            truth: Tensor = targets["semantic"]
            return truth
        if self.mode == "binary":
            semantic: Tensor = targets["semantic"][:, None]
            positive = (semantic == self.foreground).float()
            return positive.masked_fill(semantic == IGNORED, IGNORED)
        pairs = zip(targets["masks"], targets["labels"], strict=True)
        stacked = torch.stack([label_masks(m, n, self.num_classes) for m, n in pairs])
        return stacked.masked_fill(~outputs["inside"], IGNORED)

    def _check_maps(self, features: Mapping[str, Tensor], canvas: tuple[int, int]) -> None:
        """Raise ConfigError if a map covers more than the image, as with valid convolutions."""
        for name, feature in features.items():
            if any(map_ > side + 1 for map_, side in zip(feature.shape[-2:], canvas, strict=True)):
                raise ConfigError(
                    f"map {name!r} has {_size(feature.shape[-2:])} cells for an image of "
                    f"{_size(canvas)}: a backbone with valid convolutions keeps a margin, which "
                    "only the head unet with padding: valid supports"
                )


def resized(maps: Tensor, size: Sequence[int], mode: str = "bilinear") -> Tensor:
    """Resize maps (N, C, h, w) to (H, W); maps of this size are returned as they are."""
    # An exported program has no branch on sizes; resizing to the same size changes nothing.
    if not torch.compiler.is_exporting() and tuple(maps.shape[-2:]) == tuple(size):
        return maps
    corners = None if mode == "nearest" else False
    return F.interpolate(maps, size=tuple(size), mode=mode, align_corners=corners)


def _check_classes(mode: Mode, channels: int) -> None:
    if mode == "binary" and channels != 2:
        raise ValueError(
            f"mode: binary needs two classes, or one and the background; there are {channels}"
        )
    if mode == "multiclass" and channels < 2:
        raise ValueError(
            "mode: multiclass needs two classes, or one and the background; there is one class"
        )


def _size(shape: Sequence[int]) -> str:
    return f"{shape[0]}x{shape[1]}"
