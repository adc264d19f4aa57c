"""Localisation: the class and the box of the single object of an image."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, NamedTuple

import torch
import torch.nn.functional as F
from pydantic import Field, PositiveFloat, PositiveInt
from torch import Tensor, nn
from torchvision.ops import box_convert, generalized_box_iou_loss

from gvt import Batch, Dropout, Head, Metric, Targets

from .cells import map_to_look_at, pooled
from .detections import scales
from .localisation_metric import LocalisationMetric, mislocalised, the_object
from .rpn import full_precision
from .types import Share


class Outputs(NamedTuple):
    """The outputs that losses and predictions are computed from.

    Attributes:
        logits: (N, K) float32.
        boxes: (N, 4) float32: centre, width and height relative to the image.
        sizes: Unpadded (H, W) of each image.
    """

    logits: Tensor
    boxes: Tensor
    sizes: tuple[tuple[int, int], ...]


class Localise(Head):
    """Class and box of the single object of an image, by dense layers on one feature map.

    The largest object of an image counts, and images without objects do not contribute to the
    loss, `(1 - weight) * classification + weight * box`. The box is regressed as (x, y, w, h),
    its centre and its size relative to the image without padding.

    Args:
        feature_info: The (channels, stride) of each feature map, the coarsest last.
        num_classes: Number of classes.
        feature: Name of the feature map; the coarsest by default.
        grid: Cells along each side to which the map is averaged before it is flattened. 1 is
            global average pooling, which loses all positions.
        hidden: Widths of hidden dense layers, with ReLU.
        dropout: Dropout rate before the last dense layer.
        weight: Weight of the box's loss; the cross entropy of the class has the rest.
        box_loss: `smooth_l1`, the sum over x, y, w and h (Girshick 2015,
            https://arxiv.org/abs/1504.08083), or `giou` (Rezatofighi et al. 2019,
            https://arxiv.org/abs/1902.09630).
        beta: Difference, relative to the image, up to which `smooth_l1` is quadratic.

    Raises:
        ValueError: If the backbone lacks the feature map.
    """

    needs = ("boxes", "labels")
    predicts = ("boxes", "labels", "scores")
    exports = ("torch",)
    padding_reach = 0

    def __init__(
        self,
        feature_info: Mapping[str, tuple[int, int]],
        num_classes: int,
        feature: str | None = None,
        grid: PositiveInt = 4,
        hidden: tuple[PositiveInt, ...] = (),
        dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0,
        weight: Share = 0.5,
        box_loss: Literal["smooth_l1", "giou"] = "smooth_l1",
        beta: PositiveFloat = 0.1,
    ) -> None:
        super().__init__()
        self.num_classes, self.grid, self.weight = num_classes, grid, weight
        self.box_loss, self.beta = box_loss, beta
        self.feature = map_to_look_at(feature_info, feature)
        channels, self.stride = feature_info[self.feature]
        layers: list[nn.Module] = []
        width = channels * grid * grid
        for next_width in hidden:
            layers += [nn.Linear(width, next_width), nn.ReLU()]
            width = next_width
        self.layers = nn.Sequential(*layers, Dropout(dropout))
        self.classes, self.box = nn.Linear(width, num_classes), nn.Linear(width, 4)

    def forward(self, features: Mapping[str, Tensor], batch: Batch) -> Outputs:
        """Return logits and boxes.

        Raises:
            ConfigError: If the map covers more than the image.
        """
        cells = pooled(features[self.feature], self.stride, batch.frame, self.grid)
        hidden = self.layers(cells.flatten(1))
        with full_precision(hidden.device):  # bfloat16 has 4 pixels of error at 1,024
            logits, boxes = self.classes(hidden.float()), self.box(hidden.float()).sigmoid()
        return Outputs(logits, boxes, batch.frame.sizes)

    def loss(self, outputs: Outputs, targets: Targets) -> dict[str, Tensor]:
        """Return `classification` and `box`, weighted, so that their sum is the loss.

        They are means over the images with an object; {} if there are none.
        """
        rows, labels, truth = self._truth(outputs, targets)
        if not len(rows):
            return {}
        boxes = outputs.boxes[rows]
        if self.box_loss == "giou":
            corners, true_corners = (box_convert(b, "cxcywh", "xyxy") for b in (boxes, truth))
            box = generalized_box_iou_loss(corners, true_corners, reduction="mean")
        else:
            box = F.smooth_l1_loss(boxes, truth, reduction="sum", beta=self.beta) / len(rows)
        classification = F.cross_entropy(outputs.logits[rows], labels)
        return {"classification": (1 - self.weight) * classification, "box": self.weight * box}

    def tensors(self, outputs: Outputs) -> dict[str, Tensor]:
        """Return `boxes` (N, 1, 4) in pixels, `labels` (N, 1) and `scores` (N, 1)."""
        scores, labels = outputs.logits.softmax(dim=1).max(dim=1, keepdim=True)
        limits = scales(outputs.sizes, outputs.boxes)
        corners = box_convert(outputs.boxes, "cxcywh", "xyxy") * limits
        boxes = corners.clamp(min=0).minimum(limits)
        return {"boxes": boxes[:, None], "labels": labels, "scores": scores}

    def metric(self) -> Metric:
        """Return `accuracy`, `iou` and `localised`."""
        return LocalisationMetric()

    def errors(self, predictions: list[dict[str, Any]], targets: list[dict[str, Any]]) -> Tensor:
        """Return 0 if the object is localised, 1 for a wrong class, otherwise 1 - IoU, (N,)."""
        return mislocalised(predictions, targets)

    def _truth(self, outputs: Outputs, targets: Targets) -> tuple[Tensor, Tensor, Tensor]:
        """Return the images with an object, (R,), its label (R,) and its relative box (R, 4)."""
        device = outputs.logits.device
        rows, labels = [], []
        boxes = outputs.boxes.new_zeros(0, 4)
        pairs = zip(targets["boxes"], targets["labels"], strict=True)
        for row, (image_boxes, image_labels) in enumerate(pairs):
            index = the_object({"boxes": image_boxes})
            if index is not None:
                rows.append(row)
                labels.append(image_labels[index])
                boxes = torch.cat([boxes, image_boxes[index][None].float()])
        indices = torch.tensor(rows, dtype=torch.int64, device=device)
        truth = box_convert(boxes, "xyxy", "cxcywh") / scales(outputs.sizes, boxes)[indices]
        return indices, torch.stack(labels) if labels else indices, truth
