"""Dense layers on the coarsest feature map, with or without those of a published network."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import torch
from pydantic import Field, PositiveInt
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

import gvt
from gvt import Batch, Dropout, Head, PathText


class DenseHead(Head):
    """Dense layers on the coarsest feature map: one logit for every class.

    Args:
        feature_info: Of each feature map its (channels, stride), the coarsest last.
        num_classes: Number of classes.
        hidden: Widths of hidden dense layers, with ReLU.
        grid: The map is averaged to this many cells a side before it is flattened; 1 is global
            average pooling. A map that has this size already is left as it is.
        dropout: Share of the last dense layer's inputs dropped in training.
        weights: A safetensors file of `gvt import` that the last layer is taken from, with
            `hidden=[]` and `grid=1`; it is not read when a checkpoint is loaded.

    Raises:
        ValueError: If there is no such file, or its classifier is of another shape.
    """

    def __init__(
        self,
        feature_info: Mapping[str, tuple[int, int]],
        num_classes: int,
        hidden: tuple[PositiveInt, ...] = (),
        grid: PositiveInt = 1,
        dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0,
        weights: PathText | None = None,
    ) -> None:
        super().__init__()
        self.feature, (channels, _) = list(feature_info.items())[-1]
        self.num_classes = num_classes
        self.pool = nn.AdaptiveAvgPool2d(grid)
        layers: list[nn.Module] = [nn.Flatten()]
        width = channels * grid * grid
        for next_width in hidden:
            layers += [nn.Linear(width, next_width), nn.ReLU()]
            width = next_width
        last = nn.Linear(width, num_classes)
        self.layers = nn.Sequential(*layers, Dropout(dropout), last)
        if weights is not None and (hidden or grid != 1):
            raise ValueError(
                "weights are of one layer on the averaged map; they need hidden=[] and grid=1"
            )
        if weights is not None and not gvt.restoring():
            load_classifier(Path(weights).expanduser(), last)

    def forward(self, features: Mapping[str, Tensor], batch: Batch) -> Tensor:
        """Return logits (N, num_classes)."""
        feature = features[self.feature]
        if feature.shape[-2:] != (self.pool.output_size,) * 2:
            feature = self.pool(feature)
        logits: Tensor = self.layers(feature)
        return logits


def load_classifier(path: Path, layer: nn.Linear) -> None:
    """Copy a published network's last dense layer into a layer.

    Args:
        path: A safetensors file whose metadata say under `classifier` which module it is.
        layer: Takes its weight and bias.

    Raises:
        ValueError: If there is no such file, it does not say that, or the shapes differ.
    """
    try:
        with safe_open(path, framework="pt") as file:
            module = (file.metadata() or {}).get("classifier", "")
            names = file.keys()
            if f"{module}.weight" not in names:
                raise ValueError(
                    f"weights: {str(path)!r} does not say which of its layers classifies; "
                    "`gvt import` writes files that do"
                )
            weight = file.get_tensor(f"{module}.weight")
            has_bias = f"{module}.bias" in names
            bias = file.get_tensor(f"{module}.bias") if has_bias else weight.new_zeros(len(weight))
    except FileNotFoundError as error:
        raise ValueError(f"weights: there is no file {str(path)!r}") from error
    except (OSError, SafetensorError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"weights: {str(path)!r} cannot be read: {reason}") from error
    if weight.shape != layer.weight.shape:
        raise ValueError(_other_shape(path, weight, layer))
    with torch.no_grad():
        layer.weight.copy_(weight)
        layer.bias.copy_(bias)


def _other_shape(path: Path, weight: Tensor, layer: nn.Linear) -> str:
    """Return what to say of a layer that does not fit."""
    theirs = " x ".join(map(str, weight.shape))
    reason = (
        f"of {len(weight)} classes, and the data has {layer.out_features}; without weights the "
        "layer is learned"
        if len(weight) != layer.out_features
        else f"{theirs}, and the backbone's coarsest map has {layer.in_features} channels; the "
        "map that it was trained on may be another one"
    )
    return f"weights: the classifier of {str(path)!r} is {reason}"
