"""Rules on data sets."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import Any

import torch
from torch import Tensor

from gvt import (
    IGNORED,
    Batch,
    DataConfig,
    DataError,
    DataInfo,
    Loader,
    Record,
    ResidentDataset,
    Sample,
    Targets,
    TrainConfig,
    seeded,
)
from gvt_author.testing.check import Failed, Skipped, rule
from gvt_author.testing.objects import truth_complaint
from gvt_author.testing.training import different, listed
from gvt_author.testing.trial import CPU, built, leaves
from gvt_registry import Offer

LOOKED_AT = 8
"""Samples of a data set that are read."""


@rule("dataset", name="shapes")
def samples(offer: Offer) -> None:
    """Its samples have the declared shape, values in range, and targets of the right forms."""
    dataset = built(offer)
    if "train" not in getattr(dataset, "splits", ()):
        raise Failed("its `splits` do not contain 'train'; see gvt.Dataset")
    try:
        info = DataInfo.of(dataset)
    except DataError as error:
        raise Failed(str(error).removeprefix("data: ")) from error
    for index in range(_count(dataset)):
        sample = dataset[index]
        problem = _image_complaint(sample, info.image_shape) or _target_complaint(
            sample, len(info.classes), info.background
        )
        if problem:
            raise Failed(f"sample {index}: {problem}")


@rule("dataset")
def resident(offer: Offer) -> None:
    """If it has whole tensors, they are equal to its samples."""
    dataset, info = _described(offer)
    is_resident = isinstance(dataset, ResidentDataset)
    if not is_resident or info.image_shape is None:
        raise Skipped("it has no whole tensors, or images of several sizes")
    inputs, targets = dataset.tensors()
    images = inputs["image"]
    expected = (len(dataset), *info.image_shape)
    if images.dtype != torch.uint8 or tuple(images.shape) != expected:
        raise Failed(
            f"tensors() returned images {tuple(images.shape)} of {images.dtype}; expected "
            f"{expected} of torch.uint8"
        )
    for index in range(_count(dataset)):
        sample = dataset[index]
        whole = {"image": images[index], **{key: value[index] for key, value in targets.items()}}
        single = {"image": sample.image, **{k: torch.as_tensor(sample.targets[k]) for k in targets}}
        if names := different(single, whole):
            raise Failed(f"sample {index}: {listed(names)} of tensors() differs from the sample")
        if dataset.record(index).source != sample.record.source:
            raise Failed(f"sample {index}: record() has another source than the sample")


@rule("dataset", name="determinism")
def same_samples(offer: Offer) -> None:
    """Opened twice, it returns the same samples for the same seed."""
    one, other = built(offer), built(offer)
    if len(one) != len(other):
        raise Failed(f"it has {len(one)} samples, and {len(other)} when it is opened again")
    for index in range(_count(one)):
        pair = []
        for dataset in (one, other):
            with seeded(index):
                pair.append(_tensors(dataset[index]))
        if names := different(*pair):
            raise Failed(
                f"sample {index}: {listed(names)} differs when it is opened again; sort the files "
                "of a folder, and draw from torch's default generator"
            )


@rule("dataset")
def workers(offer: Offer) -> None:
    """Two workers read the same samples as the main process."""
    dataset, _ = _described(offer)
    train = TrainConfig(steps=2)
    batches = []
    for count in (0, 2):
        config = DataConfig(
            name=offer.component.name,
            batch_size=min(4, len(dataset)),
            resident=False,
            workers=count,
        )
        groups = Loader(dataset, config, train, CPU).groups()
        batches.append([group[0] for group in islice(groups, 4)])
        groups.close()
    for number, (alone, shared) in enumerate(zip(*batches, strict=True)):
        if names := different(_tensors_of_batch(alone), _tensors_of_batch(shared)):
            raise Failed(
                f"batch {number}: {listed(names)} differs with two workers; a sample may only "
                "depend on its index and on torch's default generator, not on earlier samples"
            )


def _described(offer: Offer) -> tuple[Any, DataInfo]:
    """Return a data set and its information, for a rule that does not check the latter.

    Raises:
        Skipped: If the information is invalid, which the rule `shapes` reports.
    """
    dataset = built(offer)
    try:
        return dataset, DataInfo.of(dataset)
    except DataError as error:
        raise Skipped("its DataInfo is invalid; see the rule 'shapes'") from error


def _count(dataset: Any) -> int:
    return min(LOOKED_AT, len(dataset))


def _tensors(sample: Sample) -> dict[str, Tensor]:
    values = {**sample.inputs, **sample.targets}.items()
    return {key: torch.as_tensor(value) for key, value in values if not isinstance(value, str)}


def _tensors_of_batch(batch: Batch) -> dict[str, Tensor]:
    targets = batch.targets or Targets({})
    return dict(leaves({**batch.inputs, **targets.dense, **targets.ragged}))


def _image_complaint(sample: Any, shape: tuple[int, ...] | None) -> str | None:
    if not isinstance(sample, Sample) or not isinstance(sample.record, Record):
        return f"it is a {type(sample).__name__}; expected a gvt.Sample with a gvt.Record"
    if "image" not in sample.inputs:
        return None if sample.inputs else "it has no inputs, such as an image"
    image = sample.image
    if image.ndim != 3 or (shape is not None and tuple(image.shape) != tuple(shape)):
        return f"its image came as {tuple(image.shape)}, expected {shape or '(C, H, W)'}"
    if image.dtype == torch.uint8:
        return None
    if not image.is_floating_point() or image.min() < 0 or image.max() > 1:
        return (
            f"its image is {image.dtype} from {image.min():.3g} to {image.max():.3g}; expected "
            "uint8, or float in [0, 1]"
        )
    return None


def _target_complaint(sample: Sample, classes: int, background: bool) -> str | None:
    targets: Mapping[str, Any] = sample.targets
    height, width = sample.image.shape[1:] if "image" in sample.inputs else (0, 0)
    forms: dict[str, tuple[int, ...]] = {"semantic": (height, width), "class": ()}
    for key, form in forms.items():
        if key in targets and tuple(torch.as_tensor(targets[key]).shape) != form:
            came = tuple(torch.as_tensor(targets[key]).shape)
            return f"target {key!r} came as {came}, expected {form}"
    if "class" in targets and not 0 <= int(targets["class"]) < classes:
        return f"target 'class' is {targets['class']}, and there are {classes} classes from 0"
    for number in torch.unique(torch.as_tensor(targets.get("semantic", []))).tolist():
        if number != IGNORED and not 0 <= number < classes + background:
            return (
                f"target 'semantic' has a pixel {number}; {classes} classes are numbered from 0, "
                + (f"{classes} is the background, " if background else "")
                + f"and {IGNORED} is ignored"
            )
    return truth_complaint(targets, (height, width), classes)
