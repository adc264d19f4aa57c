"""Losses of logits (N, C, ...) that say something of every pixel.

Targets are either class numbers (N, ...), for softmax over C, or 0 and 1 as floats of the logits'
shape, for a sigmoid each. 255 is ignored in both; where nothing else is left, the loss is 0.
All compute in float32.
"""

from __future__ import annotations

from typing import Annotated

import torch
import torch.nn.functional as F
from pydantic import Field, NonNegativeFloat
from torch import Tensor, nn
from torchvision.ops import sigmoid_focal_loss

from gvt import IGNORED, ConfigError

ClassWeights = Annotated[list[NonNegativeFloat], Field(min_length=1)]
Smoothing = Annotated[float, Field(ge=0, lt=1)]
Gamma = Annotated[float, Field(ge=1)]
Alpha = Annotated[float, Field(ge=0, le=1)]


class CrossEntropy(nn.Module):
    """Cross entropy, averaged over the pixels by the weights of their classes.

    Args:
        class_weights: Weight of each class, the background last where there is one; of several
            labels that of each; in mode binary that of the rest and that of the foreground.
        label_smoothing: Share of the truth that is spread evenly over the classes.
    """

    def __init__(
        self, class_weights: ClassWeights | None = None, label_smoothing: Smoothing = 0.0
    ) -> None:
        super().__init__()
        self.label_smoothing = label_smoothing
        self.class_weights: Tensor | None
        _hold(self, "class_weights", class_weights)

    def forward(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the loss ().

        Raises:
            ConfigError: If there are not as many weights as classes.
        """
        if targets.is_floating_point():
            return self._of_labels(outputs.float(), targets)
        return self._of_classes(outputs.float(), targets)

    def _of_classes(self, outputs: Tensor, targets: Tensor) -> Tensor:
        counts, classes = targets != IGNORED, outputs.shape[1]
        truth = targets.where(counts, 0)
        # torch's own has no deterministic form for maps on CUDA.
        surprise = -outputs.log_softmax(dim=1)
        losses, weights = surprise.gather(1, truth[:, None]).squeeze(1), counts.float()
        if self.class_weights is not None:
            by_class = _checked("class_weights", self.class_weights, classes)
            weights = weights * by_class[truth]
            surprise = surprise * by_class.view(-1, *(1,) * (outputs.ndim - 2))
        total = (losses * weights).sum()
        if self.label_smoothing:
            spread = (surprise.mean(dim=1) * counts).sum()
            total = torch.lerp(total, spread, self.label_smoothing)
        return total / weights.sum().clamp(min=torch.finfo(weights.dtype).tiny)

    def _of_labels(self, outputs: Tensor, targets: Tensor) -> Tensor:
        counts = targets != IGNORED
        truth = targets.where(counts, 0.0)
        smooth = truth * (1 - self.label_smoothing) + self.label_smoothing / 2
        losses = F.binary_cross_entropy_with_logits(outputs, smooth, reduction="none")
        if self.class_weights is None:
            return _mean(losses, counts)
        return _mean(losses, _of_labels(self.class_weights, truth, outputs.shape[1]) * counts)


class Dice(nn.Module):
    """1 minus the soft Dice coefficient, averaged over the classes (Milletari and others, 2016).

    Pixels of the whole batch are taken together (https://arxiv.org/abs/1606.04797), and of the
    classes those that the batch has pixels of.

    Args:
        smooth: Added above and below, in pixels; it steadies classes with few of them.
    """

    def __init__(self, smooth: NonNegativeFloat = 1.0) -> None:
        super().__init__()
        self.smooth = smooth

    def forward(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the loss ()."""
        scores, truth, counts = _scores(outputs, targets)
        both = (scores * truth).sum(1)
        sizes = (scores * counts).sum(1) + truth.sum(1)
        tiny = torch.finfo(sizes.dtype).tiny
        dice = (2 * both + self.smooth) / (sizes + self.smooth).clamp(min=tiny)
        return _mean(1 - dice, truth.any(dim=1))


class Focal(nn.Module):
    """Cross entropy that looks away from what is certain (Lin and others, 2017).

    Each pixel's is multiplied by (1 - p)^gamma, with p the probability of its true class
    (https://arxiv.org/abs/1708.02002), and the mean is over the pixels.

    Args:
        gamma: How far it looks away.
        alpha: For class numbers the weight of each class; for targets of 0 and 1 the weight of
            1, that of 0 being 1 - alpha.
    """

    def __init__(self, gamma: Gamma = 2.0, alpha: Alpha | ClassWeights | None = None) -> None:
        super().__init__()
        self.gamma = gamma
        self.share = alpha if isinstance(alpha, int | float) else None
        self.alpha: Tensor | None
        _hold(self, "alpha", alpha if isinstance(alpha, list) else None)

    def forward(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the loss ().

        Raises:
            ConfigError: If alpha is not of the form that the targets take.
        """
        outputs = outputs.float()
        counts = targets != IGNORED
        if targets.is_floating_point():
            if self.alpha is not None:
                raise ConfigError("alpha: has to be one number where pixels are 0 or 1")
            truth = targets.where(counts, 0.0)
            share = -1 if self.share is None else self.share  # -1 is torchvision's for none
            return _mean(sigmoid_focal_loss(outputs, truth, share, self.gamma), counts)
        if self.share is not None:
            raise ConfigError("alpha: has to be a list with the weight of each class")
        truth = targets.where(counts, 0)
        certain = outputs.log_softmax(dim=1).gather(1, truth[:, None]).squeeze(1)
        losses = -((1 - certain.exp()) ** self.gamma) * certain
        if self.alpha is not None:
            losses = losses * _checked("alpha", self.alpha, outputs.shape[1])[truth]
        return _mean(losses, counts)


class Lovasz(nn.Module):
    """The Lovász extension of 1 minus IoU, averaged over the classes (Berman and others, 2018).

    Lovász-softmax for class numbers, and the Lovász hinge for targets of 0 and 1, as in the paper
    (https://arxiv.org/abs/1705.08790). Pixels of the whole batch are taken together, and of the
    classes those that it has pixels of; the hinge takes all labels.
    """

    def forward(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the loss ()."""
        if targets.is_floating_point():
            logits, truth = _by_class(outputs.float()), _by_class(targets)
            counts = truth != IGNORED
            truth = (truth == 1) & counts
            errors = 1 - logits * (2 * truth.float() - 1)
            wanted = counts.any(dim=1)
        else:
            scores, truth, counts = _scores(outputs, targets)
            errors = (truth.float() - scores).abs()
            wanted = truth.any(dim=1)
        # What is ignored comes last, where it changes no other pixel's share, and weighs nothing.
        errors = errors.masked_fill(~counts, -torch.inf)
        errors, order = errors.sort(dim=1, descending=True)
        slopes = _slopes(truth.gather(1, order), counts.gather(1, order))
        return _mean((errors.relu() * slopes).sum(1), wanted)


def _slopes(truth: Tensor, counts: Tensor) -> Tensor:
    """Return the gradient of the Lovász extension of 1 minus IoU at sorted errors, (C, P)."""
    hit = truth.sum(1, keepdim=True) - truth.cumsum(1)
    union = truth.sum(1, keepdim=True) + (~truth & counts).cumsum(1)
    jaccard = 1 - hit / union.clamp(min=1)
    return torch.diff(jaccard, dim=1, prepend=jaccard.new_zeros(len(jaccard), 1))


def _scores(outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return by class the probabilities, where it is true, and what counts, (C, pixels) each."""
    outputs = outputs.float()
    if targets.is_floating_point():
        scores, truth = _by_class(outputs.sigmoid()), _by_class(targets)
        return scores, truth == 1, truth != IGNORED
    scores = _by_class(outputs.softmax(dim=1))
    numbers = torch.arange(len(scores), device=targets.device)
    flat = targets.flatten()
    return scores, flat == numbers[:, None], (flat != IGNORED).expand_as(scores)


def _by_class(maps: Tensor) -> Tensor:
    """Return (C, pixels) of (N, C, ...)."""
    return maps.movedim(1, 0).flatten(1)


def _mean(losses: Tensor, weights: Tensor) -> Tensor:
    """Return the mean by weights, 0 where there are none."""
    total = weights.sum(dtype=losses.dtype)
    return (losses * weights).sum() / total.clamp(min=torch.finfo(losses.dtype).tiny)


def _hold(module: nn.Module, name: str, weights: list[float] | None) -> None:
    """Keep weights where the module goes; they are configuration, and in no checkpoint."""
    tensor = None if weights is None else torch.tensor(weights, dtype=torch.float32)
    module.register_buffer(name, tensor, persistent=False)


def _checked(name: str, weights: Tensor, classes: int) -> Tensor:
    """Return the weights, checked to be one for each class."""
    if len(weights) != classes:
        raise ConfigError(
            f"{name}: has {len(weights)} weights for {classes} classes; the background, where "
            "there is one, is the last of them"
        )
    return weights


def _of_labels(weights: Tensor, truth: Tensor, labels: int) -> Tensor:
    """Return the weight of each 0 or 1 in truth (N, labels, ...), or of its label."""
    if labels == 1:
        return _checked("class_weights", weights, 2)[truth.long()]
    by_label = _checked("class_weights", weights, labels)
    return by_label.view(1, -1, *(1,) * (truth.ndim - 2)).expand_as(truth)
