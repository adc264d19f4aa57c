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
from gvt.fields import field_of
from gvt.interfaces import Dataset, MixedDataset
from gvt.printable import printable
from gvt.seeding import derive, seeded

WHERE = "data.batch_transforms"


class BatchTransform:
    """Transforms of whole batches, seeded by (seed, epoch, batch).

    Only images are transformed. Those that mix samples, such as `MixUp` and `CutMix`, also mix the
    classes (N,) to shares of the classes, (N, K) float32.

    Args:
        configs: The transforms by name.
        dataset: The training data.

    Raises:
        ConfigError: If a transform does not exist, if the data has boxes, masks or other targets
            that would have to be transformed, or if classes cannot be mixed because samples have
            none or parts of the data have different classes.
    """

    def __init__(self, configs: Sequence[ComponentConfig], dataset: Dataset) -> None:
        info = DataInfo.of(dataset)
        self._transform = build_transforms(WHERE, configs, len(info.classes))
        if self._transform is None:
            return
        self._mixes = mixes(self._transform)
        if self._mixes and len({frozenset(part.classes) for part in info.parts.values()}) > 1:
            raise ConfigError(  # no head could learn from a mixture of two such parts
                f"{WHERE}: MixUp and CutMix mix images of all parts of the data, but the classes "
                f"of {', '.join(map(printable, info.parts))} differ; leave them out"
            )
        keys = [set(sample.targets) for sample in first_samples(dataset)]
        anywhere, everywhere = set.union(*keys), set.intersection(*keys)
        self._check(anywhere, anywhere - everywhere)

    def __call__(self, batch: Batch, place: Place, order: Order) -> Batch:
        """Return a batch with transformed images; its place in the order seeds the transforms."""
        if self._transform is None:
            return batch
        targets = batch.targets or Targets({})
        self._check({*targets.dense, *targets.ragged}, targets.present)
        key = derive(order.seed, "batch", place.epoch, place.number, order.rank)
        with seeded(key, batch.images.device):
            if self._mixes:
                # Wrapped, since transforms would take a second plain tensor for another image.
                images, shares = self._transform(tv_tensors.Image(batch.images), targets["class"])
                targets = replace(targets, dense={**targets.dense, "class": shares})
            else:
                images = self._transform(batch.images)
        inputs = {**batch.inputs, "image": images.as_subclass(Tensor)}
        return replace(batch, inputs=inputs, targets=targets)

    def _check(self, keys: Collection[str], partial: Collection[str] = ()) -> None:
        spatial = sorted(key for key in keys if field_of(key).is_spatial)
        if spatial:
            raise ConfigError(
                f"{WHERE}: only images are transformed, but this data has {', '.join(spatial)}; "
                "use data.transforms"
            )
        if self._mixes and ("class" not in keys or "class" in partial):
            reason = "images without a class" if "class" in partial else "no classes of images"
            raise ConfigError(
                f"{WHERE}: MixUp and CutMix mix images and classes, but this data has {reason}"
            )


def first_samples(dataset: Dataset) -> list[Sample]:
    """Return the first sample of each part of mixed data, or of a data set without parts."""
    if isinstance(dataset, MixedDataset) and dataset.parts:
        parts = dataset.parts.values()
        return [sample for part in parts if len(part) for sample in first_samples(part)]
    with seeded(0):
        return [dataset[0]]
