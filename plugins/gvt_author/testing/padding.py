"""Rules on batches of images of several sizes, which are padded to one canvas."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil, lcm
from typing import Any

import torch
from torch import Tensor, nn

from gvt import Batch, Head, random_source, seed_everything
from gvt.data import Streamed
from gvt.loop import evaluating
from gvt_author.testing.check import Failed, Skipped, rule
from gvt_author.testing.shapes import predictions_complaint
from gvt_author.testing.training import check_finite, listed, phases
from gvt_author.testing.trial import CPU, Trial, build, leaves, tried
from gvt_registry import Offer

Size = tuple[int, int]
Values = dict[str, Tensor]

SHARES = ((1.0, 1.0), (0.75, 1.0), (1.0, 0.5), (0.6, 0.8))
"""Height and width of each image of a batch, as fractions of the usual size."""

FACTOR = 2
"""Factor of the image sizes for `padding_reach`, so that coarse maps have several cells."""

PYRAMID = {f"p{level}": (8, 2**level) for level in range(2, 6)}
"""The (channels, stride) of maps with equal channels, tried besides those of the kit's backbone."""

LOUD = 10.0
"""Standard deviation of the features in the padding; those of the image are in [0, 1]."""


@rule("head")
def padding(offer: Offer) -> None:
    """It learns from images of several sizes in one batch, and predicts nothing beyond each."""
    trial = tried(offer)
    if predictions_complaint(trial, trial.batch()):
        raise Skipped("predictions are wrong in one size already; see the rule 'shapes'")
    batch = _batch(trial, _sizes(trial, 1))
    for _, losses in phases(trial.task, batch):
        check_finite(losses, "for images of several sizes")
    if problem := predictions_complaint(trial, batch):
        raise Failed(f"for images of several sizes, {problem}; batch.frame.sizes has their sizes")


@rule("head")
def padding_reach(offer: Offer) -> None:
    """If it declares a `padding_reach` in pixels, padding beyond it changes nothing."""
    trial = tried(offer)
    if getattr(trial.component, "padding_reach", None) is None:
        raise Skipped("it does not declare a padding_reach")
    if predictions_complaint(trial, trial.batch()):
        raise Skipped("predictions are wrong in one size already; see the rule 'shapes'")
    seed_everything(0)
    try:
        on_pyramid: Head | None = build(offer, facts={"feature_info": PYRAMID})
    except ValueError:  # it does not support such maps
        on_pyramid = None
    for head, info in ((trial.component, _maps_of(trial)), (on_pyramid, PYRAMID)):
        if head is not None and (odd := _dependent(_Padded(trial, head, info))):
            raise Failed(
                f"{listed(odd)} changes with the padding more than {head.padding_reach} pixels "
                "beyond an image; leave the padding out, with batch.frame and gvt.vision.padding, "
                "or declare the number of its pixels that the layers see as padding_reach"
            )


class _Padded:
    """Images of several sizes with their feature maps, on canvases of any size.

    The maps of an image are the same on every canvas, up to the `padding_reach` of the head. The
    rest is random and depends on a seed.

    Args:
        trial: The source of images with targets.
        head: The head, which gets new weights.
        info: The (channels, stride) of each feature map.
    """

    def __init__(self, trial: Trial, head: Any, info: Mapping[str, tuple[int, int]]) -> None:
        self._trial, self._head, self._info = trial, head, info
        _enliven(head)
        self.sizes = _sizes(trial, FACTOR)[2:]
        step = lcm(*(stride for _, stride in info.values()))
        # Only an image alone has a canvas that is not a multiple of every stride.
        reach: int = head.padding_reach
        self.tight = [
            _rounded((height + reach, width + reach), step) if reach else (height, width)
            for height, width in self.sizes
        ]
        largest = (max(h for h, _ in self.tight), max(w for _, w in self.tight))
        self.wide = _rounded((largest[0] + step, largest[1] + 2 * step), step)
        self.wider = (self.wide[0] + 2 * step, self.wide[1] + step)

    def computed(self, rows: Sequence[int], canvas: Size, seed: int = 0) -> tuple[Values, Values]:
        """Return the losses, and the predictions cut to the images, both by name.

        Args:
            rows: Indices of the images in the batch.
            canvas: (H, W) that they are padded to.
            seed: Seed of the features in the padding.
        """
        batch = _batch(self._trial, self.sizes, rows, canvas)
        features = {
            name: torch.stack([self._map(name, row, canvas, seed) for row in rows])
            for name in self._info
        }
        with evaluating(self._head), torch.no_grad():
            outputs = self._head(features, batch)
            seed_everything(0)
            losses = self._head.loss(outputs, batch.targets)
            seed_everything(0)
            predictions = self._head.predict(outputs)
        shown = {
            f"prediction/{row}/{name}": _cut(value, canvas, self.sizes[row])
            for row, prediction in zip(rows, predictions, strict=True)
            for name, value in leaves(prediction)
        }
        return {f"loss {name}": loss for name, loss in losses.items()}, shown

    def _map(self, name: str, row: int, canvas: Size, seed: int) -> Tensor:
        channels, stride = self._info[name]
        height, width = (ceil(side / stride) for side in self.tight[row])
        cells = [ceil(side / stride) for side in canvas]
        image = torch.rand(channels, height, width, generator=random_source(0, name, row))
        loud = random_source(seed, "padding", name, row)
        whole = LOUD * torch.randn(channels, *cells, generator=loud)
        whole[:, :height, :width] = image[:, : cells[0], : cells[1]]
        return whole


def _dependent(padded: _Padded) -> list[str]:
    """Return the names of the losses and predictions that depend on the padding."""
    rows = range(len(padded.sizes))
    losses, together = padded.computed(rows, padded.wide)
    odd = _apart(losses, padded.computed(rows, padded.wider, seed=1)[0])
    for row in rows:
        alone = padded.computed([row], padded.tight[row])
        odd += _apart(alone[0], padded.computed([row], padded.wide)[0])
        beside = {n: v for n, v in together.items() if n.startswith(f"prediction/{row}/")}
        odd += _apart(alone[1], beside)
    return list(dict.fromkeys(odd))


def _apart(one: Values, other: Values) -> list[str]:
    """Return the names of values that differ by more than rounding."""
    return sorted(one.keys() ^ other.keys()) + [
        name
        for name, value in one.items()
        if name in other and not _close(value.float(), other[name].float())
    ]


def _close(one: Tensor, other: Tensor) -> bool:
    return one.shape == other.shape and torch.allclose(one, other, 1e-3, 1e-3, equal_nan=True)


def _enliven(head: nn.Module) -> None:
    """Set weights with which locations differ, like those of a trained head."""
    seed_everything(0)
    with torch.no_grad():
        for name, parameter in head.named_parameters():
            if parameter.ndim > 1:
                parameter.normal_(std=parameter[0].numel() ** -0.5)
            elif name.endswith("bias"):
                parameter.normal_(std=0.5)


def _maps_of(trial: Trial) -> Mapping[str, tuple[int, int]]:
    info: Mapping[str, tuple[int, int]] = trial.task.get_submodule("backbone").feature_info  # type: ignore[assignment]
    return info


def _sizes(trial: Trial, factor: int) -> list[Size]:
    """Return (H, W) of each image of a batch."""
    height, width = (factor * side for side in trial.shape[1:])
    return [(ceil(height * down), ceil(width * across)) for down, across in SHARES]


def _batch(
    trial: Trial, sizes: Sequence[Size], rows: Sequence[int] | None = None, canvas: Size = (1, 1)
) -> Batch:
    """Return images of several sizes as a batch, on a canvas that is enlarged if necessary."""
    rows = range(len(sizes)) if rows is None else rows
    pictures = trial.pictures(sizes=[*sizes, canvas])
    # One more image has the size of the canvas, and is removed again.
    indices = torch.tensor([*rows, len(sizes)])
    batch = next(Streamed(pictures, CPU).batches([(0, indices)]))
    return batch.select(torch.arange(len(rows)))


def _rounded(size: Size, step: int) -> Size:
    """Return a size with both sides rounded up to multiples of a number of pixels."""
    return (ceil(size[0] / step) * step, ceil(size[1] / step) * step)


def _cut(value: Tensor, canvas: Size, size: Size) -> Tensor:
    """Return the part of a prediction for pixels that covers an image; others unchanged."""
    return value[..., : size[0], : size[1]] if tuple(value.shape[-2:]) == canvas else value
