"""Augmentation of whole training batches, on the device."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from torch import Tensor
from torchvision import tv_tensors

from gvt.batch import Batch, Sample, Targets
from gvt.config.schema import ComponentConfig
from gvt.data.order import Order, Place
from gvt.data.transforms import build_transforms, mixes
from gvt.data_info import DataInfo
from gvt.errors import ConfigError
from gvt.geometry import SPATIAL_KEYS
from gvt.interfaces import Dataset, MixedDataset
from gvt.printable import printable
from gvt.seeding import derive, seeded

WHERE = "data.batch_transforms"


class BatchTransform:
    """Transforms of `torchvision.transforms.v2`, by the randomness of (seed, epoch, batch).

    They see the images alone; `MixUp` and `CutMix` also the classes (N,), which become shares of
    the classes, (N, K) float32.

    Args:
        configs: The transforms by name.
        dataset: The training data.

    Raises:
        ConfigError: If there is none of a name, or the data has what they would leave behind, or
            lacks what they mix, or is of parts with other classes, which cannot be mixed.
    """

    def __init__(self, configs: Sequence[ComponentConfig], dataset: Dataset) -> None:
        info = DataInfo.of(dataset)
        self._transform = build_transforms(WHERE, configs, len(info.classes))
        self._mixes = self._transform is not None and mixes(self._transform)
        if self._mixes:
            _check_same_classes(info)
        if self._transform is not None:
            known = [set(sample.targets) for sample in first_samples(dataset)]
            anywhere, everywhere = set.union(*known), set.intersection(*known)
            self._check(anywhere, anywhere - everywhere)

    def __call__(self, batch: Batch, place: Place, order: Order) -> Batch:
        """Return the batch at a place of the order with its images transformed."""
        if self._transform is None:
            return batch
        targets = batch.targets or Targets({})
        self._check({*targets.dense, *targets.ragged}, targets.present)
        key = derive(order.seed, "batch", place.epoch, place.number, order.rank)
        with seeded(key, batch.images.device):
            if not self._mixes:
                return replace(batch, images=self._transform(batch.images))
            # Wrapped, or transforms would take the classes for a second image.
            images, shares = self._transform(tv_tensors.Image(batch.images), targets["class"])
        dense = {**targets.dense, "class": shares}
        images = images.as_subclass(Tensor)
        return replace(batch, images=images, targets=replace(targets, dense=dense))

    def _check(self, keys: Collection[str], partial: Collection[str] = ()) -> None:
        spatial = sorted(SPATIAL_KEYS & set(keys))
        if spatial:
            raise ConfigError(
                f"{WHERE}: they see the images only, and this data has {', '.join(spatial)}; use "
                "data.transforms"
            )
        if self._mixes and ("class" not in keys or "class" in partial):
            lacks = "pictures without a class" if "class" in partial else "no classes of pictures"
            raise ConfigError(
                f"{WHERE}: MixUp and CutMix mix pictures with their classes, and this data has "
                f"{lacks}"
            )


def first_samples(dataset: Dataset) -> list[Sample]:
    """Return the first sample of each part of mixed data, or of a data set that has no parts."""
    if isinstance(dataset, MixedDataset) and dataset.parts:
        parts = dataset.parts.values()
        return [sample for part in parts if len(part) for sample in first_samples(part)]
    with seeded(0):
        return [dataset[0]]


def _check_same_classes(info: DataInfo) -> None:
    """Check that every picture of mixed data may be mixed with every other.

    Raises:
        ConfigError: If parts have other classes, since of a picture of two parts neither's head
            would be told all.
    """
    if len({frozenset(part.classes) for part in info.parts.values()}) > 1:
        raise ConfigError(
            f"{WHERE}: MixUp and CutMix mix pictures of all parts of the data, and "
            f"{', '.join(map(printable, info.parts))} have other classes; leave them out"
        )
