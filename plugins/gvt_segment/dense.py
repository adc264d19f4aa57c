"""What heads have in common that say something of every pixel: losses, predictions, metrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gvt import IGNORED, Batch, ConfigError, Frame, Head, Loss, Metric, Targets
from gvt.vision.padding import inside, is_padded, without_padding

from .losses import CrossEntropy
from .metrics import LabelMetric, SegmentationMetric, counted, label_masks

Mode = Literal["multiclass", "binary", "multilabel"]
FeatureInfo = Mapping[str, tuple[int, int]]


class DenseHead(Head):
    """A head whose network, `logits`, makes a map of each class; all else is here.

    In which mode what is learned:

    - `multiclass`: each pixel is of one class, by softmax. C is the number of classes, and one
      more where the data has a background, which comes last.
    - `binary`: the same for two, by one logit and sigmoid. The logit is that of the foreground:
      of class 1, or of the only class where the other is the background.
    - `multilabel`: each pixel has any of the classes, by sigmoid; it learns from `masks` and
      `labels`, and there is no background to learn.

    The losses see logits in float32 at the size of the canvas, with class numbers (N, H, W), or
    in the other two modes with float targets of the logits' shape. 255 is to be ignored. A loss
    of `torch.nn` has to be told so: `{name: CrossEntropyLoss, ignore_index: 255}`.

    Args:
        feature_info: Of each feature map its (channels, stride).
        num_classes: Number of classes.
        background: Whether there are pixels of no class.
        mode: What each pixel may be: `multiclass`, `binary` or `multilabel`.
        losses: Losses by names of one's own; cross entropy unless given.
        weights: Factor of each loss, 1 unless given.

    Attributes:
        padding_reach: Pixels beyond an image's edge that its layers see. With 0 each image of a
            padded batch goes through `logits` by itself.

    Raises:
        ValueError: If there are not as many classes as the mode takes, no loss, or a weight for
            none of them.
    """

    padding_reach = 0

    def __init__(
        self,
        feature_info: FeatureInfo,
        num_classes: int,
        background: bool = False,
        mode: Mode = "multiclass",
        losses: dict[str, Loss] | None = None,
        weights: dict[str, float] | None = None,
    ) -> None:
        super().__init__()
        self.mode, self.num_classes = mode, num_classes
        self.strides = {name: stride for name, (_, stride) in feature_info.items()}
        self.channels = num_classes + (background and mode != "multilabel")
        _check_classes(mode, self.channels)
        self.foreground = 0 if background else 1
        self.needs = ("masks", "labels") if mode == "multilabel" else ("semantic",)
        self.losses = {"cross_entropy": CrossEntropy()} if losses is None else losses
        self.weights = weights or {}
        if not self.losses:
            raise ValueError("losses is empty; leave it out for cross entropy")
        if unknown := sorted(set(self.weights) - set(self.losses)):
            raise ValueError(f"weights for {unknown}, the losses are {sorted(self.losses)}")
        # Registered, so that their tensors go where the network's go.
        self.loss_modules = nn.ModuleList(
            loss for loss in self.losses.values() if isinstance(loss, nn.Module)
        )

    @property
    def outputs(self) -> int:
        """How many maps `logits` has to make."""
        return 1 if self.mode == "binary" else self.channels

    def logits(self, features: Mapping[str, Tensor], frame: Frame) -> Tensor:
        """Return (N, outputs, h, w), of any size: it is then brought to the canvas."""
        raise NotImplementedError

    def forward(self, features: Mapping[str, Tensor], batch: Batch) -> dict[str, Tensor]:
        """Return `logits` (N, outputs, H, W), and with several labels which pixels are no padding.

        Raises:
            ConfigError: If the maps show more than the picture.
        """
        frame = batch.frame
        self._check_maps(features, frame.canvas)
        if self.padding_reach or not is_padded(frame):
            found = {"logits": resized(self.logits(features, frame), frame.canvas)}
        else:
            found = {"logits": self._one_by_one(features, frame)}
        if self.mode == "multilabel":
            found["inside"] = inside(batch.images, 1, frame)
        return found

    def _one_by_one(self, features: Mapping[str, Tensor], frame: Frame) -> Tensor:
        """Return the logits of each image by itself, 0 in the padding, (N, outputs, H, W)."""
        maps = {n: without_padding(f, self.strides[n], frame) for n, f in features.items()}
        height, width = frame.canvas
        parts = []
        for row, size in enumerate(frame.sizes):
            own = {name: of_images[row] for name, of_images in maps.items()}
            logits = resized(self.logits(own, Frame((size,), size)), size)
            parts.append(F.pad(logits, (0, width - size[1], 0, height - size[0])))
        return torch.cat(parts)

    def loss(self, outputs: dict[str, Tensor], targets: Targets) -> dict[str, Tensor]:
        """Return every loss under its own name, weighted."""
        logits = outputs["logits"].float()
        truth = self._truth(outputs, targets)
        return {
            name: self.weights.get(name, 1.0) * loss(logits, truth)
            for name, loss in self.losses.items()
        }

    def predict(self, outputs: dict[str, Tensor]) -> list[dict[str, Any]]:
        """Return of each image what `decide` makes of its `scores` (C, H, W), probabilities."""
        logits = outputs["logits"].float()
        scores = logits.softmax(dim=1) if self.mode == "multiclass" else logits.sigmoid()
        if self.mode == "multilabel":
            scores = scores * outputs["inside"]  # padding has no labels
        if self.mode == "binary":
            both = (1 - scores, scores) if self.foreground else (scores, 1 - scores)
            scores = torch.cat(both, dim=1)
        return [self.decide(of_one) for of_one in scores]

    def decide(self, scores: Tensor) -> dict[str, Any]:
        """Return the most likely class of each pixel; of several labels those over one half."""
        if self.mode != "multilabel":
            return super().decide(scores)
        labels = torch.arange(self.num_classes, device=scores.device)
        return {"masks": scores > 0.5, "labels": labels, "scores": scores}

    def metric(self) -> Metric:
        """Return mean IoU, mean Dice and pixel accuracy, also of each class, over all pixels."""
        if self.mode == "multilabel":
            return LabelMetric(self.num_classes)
        return SegmentationMetric(self.channels)

    def errors(self, predictions: list[dict[str, Any]], targets: list[dict[str, Any]]) -> Tensor:
        """Return 1 minus the mean IoU of each image, over the classes that occur in it."""
        found = []
        for prediction, target in zip(predictions, targets, strict=True):
            if self.mode == "multilabel":
                truth = label_masks(target["masks"], target["labels"], self.num_classes)
                said = prediction["masks"].flatten(1)
                truth = truth.flatten(1) > 0
                hits, either = (said & truth).sum(1), (said | truth).sum(1)
            else:
                table = counted(prediction["semantic"], target["semantic"], self.channels)
                hits = table.diagonal()
                either = table.sum(0) + table.sum(1) - hits
            occurs = either > 0
            iou = (hits / either.clamp(min=1)).sum() / occurs.sum().clamp(min=1)
            found.append(torch.where(occurs.any(), 1 - iou, 0.0))
        return torch.stack(found)

    def _truth(self, outputs: Mapping[str, Tensor], targets: Targets) -> Tensor:
        """Return class numbers (N, H, W), or float targets of the logits' shape; 255 is ignored."""
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
        """Check that no map is larger than the picture, as those with a margin are."""
        for name, feature in features.items():
            if any(map_ > side + 1 for map_, side in zip(feature.shape[-2:], canvas, strict=True)):
                raise ConfigError(
                    f"map {name!r} has {_size(feature.shape[-2:])} for a picture of "
                    f"{_size(canvas)}: a backbone with valid convolutions keeps a margin, which "
                    "only the head unet with padding: valid can take"
                )


def resized(maps: Tensor, size: Sequence[int], mode: str = "bilinear") -> Tensor:
    """Return maps (N, C, h, w) at another size (H, W), the very same if they have it."""
    if tuple(maps.shape[-2:]) == tuple(size):
        return maps
    corners = None if mode == "nearest" else False
    return F.interpolate(maps, size=tuple(size), mode=mode, align_corners=corners)


def _check_classes(mode: Mode, channels: int) -> None:
    if mode == "binary" and channels != 2:
        raise ValueError(
            f"mode binary tells two classes apart, or one from the background; there are {channels}"
        )
    if mode == "multiclass" and channels < 2:
        raise ValueError(
            "there is one class and no background, so that there is nothing to tell apart"
        )


def _size(shape: Sequence[int]) -> str:
    return f"{shape[0]}x{shape[1]}"
