"""Augmentation by the names of `torchvision.transforms.v2`."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import v2

from gvt.batch import IGNORED, Sample
from gvt.config.parameters import check_parameters, signature_of
from gvt.config.schema import ComponentConfig
from gvt.data.objects import picked, tidied, tight
from gvt.data.proposals import KEY as PROPOSALS
from gvt.data.proposals import Proposals, left_of
from gvt.errors import ConfigError
from gvt.geometry import SPATIAL_KEYS
from gvt.printable import printable
from gvt_registry import nearest

# What is erased keeps its boxes and masks, as it does where something stands in front of it.
warnings.filterwarnings("ignore", message=r"RandomErasing\(\) is currently passing through")


class SanitizeBoundingBoxes(v2.SanitizeBoundingBoxes):  # type: ignore[misc]  # has no types
    """Drops small boxes with their labels, masks and all else that has a row for each.

    Args:
        min_size: Pixels of a box's shorter side.
        min_area: Pixels of its area.
    """

    def __init__(self, min_size: float = 1.0, min_area: float = 1.0) -> None:
        super().__init__(min_size, min_area)

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """Return what is left of one part of a sample."""
        if isinstance(inpt, tv_tensors.Mask) and inpt.ndim < 3:
            return inpt  # `semantic`, whose rows are no objects
        return super().transform(inpt, params)


_OWN = {"SanitizeBoundingBoxes": SanitizeBoundingBoxes}
_OF_OTHERS = (v2.Compose, v2.RandomApply, v2.RandomChoice, v2.RandomOrder)
_MIXING = (v2.MixUp, v2.CutMix)


def build_transforms(
    where: str, configs: Sequence[ComponentConfig], num_classes: int | None = None
) -> Callable[..., Any] | None:
    """Return the transforms as one, or None for none.

    `RandomChoice` and its like take a list of others as `transforms`.

    Args:
        where: What an error begins with.
        configs: The transforms by name.
        num_classes: Number of classes, for `MixUp` and `CutMix`.

    Raises:
        ConfigError: If torchvision has none of that name, or it takes no such argument.
    """
    parts = _built(where, configs, num_classes)
    return v2.Compose(parts) if parts else None


def mixes(transform: Any) -> bool:
    """Return whether a transform mixes the samples of a batch, as `MixUp` does."""
    return isinstance(transform, _MIXING) or any(map(mixes, getattr(transform, "transforms", ())))


def _built(
    where: str, configs: Sequence[ComponentConfig], num_classes: int | None
) -> list[Callable[..., Any]]:
    parts = []
    known = [n for n, v in vars(v2).items() if isinstance(v, type) and n[0].isupper()]
    for index, config in enumerate(configs):
        place = f"{where}[{index}]"
        if config.name not in known:
            hint = nearest(config.name, known)
            raise ConfigError(
                f"{place}.name: torchvision.transforms.v2 has no {config.name!r}{hint}"
            )
        target = _OWN.get(config.name) or getattr(v2, config.name)
        given, injected = config.parameters, dict[str, Any]()
        if target in _OF_OTHERS and "transforms" in given:
            others = _configs(f"{place}.transforms", given.pop("transforms"))
            injected["transforms"] = _built(f"{place}.transforms", others, num_classes)
        elif target in _MIXING:
            injected["num_classes"] = num_classes
        try:
            checked = check_parameters(place, target, given, injected)
            if (fill := signature_of(target)[0].get("fill")) is not None:
                checked["fill"] = _fills(checked.get("fill", fill.default))
            parts.append(_sure_to_end(target(**checked, **injected)))
        except (TypeError, ValueError) as error:
            raise ConfigError(f"{place}: {config.name}: {error}") from error
    return parts


def _sure_to_end(transform: Any) -> Any:
    """Return a transform that ends for every picture.

    Raises:
        ValueError: If it would look for a crop for ever in a picture without objects.
    """
    if isinstance(transform, v2.RandomIoUCrop) and max(transform.options, default=0) < 1:
        raise ValueError(
            f"sampler_options {transform.options}: with 1 or more among them, which leaves a "
            "picture as it is, as one without objects has to be"
        )
    return transform


def _configs(where: str, given: Any) -> list[ComponentConfig]:
    if not isinstance(given, list) or not all(isinstance(g, dict) and "name" in g for g in given):
        raise ConfigError(f"{where}: takes a list of transforms, as in [{{name: ...}}]")
    return [ComponentConfig(**of_one) for of_one in given]


def _fills(given: Any) -> dict[type | str, Any]:
    """Return what each kind of tensor is filled up with, from what images are."""
    return {tv_tensors.Mask: 0, "others": given or 0}


def transform_sample(transform: Callable[..., Any], sample: Sample) -> Sample:
    """Return the sample with image, boxes, masks and proposals transformed together.

    Where pixels come in from outside, masks are 0 and `semantic` is 255, whatever the image is
    filled up with. Boxes are clipped to the image, those that ended where their masks did do so
    again, and objects of which nothing is left are dropped; see `gvt.data.objects.tidied`. So are
    proposals, which a sample may have among its `inputs`. What a random transform did cannot be
    told afterwards, so the sample's geometry is unknown.

    Raises:
        ConfigError: If a transform cannot be done to what the sample has besides its image.
    """
    size = (sample.image.shape[-2], sample.image.shape[-1])
    known = {k: _wrapped(k, v, size) for k, v in sample.targets.items() if k in SPATIAL_KEYS}
    if "boxes" in known:  # what drops boxes drops the same rows of these
        known["labels"] = torch.arange(len(known["boxes"]))
    if PROPOSALS in sample.inputs:
        known[PROPOSALS] = Proposals.of(sample.inputs[PROPOSALS], size)
    try:
        transformed = transform({"image": tv_tensors.Image(sample.image), **known})
    except TypeError as error:
        if explained := _explained(error, sample):
            raise explained from error
        raise
    image = _plain("image", transformed.pop("image"))
    now = (image.shape[-2], image.shape[-1])
    inputs = dict(sample.inputs)
    if PROPOSALS in transformed:
        inputs[PROPOSALS] = left_of(transformed.pop(PROPOSALS), now)
    rows = transformed.pop("labels", None)
    plain = {key: _plain(key, value) for key, value in transformed.items()}
    targets = {**sample.targets, **plain}
    if rows is not None:
        targets = _objects(sample.targets, plain, rows, now)
    record = replace(sample.record, geometry=None)
    return replace(sample, image=image, targets=targets, record=record, inputs=inputs)


def _objects(
    before: Mapping[str, Any], plain: Mapping[str, Any], rows: Tensor, size: tuple[int, int]
) -> dict[str, Any]:
    """Return all targets when the transforms left these rows of the objects, (K,) int64."""
    boxes = before["boxes"]
    were_tight = keep = torch.zeros(len(boxes), dtype=torch.bool)
    if "masks" in before:
        were_tight = tight(boxes, before["masks"])
    keep = keep.index_fill(0, rows, True)
    return tidied({**picked(before, keep), **plain}, size, were_tight[rows])


def _explained(error: TypeError, sample: Sample) -> ConfigError | None:
    """Return in terms of the data why torchvision cannot transform a sample, if that is it."""
    known = ", ".join(sorted(SPATIAL_KEYS & sample.targets.keys()))
    text = " ".join(str(error).split())
    if "requires input sample to contain" in text:
        return ConfigError(
            f"data.transforms: {text.partition(' ')[0]} goes by boxes, and "
            f"{printable(sample.record.source)} has {known or 'none'}; name other transforms"
        )
    if "not supported by" in text:
        return ConfigError(
            f"data.transforms: {text.rpartition('by ')[2]} changes images alone, and this data has "
            f"{known}; name other transforms"
        )
    return None


def _wrapped(key: str, value: Any, size: tuple[int, int]) -> Any:
    """Return a target as the tensor whose kind transforms go by."""
    if key == "boxes":
        return tv_tensors.BoundingBoxes(value, format="XYXY", canvas_size=size)
    if key == "semantic":  # turned round, so that the 0 that comes in from outside is 255
        return tv_tensors.Mask(IGNORED - value)
    return tv_tensors.Mask(value) if key == "masks" else value


def _plain(key: str, value: Any) -> Any:
    """Return a transformed tensor as what it was before it was wrapped."""
    if isinstance(value, tv_tensors.BoundingBoxes):  # which may have another format now
        value = v2.functional.convert_bounding_box_format(value, new_format="XYXY")
    plain = value.as_subclass(Tensor) if isinstance(value, tv_tensors.TVTensor) else value
    return IGNORED - plain if key == "semantic" else plain
