"""Dense layers on the coarsest feature map, optionally with published weights."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from pydantic import Field, PositiveInt
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

import gvt
from gvt import Batch, Dropout, Head, PathText
from gvt.vision.padding import is_padded, pooled, seen_frame, without_padding


class DenseHead(Head):
    """Dense layers on the coarsest feature map, to one logit for each class.

    Args:
        feature_info: The (channels, stride) of each feature map, the coarsest last.
        num_classes: Number of classes.
        hidden: Widths of hidden dense layers, with ReLU.
        grid: Side of the grid that the map is pooled to before it is flattened; 1 is global
            pooling. A map of that size is not changed. Padding is left out.
        pool: `mean` averages the map to the grid; `max` takes the maximum, such as for texts, where
            one word may decide.
        dropout: Share of the last dense layer's inputs dropped in training.
        weights: A safetensors file written by `gvt import`, for the weights of the last layer;
            requires `hidden=[]` and `grid=1`. It is not read when a checkpoint is loaded.
        ignore_padding: Whether an image of a padded batch is treated as if it were alone. Models
            of checkpoint format 1 were trained without.

    Raises:
        ValueError: If the file does not exist, or its classifier has another shape.
    """

    padding_reach = 0
    gvt_unrecorded: ClassVar[Mapping[str, Any]] = {"ignore_padding": False}

    def __init__(
        self,
        feature_info: Mapping[str, tuple[int, int]],
        num_classes: int,
        hidden: tuple[PositiveInt, ...] = (),
        grid: PositiveInt = 1,
        dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0,
        weights: PathText | None = None,
        ignore_padding: bool = True,
        pool: Literal["mean", "max"] = "mean",
    ) -> None:
        super().__init__()
        self.feature, (channels, self.stride) = list(feature_info.items())[-1]
        self.num_classes, self.grid, self.pool = num_classes, grid, pool
        self.ignore_padding = ignore_padding
        layers: list[nn.Module] = [nn.Flatten()]
        width = channels * grid * grid
        for next_width in hidden:
            layers += [nn.Linear(width, next_width), nn.ReLU()]
            width = next_width
        last = nn.Linear(width, num_classes)
        self.layers = nn.Sequential(*layers, Dropout(dropout), last)
        if weights is not None and (hidden or grid != 1):
            raise ValueError(
                "weights are for a single layer on the averaged map; set hidden=[] and grid=1"
            )
        if weights is not None and not gvt.restoring():
            load_classifier(Path(weights).expanduser(), last)

    def forward(self, features: Mapping[str, Tensor], batch: Batch) -> Tensor:
        """Return logits (N, num_classes)."""
        logits: Tensor = self.layers(self._pooled(features[self.feature], batch))
        return logits

    def _pooled(self, feature: Tensor, batch: Batch) -> Tensor:
        frame = seen_frame(batch.frame, self.ignore_padding)
        if self.pool == "mean":
            return pooled(feature, self.stride, frame, self.grid)
        parts = without_padding(feature, self.stride, frame) if is_padded(frame) else [feature]
        return torch.cat([F.adaptive_max_pool2d(part, self.grid) for part in parts])


def load_classifier(path: Path, layer: nn.Linear) -> None:
    """Load the classifier of a published model into a dense layer.

    Args:
        path: A safetensors file whose metadata has the classifier's name under `classifier`.
        layer: The layer whose weight and bias are set.

    Raises:
        ValueError: If the file cannot be read, its metadata has no such name, or the shapes differ.
    """
    try:
        with safe_open(path, framework="pt") as file:
            module = (file.metadata() or {}).get("classifier", "")
            names = file.keys()
            if f"{module}.weight" not in names:
                raise ValueError(
                    f"weights: {str(path)!r} does not name the layer that classifies; use a file "
                    "written by `gvt import`"
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
    """Return the error message for a classifier that does not fit."""
    if len(weight) != layer.out_features:
        reason = (
            f"has {len(weight)} classes, but the data has {layer.out_features}; leave weights out "
            "to train the layer from scratch"
        )
    else:
        shape = " x ".join(map(str, weight.shape))
        reason = (
            f"is {shape}, but the backbone's coarsest map has {layer.in_features} channels; it may "
            "belong to another map"
        )
    return f"weights: the classifier of {str(path)!r} {reason}"
