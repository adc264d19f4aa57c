"""Augmentation by the names of `torchvision.transforms.v2`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import v2

from gvt.batch import Sample
from gvt.config.parameters import check_parameters
from gvt.config.schema import ComponentConfig
from gvt.errors import ConfigError
from gvt.geometry import SPATIAL_KEYS
from gvt_registry import nearest


def build_transforms(where: str, configs: Sequence[ComponentConfig]) -> Callable[..., Any] | None:
    """Return the transforms as one, or None for none.

    Raises:
        ConfigError: If torchvision has none of that name, or it takes no such argument.
    """
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
        try:
            parts.append(target(**check_parameters(place, target, config.parameters)))
        except (TypeError, ValueError) as error:
            raise ConfigError(f"{place}: {config.name}: {error}") from error
    return v2.Compose(parts) if parts else None


def transform_sample(transform: Callable[..., Any], sample: Sample) -> Sample:
    """Return the sample with image, boxes and masks transformed together.

    What a random transform did cannot be told afterwards, so the sample's geometry is unknown.
    """
    height, width = sample.image.shape[-2:]
    wrapped: dict[str, Any] = {"image": tv_tensors.Image(sample.image), **sample.targets}
    for key in SPATIAL_KEYS & wrapped.keys():
        wrapped[key] = (
            tv_tensors.BoundingBoxes(wrapped[key], format="XYXY", canvas_size=(height, width))
            if key == "boxes"
            else tv_tensors.Mask(wrapped[key])
        )
    plain = {
        k: v.as_subclass(Tensor) if isinstance(v, tv_tensors.TVTensor) else v
        for k, v in transform(wrapped).items()
    }
    image = plain.pop("image")
    return replace(sample, image=image, targets=plain, record=replace(sample.record, geometry=None))
