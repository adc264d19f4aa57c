"""Augmentation by the names of `torchvision.transforms.v2`."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import v2

from gvt.batch import IGNORED, Sample
from gvt.config.parameters import check_parameters, signature_of
from gvt.config.schema import ComponentConfig
from gvt.errors import ConfigError
from gvt.geometry import SPATIAL_KEYS
from gvt_registry import nearest

# What is erased keeps its boxes and masks, as it does where something stands in front of it.
warnings.filterwarnings("ignore", message=r"RandomErasing\(\) is currently passing through")

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
        target = getattr(v2, config.name)
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
            parts.append(target(**checked, **injected))
        except (TypeError, ValueError) as error:
            raise ConfigError(f"{place}: {config.name}: {error}") from error
    return parts


def _configs(where: str, given: Any) -> list[ComponentConfig]:
    if not isinstance(given, list) or not all(isinstance(g, dict) and "name" in g for g in given):
        raise ConfigError(f"{where}: takes a list of transforms, as in [{{name: ...}}]")
    return [ComponentConfig(**of_one) for of_one in given]


def _fills(given: Any) -> dict[type | str, Any]:
    """Return what each kind of tensor is filled up with, from what images are."""
    return {tv_tensors.Mask: 0, "others": given or 0}


def transform_sample(transform: Callable[..., Any], sample: Sample) -> Sample:
    """Return the sample with image, boxes and masks transformed together.

    Where pixels come in from outside, masks are 0 and `semantic` is 255, whatever the image is
    filled up with. What a random transform did cannot be told afterwards, so the sample's geometry
    is unknown.

    Raises:
        ConfigError: If a transform cannot be done to what the sample has besides its image.
    """
    size = (sample.image.shape[-2], sample.image.shape[-1])
    known = {k: _wrapped(k, v, size) for k, v in sample.targets.items()}
    try:
        transformed = transform({"image": tv_tensors.Image(sample.image), **known})
    except TypeError as error:
        if "not supported by" not in str(error):  # torchvision's words
            raise
        spatial = ", ".join(sorted(SPATIAL_KEYS & known.keys()))
        raise ConfigError(
            f"data.transforms: {str(error).rpartition('by ')[2]} changes images alone, and this "
            f"data has {spatial}; name other transforms"
        ) from error
    plain = {k: _plain(k, v) for k, v in transformed.items()}
    image = plain.pop("image")
    return replace(sample, image=image, targets=plain, record=replace(sample.record, geometry=None))


def _wrapped(key: str, value: Any, size: tuple[int, int]) -> Any:
    """Return a target as the tensor whose kind transforms go by."""
    if key == "boxes":
        return tv_tensors.BoundingBoxes(value, format="XYXY", canvas_size=size)
    if key == "semantic":  # turned round, so that the 0 that comes in from outside is 255
        return tv_tensors.Mask(IGNORED - value)
    return tv_tensors.Mask(value) if key == "masks" else value


def _plain(key: str, value: Any) -> Any:
    """Return a transformed tensor as what it was before it was wrapped."""
    plain = value.as_subclass(Tensor) if isinstance(value, tv_tensors.TVTensor) else value
    return IGNORED - plain if key == "semantic" else plain
