"""Losses of logits (N, C, ...) for dense heads.

Targets are class numbers (N, ...), for a softmax over C, or 0 and 1 as floats of the logits'
shape, for a sigmoid each. 255 is ignored in both, and without other targets the loss is 0. All
losses are computed in float32.
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
    """Cross entropy, averaged over the pixels with the weights of their classes.

    Args:
        class_weights: Weight of each class, with the background last if there is one; of each
            label in mode multilabel; of the background and the foreground in mode binary.
        label_smoothing: Share of the target that is spread evenly over the classes.
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
            return self._binary(outputs.float(), targets)
        return self._categorical(outputs.float(), targets)

    def _categorical(self, outputs: Tensor, targets: Tensor) -> Tensor:
        counts, classes = targets != IGNORED, outputs.shape[1]
        truth = targets.where(counts, 0)
        # torch's own is not deterministic for maps on CUDA.
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

    def _binary(self, outputs: Tensor, targets: Tensor) -> Tensor:
        counts = targets != IGNORED
        truth = targets.where(counts, 0.0)
        smooth = truth * (1 - self.label_smoothing) + self.label_smoothing / 2
        losses = F.binary_cross_entropy_with_logits(outputs, smooth, reduction="none")
        if self.class_weights is None:
            return _mean(losses, counts)
        weights = _target_weights(self.class_weights, truth, outputs.shape[1])
        return _mean(losses, weights * counts)


class Dice(nn.Module):
    """1 minus the soft Dice coefficient, averaged over the classes (Milletari et al. 2016).

    It is computed over the pixels of the whole batch (https://arxiv.org/abs/1606.04797), and over
    the classes that occur in it.

    Args:
        smooth: Pixels added to numerator and denominator, which stabilises small classes.
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
    """Focal loss: cross entropy with a lower weight for easy pixels (Lin et al. 2017).

    The cross entropy of each pixel is multiplied by (1 - p)^gamma, with p the probability of its
    true class (https://arxiv.org/abs/1708.02002), and averaged over the pixels.

    Args:
        gamma: Exponent; higher values lower the weight of easy pixels.
        alpha: Weight of each class for class numbers; for targets of 0 and 1 the weight of 1,
            while 0 has the weight 1 - alpha.
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
            ConfigError: If the form of alpha does not fit the targets.
        """
        outputs = outputs.float()
        counts = targets != IGNORED
        if targets.is_floating_point():
            if self.alpha is not None:
                raise ConfigError("alpha: has to be one number for targets of 0 and 1")
            truth = targets.where(counts, 0.0)
            share = -1 if self.share is None else self.share  # -1 is torchvision's for no weight
            return _mean(sigmoid_focal_loss(outputs, truth, share, self.gamma), counts)
        if self.share is not None:
            raise ConfigError("alpha: has to be a list with the weight of each class")
        truth = targets.where(counts, 0)
        log_p = outputs.log_softmax(dim=1).gather(1, truth[:, None]).squeeze(1)
        losses = -((1 - log_p.exp()) ** self.gamma) * log_p
        if self.alpha is not None:
            losses = losses * _checked("alpha", self.alpha, outputs.shape[1])[truth]
        return _mean(losses, counts)


class Lovasz(nn.Module):
    """The Lovász extension of 1 minus IoU, averaged over the classes (Berman et al. 2018).

    Lovász-softmax for class numbers, and the Lovász hinge for targets of 0 and 1, as in the paper
    (https://arxiv.org/abs/1705.08790). It is computed over the pixels of the whole batch. The
    softmax is averaged over the classes that occur in it, the hinge over all labels.
    """

    def forward(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the loss ()."""
        if targets.is_floating_point():
            logits, truth = _by_class(outputs.float()), _by_class(targets)
            counts = truth != IGNORED
            truth = (truth == 1) & counts
            errors = 1 - logits * (2 * truth.float() - 1)
            valid = counts.any(dim=1)
        else:
            scores, truth, counts = _scores(outputs, targets)
            errors = (truth.float() - scores).abs()
            valid = truth.any(dim=1)
        # Ignored pixels come last, where they do not affect other pixels, and have no weight.
        errors = errors.masked_fill(~counts, -torch.inf)
        errors, order = errors.sort(dim=1, descending=True)
        slopes = _slopes(truth.gather(1, order), counts.gather(1, order))
        return _mean((errors.relu() * slopes).sum(1), valid)


def _slopes(truth: Tensor, counts: Tensor) -> Tensor:
    """Return the gradient of the Lovász extension of 1 minus IoU at sorted errors, (C, P)."""
    hit = truth.sum(1, keepdim=True) - truth.cumsum(1)
    union = truth.sum(1, keepdim=True) + (~truth & counts).cumsum(1)
    jaccard = 1 - hit / union.clamp(min=1)
    return torch.diff(jaccard, dim=1, prepend=jaccard.new_zeros(len(jaccard), 1))


def _scores(outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the probabilities, the truth and the pixels that count by class, (C, pixels) each."""
    outputs = outputs.float()
    if targets.is_floating_point():
        scores, truth = _by_class(outputs.sigmoid()), _by_class(targets)
        return scores, truth == 1, truth != IGNORED
    scores = _by_class(outputs.softmax(dim=1))
    numbers = torch.arange(len(scores), device=targets.device)
    flat = targets.flatten()
    return scores, flat == numbers[:, None], (flat != IGNORED).expand_as(scores)


def _by_class(maps: Tensor) -> Tensor:
    """Convert (N, C, ...) to (C, pixels)."""
    return maps.movedim(1, 0).flatten(1)


def _mean(losses: Tensor, weights: Tensor) -> Tensor:
    """Return the weighted mean, 0 without weights."""
    total = weights.sum(dtype=losses.dtype)
    return (losses * weights).sum() / total.clamp(min=torch.finfo(losses.dtype).tiny)


def _hold(module: nn.Module, name: str, weights: list[float] | None) -> None:
    """Register weights as a buffer outside the state dict, since they are configuration."""
    tensor = None if weights is None else torch.tensor(weights, dtype=torch.float32)
    module.register_buffer(name, tensor, persistent=False)


def _checked(name: str, weights: Tensor, classes: int) -> Tensor:
    """Return the weights, if there is one for each class.

    Raises:
        ConfigError: If there are too few or too many.
    """
    if len(weights) != classes:
        raise ConfigError(
            f"{name}: has {len(weights)} weights for {classes} classes; give one for each, with "
            "the background last if there is one"
        )
    return weights


def _target_weights(weights: Tensor, truth: Tensor, labels: int) -> Tensor:
    """Return the weight of each target in truth (N, labels, ...): of its value, or of its label."""
    if labels == 1:
        return _checked("class_weights", weights, 2)[truth.long()]
    by_label = _checked("class_weights", weights, labels)
    return by_label.view(1, -1, *(1,) * (truth.ndim - 2)).expand_as(truth)
