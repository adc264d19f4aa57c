"""Rules on transforms of samples and of batches."""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import torch
from torch import Tensor
from torchvision.transforms import v2

from gvt import Batch, ConfigError, DataConfig, Loader, TrainConfig
from gvt_author.testing.check import Failed, Skipped, rule
from gvt_author.testing.stand_ins import TARGETS, Pictures
from gvt_author.testing.training import different, listed
from gvt_author.testing.trial import CPU, SHAPE, built, example, leaves
from gvt_registry import Offer

SIZES = ((32, 32), (24, 40), (40, 24), (32, 32))
"""(H, W) of the samples that are transformed."""

OF_PARTS = tuple(key for key in TARGETS if key != "class")
"""Targets that are valid for a part of an image, too."""


@rule("transform", name="shapes")
def transformed(offer: Offer) -> None:
    """Samples keep their fields and objects, and batches their images and classes."""
    for mode in _modes(offer):
        try:
            batch = _first(offer, mode)
        except ConfigError as error:
            raise Failed(str(error)) from error
        if problem := _complaint(batch):
            raise Failed(f"data.{mode}: {problem}")


@rule("transform", name="determinism")
def same_draws(offer: Offer) -> None:
    """The same seed gives the same images and targets."""
    for mode in _modes(offer):
        one, other = (_leaves(_right(offer, mode)) for _ in range(2))
        if names := different(one, other):
            raise Failed(
                f"data.{mode}: {listed(names)} differs for the same seed; draw from torch's "
                "default generator"
            )


@rule("transform", name="workers")
def sent(offer: Offer) -> None:
    """It can be sent to the processes that read samples."""
    try:
        pickle.loads(pickle.dumps(built(offer)))
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise Failed(
            f"it cannot be pickled: {error}; keep no function in it that is defined in another"
        ) from error


def _modes(offer: Offer) -> tuple[str, ...]:
    """Return the settings in which a transform can be used."""
    transform: Any = built(offer)
    if getattr(transform, "mixes", False):
        return ("batch_transforms",)
    return ("transforms", "batch_transforms")[: 2 if isinstance(transform, v2.Transform) else 1]


def _first(offer: Offer, mode: str) -> Batch:
    """Return a batch of transformed samples, or a transformed batch."""
    transform = {"name": offer.component.name, **example(offer.load())}
    settings = {"name": "pictures", "batch_size": 4, "shuffle": False, "workers": 0}
    config = DataConfig.model_validate({**settings, "resident": False, mode: [transform]})

    def first(keys: Iterable[str], sizes: Sequence[tuple[int, int]] = ()) -> Batch:
        pictures = Pictures(SHAPE, keys, sizes=sizes)
        return Loader(pictures, config, TrainConfig(steps=1), CPU).first(4)

    if mode == "batch_transforms":
        return first(("class",))
    if getattr(built(offer), "composes", False):
        with suppress(ConfigError):  # it may refuse a class, which is not that of a part
            return first(TARGETS, SIZES)
        return first(OF_PARTS, SIZES)
    return first(TARGETS, SIZES)


def _right(offer: Offer, mode: str) -> Batch:
    try:
        return _first(offer, mode)
    except Exception as error:
        raise Skipped("it cannot be applied; see the rule 'shapes'") from error


def _leaves(batch: Batch) -> dict[str, Tensor]:
    targets: Mapping[str, Any] = {**batch.targets.dense, **batch.targets.ragged}  # type: ignore[union-attr]
    return {"image": batch.images, **dict(leaves(targets))}


def _complaint(batch: Batch) -> str | None:
    """Return what is wrong with a batch of transformed images and their targets."""
    images, targets = batch.images, batch.targets
    assert targets is not None
    if images.ndim != 4 or len(images) != 4 or not images.is_floating_point():
        return f"images came as {tuple(images.shape)} of {images.dtype}, expected (4, C, H, W)"
    if not images.isfinite().all():
        return "an image has a value that is not finite"
    shares = targets["class"] if "class" in targets else torch.zeros(4)
    if shares.ndim == 2 and not torch.allclose(shares.sum(dim=1), torch.ones(4), atol=1e-4):
        return "the shares of the classes, (N, K), do not have the sum 1 for each image"
    keys = [key for key in ("boxes", "labels", "masks") if key in targets]
    counts = {tuple(map(len, targets[key])) for key in keys}
    return "boxes, labels and masks have different lengths" if len(counts) > 1 else None
