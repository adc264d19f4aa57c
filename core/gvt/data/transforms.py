"""Augmentation of samples by transforms of `torchvision.transforms.v2`, or of plugins."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torchvision import tv_tensors
from torchvision.transforms import v2

from gvt.batch import Sample
from gvt.config.named import library, target_of
from gvt.config.parameters import check_parameters, construct, signature_of
from gvt.config.schema import ComponentConfig
from gvt.data.objects import picked, tidied
from gvt.errors import ConfigError
from gvt.fields import field_of
from gvt.printable import printable

# Erased objects keep their boxes and masks, like occluded ones.
warnings.filterwarnings("ignore", message=r"RandomErasing\(\) is currently passing through")


class SanitizeBoundingBoxes(v2.SanitizeBoundingBoxes):  # type: ignore[misc]  # has no types
    """Drop small boxes with their labels, masks and other targets with one row for each box.

    Args:
        min_size: Least length of a box's shorter side, in pixels.
        min_area: Least area of a box, in pixels.
    """

    def __init__(self, min_size: float = 1.0, min_area: float = 1.0) -> None:
        super().__init__(min_size, min_area)

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """Return one tensor of a sample without the rows of dropped boxes."""
        if isinstance(inpt, tv_tensors.Mask) and inpt.ndim < 3:
            return inpt  # `semantic`, whose rows are not objects
        return super().transform(inpt, params)


SAMPLES = "data.transforms"
"""Setting with the transforms of samples."""

Stage = Callable[[Sample, Callable[[], Sample]], Sample]
"""Transforms of a sample, which are also passed a function that returns another sample."""


def build_transforms(
    where: str, configs: Sequence[ComponentConfig], num_classes: int | None = None
) -> Callable[..., Any] | None:
    """Build transforms, and return their composition; None if there are none.

    One that has a parameter `transforms`, as `RandomApply` has, takes a list of transforms there.

    Args:
        where: Prefix of error messages, such as the setting's name.
        configs: The transforms by name, of torchvision or of plugins.
        num_classes: Number of classes, for those that have this parameter, such as `MixUp`.

    Raises:
        ConfigError: If there is no transform of that name, or an argument is wrong.
    """
    parts = _built(where, configs, num_classes)
    return v2.Compose(parts) if parts else None


def mixes(transform: Any) -> bool:
    """Return whether a transform mixes the samples of a batch, as `MixUp` does.

    One of a plugin then has the attribute `mixes`.
    """
    is_mixing = isinstance(transform, v2.MixUp | v2.CutMix) or getattr(transform, "mixes", False)
    return is_mixing or any(map(mixes, getattr(transform, "transforms", ())))


def stages_of(transforms: v2.Compose | None) -> list[Stage]:
    """Return the transforms of samples in stages, which begin with those that compose samples.

    One that has the attribute `composes` is called with a `gvt.Sample` and a function that returns
    another one, drawn at random, after the transforms of the stages before. It returns a sample.

    Args:
        transforms: Transforms, as `build_transforms` returns them.
    """
    groups: list[list[Any]] = [[None]]
    for part in transforms.transforms if transforms else ():
        if getattr(part, "composes", False):
            groups.append([part])
        else:
            groups[-1].append(part)
    return [partial(_through, compose, others) for compose, *others in groups]


def _through(
    compose: Stage | None, others: Sequence[Any], sample: Sample, another: Callable[[], Sample]
) -> Sample:
    """Return a sample that is composed with others, if at all, and then transformed."""
    made: Any = sample if compose is None else compose(sample, another)
    if not isinstance(made, Sample):
        name, kind = type(compose).__name__, type(made).__name__
        raise ConfigError(f"{SAMPLES}: {name} returned a {kind}, not a gvt.Sample")
    return transform_sample(v2.Compose(others), made) if others else made


def _built(
    where: str, configs: Sequence[ComponentConfig], num_classes: int | None
) -> list[Callable[..., Any]]:
    parts = []
    for index, config in enumerate(configs):
        place = f"{where}[{index}]"
        name = config.name
        try:
            target = target_of("transform", name)
        except ConfigError as error:
            raise ConfigError(f"{place}.name: {error}") from error
        is_own, takes = name not in library("transform"), signature_of(target)[0]
        if target is v2.SanitizeBoundingBoxes:
            target = SanitizeBoundingBoxes
        parameters, injected = config.parameters, dict[str, Any]()
        if "transforms" in takes and "transforms" in parameters:
            nested = _configs(f"{place}.transforms", parameters.pop("transforms"))
            injected["transforms"] = _built(f"{place}.transforms", nested, num_classes)
        if "num_classes" in takes:
            injected["num_classes"] = num_classes
        try:
            checked = check_parameters(place, target, parameters, injected)
            if "fill" in takes and not is_own:
                # Masks are filled with 0, and everything else like images.
                value = checked.get("fill", takes["fill"].default)
                checked["fill"] = {tv_tensors.Mask: 0, "others": value or 0}
            part = construct(place, target, {**checked, **injected})
            if isinstance(part, v2.RandomIoUCrop) and max(part.options, default=0) < 1:
                raise ValueError(  # it would search endlessly
                    f"sampler_options {part.options}: add 1 or more, which leaves an image "
                    "unchanged, since no crop of an image without objects meets the others"
                )
            if mixes(part) if where == SAMPLES else getattr(part, "composes", False):
                right = "data.batch_transforms" if where == SAMPLES else SAMPLES
                raise ValueError(f"it can only be in the list {right}; move it there")
            parts.append(part)
        except ValueError as error:
            raise ConfigError(f"{place}: {name}: {error}") from error
    return parts


def _configs(where: str, values: Any) -> list[ComponentConfig]:
    if not isinstance(values, list) or not all(isinstance(v, dict) and "name" in v for v in values):
        raise ConfigError(f"{where}: should be a list of transforms, such as [{{name: ...}}]")
    return [ComponentConfig(**value) for value in values]


def transform_sample(transform: Callable[..., Any], sample: Sample) -> Sample:
    """Return the sample with its image and all other spatial fields transformed together.

    In pixels from outside the image, masks are 0 and `semantic` is 255, for any `fill` of the
    image. Boxes are clipped to the image and fitted to their masks again, and objects that are no
    longer visible are dropped; see `gvt.data.objects.tidied`. The record's geometry becomes None,
    since the parameters of a random transform are not known.

    Raises:
        ConfigError: If a transform does not support a target of the sample, or loses a key.
    """
    size = _size(sample.inputs)
    inputs, targets = (_wrapped(part, size) for part in (sample.inputs, sample.targets))
    if "boxes" in targets:  # transforms that drop boxes drop the same rows of `labels`
        targets["labels"] = torch.arange(len(targets["boxes"]))
    try:
        transformed = transform({**inputs, **targets})
    except TypeError as error:
        if explained := _explained(error, sample):
            raise explained from error
        raise
    if lost := {*inputs, *targets} - {*transformed}:
        raise ConfigError(f"data.transforms: a transform loses {min(lost)!r}; return all keys")
    size = _size(transformed)
    rows = transformed.pop("labels", None)
    plain = {key: field_of(key).unwrapped(value, size) for key, value in transformed.items()}
    inputs = {**sample.inputs, **{key: plain.pop(key) for key in inputs}}
    targets = {**sample.targets, **plain}
    if rows is not None:
        keep = torch.zeros(len(sample.targets["boxes"]), dtype=torch.bool)
        before = picked(sample.targets, keep.index_fill(0, rows, True))
        targets = tidied({**before, **plain}, size, before)
    return Sample(inputs, targets, replace(sample.record, geometry=None))


def _size(values: Mapping[str, Any]) -> tuple[int, int]:
    """Return the (H, W) of the image of a sample; (0, 0) without one."""
    return tuple(values["image"].shape[-2:]) if "image" in values else (0, 0)


def _wrapped(values: Mapping[str, Any], size: tuple[int, int]) -> dict[str, Any]:
    """Return the spatial values of a sample as the tensor types that transforms expect."""
    fields = {key: field_of(key) for key in values}
    return {k: f.wrapped(values[k], size) for k, f in fields.items() if f.is_spatial}


def _explained(error: TypeError, sample: Sample) -> ConfigError | None:
    """Return a clearer error if torchvision cannot transform the targets of a sample."""
    keys = ", ".join(sorted(key for key in sample.targets if field_of(key).is_spatial))
    text = " ".join(str(error).split())
    if "requires input sample to contain" in text:
        return ConfigError(
            f"data.transforms: {text.partition(' ')[0]} needs boxes, but "
            f"{printable(sample.record.source)} has {keys or 'none'}; use other transforms"
        )
    if "not supported by" in text:
        return ConfigError(
            f"data.transforms: {text.rpartition('by ')[2]} transforms images only, but this data "
            f"has {keys}; use other transforms"
        )
    return None
