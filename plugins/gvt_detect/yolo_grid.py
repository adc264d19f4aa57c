"""YOLO, version 1: a grid of cells, each with boxes and one class."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import torch
import torch.nn.functional as F
from pydantic import Field, NonNegativeFloat, PositiveInt
from torch import Tensor, nn
from torchvision.ops import box_convert

from gvt import Batch, Dropout, PassedTo, Targets

from .cells import map_to_look_at, pooled
from .detections import Selection, scales
from .detector import OneStage
from .rpn import full_precision

LEAK = 0.1
"""Negative slope of the paper's leaky ReLU."""


class Outputs(NamedTuple):
    """The outputs of all cells.

    Attributes:
        cells: (N, S, S, B * 5 + C) float32. For each box x and y of its centre relative to the
            cell, the square roots of w and h relative to the image, and the confidence; then the
            class probabilities.
        sizes: Unpadded (H, W) of each image.
    """

    cells: Tensor
    sizes: tuple[tuple[int, int], ...]


class Objects(NamedTuple):
    """The K objects of a batch that cells are responsible for.

    Attributes:
        rows: (K,) int64, the image of each object.
        cells: (K,) int64, the index of its cell, in row-major order.
        boxes: (K, 4), the target outputs of its box.
        labels: (K,) int64.
    """

    rows: Tensor
    cells: Tensor
    boxes: Tensor
    labels: Tensor


class YOLOGrid(OneStage):
    """YOLO, version 1, on any backbone (Redmon et al. 2016, https://arxiv.org/abs/1506.02640).

    A grid of S x S cells covers each image without its padding, so predictions do not depend on
    the other images of a batch. The cell that contains the centre of an object is responsible for
    it, with the box of highest IoU, or the closest one if none overlaps. If several objects have
    their centres in one cell, only the largest is learned, as a cell has one class.

    Outputs are linear. Losses are sums of squares over all cells, averaged over the images, as in
    the paper. Like the authors' code the head predicts the square roots of w and h, which keeps
    gradients finite at a width of 0.

    Args:
        feature_info: The (channels, stride) of each feature map, the coarsest last.
        num_classes: Number of classes, C.
        feature: Name of the feature map; the coarsest by default.
        grid: Cells along each side, S. A finer map is averaged to this size, so that all of it
            counts for any image size; a coarser one hardly separates neighbouring cells.
        boxes: Boxes of each cell, B.
        convolutions: Widths of 3x3 convolutions on the grid, with leaky ReLU; the paper has four
            of 1024 channels.
        hidden: Widths of dense layers on the whole grid, with leaky ReLU, before the dense layer
            of S * S * (B * 5 + C) outputs; the paper has one of 4096. If empty, a 1x1 convolution
            computes the outputs of each cell.
        dropout: Dropout rate after the first hidden dense layer.
        lambda_coord: Factor of the loss `coordinates`.
        lambda_noobj: Factor of the loss `no_object`.
        **selection: Parameters of `Selection`.

    Raises:
        ValueError: If the backbone lacks the feature map.
    """

    def __init__(
        self,
        feature_info: Mapping[str, tuple[int, int]],
        num_classes: int,
        feature: str | None = None,
        grid: PositiveInt = 7,
        boxes: PositiveInt = 2,
        convolutions: tuple[PositiveInt, ...] = (),
        hidden: tuple[PositiveInt, ...] = (),
        dropout: Annotated[float, Field(ge=0, lt=1)] = 0.5,
        lambda_coord: NonNegativeFloat = 5.0,
        lambda_noobj: NonNegativeFloat = 0.5,
        **selection: Annotated[Any, PassedTo(Selection)],
    ) -> None:
        super().__init__(num_classes, None, Selection(**selection))
        self.grid, self.boxes = grid, boxes
        self.lambda_coord, self.lambda_noobj = lambda_coord, lambda_noobj
        self.feature = map_to_look_at(feature_info, feature)
        channels, self.stride = feature_info[self.feature]
        layers: list[nn.Module] = []
        for width in convolutions:
            layers += [nn.Conv2d(channels, width, 3, padding=1), nn.LeakyReLU(LEAK)]
            channels = width
        outputs = boxes * 5 + num_classes
        if hidden:
            layers.append(nn.Flatten())
            width = channels * grid * grid
            for number, next_width in enumerate(hidden):
                layers += [nn.Linear(width, next_width), nn.LeakyReLU(LEAK)]
                layers += [Dropout(dropout)] if number == 0 else []
                width = next_width
            self.last: nn.Module = nn.Linear(width, grid * grid * outputs)
        else:
            self.last = nn.Conv2d(channels, outputs, 1)
        self.layers = nn.Sequential(*layers)
        self._initialise_boxes()

    @staticmethod
    def gvt_example(folder: Path) -> dict[str, Any]:
        """Return parameters of a small example, for the conformance kit."""
        return {"grid": 3, "convolutions": (8,), "hidden": (16,)}

    def forward(self, features: Mapping[str, Tensor], batch: Batch) -> Outputs:
        """Return the outputs of all cells.

        Raises:
            ConfigError: If the map covers more than the image.
        """
        hidden = self.layers(pooled(features[self.feature], self.stride, batch.frame, self.grid))
        with full_precision(hidden.device):  # bfloat16 has 4 pixels of error at 1,024
            cells = self.last(hidden.float())
        if cells.ndim == 4:
            cells = cells.permute(0, 2, 3, 1)
        return Outputs(
            cells.reshape(-1, self.grid, self.grid, self.boxes * 5 + self.num_classes),
            batch.frame.sizes,
        )

    def loss(self, outputs: Outputs, targets: Targets) -> dict[str, Tensor]:
        """Return the paper's `coordinates`, `confidence`, `no_object` and `classes`, weighted."""
        boxes, classes = self._split(outputs)
        objects = self._objects(outputs, targets)
        candidates = boxes[objects.rows, objects.cells]  # (K, B, 5)
        best, iou = self._responsible(candidates.detach(), objects.boxes)
        predicted = candidates[torch.arange(len(best), device=best.device), best]
        responsible = torch.zeros_like(boxes[..., 0], dtype=torch.bool)
        responsible[objects.rows, objects.cells, best] = True
        truth = F.one_hot(objects.labels, self.num_classes).to(classes.dtype)
        losses = {
            "coordinates": self.lambda_coord * (predicted[:, :4] - objects.boxes).square().sum(),
            "confidence": (predicted[:, 4] - iou).square().sum(),
            "no_object": self.lambda_noobj * boxes[..., 4][~responsible].square().sum(),
            "classes": (classes[objects.rows, objects.cells] - truth).square().sum(),
        }
        return {name: loss / len(boxes) for name, loss in losses.items()}

    def scored(self, outputs: Outputs) -> tuple[Tensor, Tensor]:
        """Return all boxes (N, S * S * B, 4), and the scores of their classes.

        A score is the confidence of a box times the class probability of its cell.
        """
        boxes, classes = self._split(outputs)
        # Linear outputs leave [0, 1], and the product of two negative ones would be positive.
        confidence, probability = boxes[..., 4].clamp(0, 1), classes.clamp(0, 1)
        scores = confidence[..., None] * probability[:, :, None]
        shares = _shares(boxes, self.grid)
        shares[..., :2] += self._corners_of_cells(shares) / self.grid
        corners = box_convert(shares, "cxcywh", "xyxy").flatten(1, 2)
        return corners * scales(outputs.sizes, corners)[:, None], scores.flatten(1, 2)

    def _initialise_boxes(self) -> None:
        """Initialise the boxes in the middle of their cells, from small to large.

        If all started as points at the cell's corner, one of them would be the closest everywhere.
        """
        bias = self.last.bias.detach().view(-1, self.boxes * 5 + self.num_classes)
        for number in range(self.boxes):
            bias[:, number * 5 : number * 5 + 2] = 0.5
            bias[:, number * 5 + 2 : number * 5 + 4] = (number + 1) / (self.boxes + 1)

    def _split(self, outputs: Outputs) -> tuple[Tensor, Tensor]:
        """Return the boxes (N, S * S, B, 5) and the classes (N, S * S, C)."""
        cells = outputs.cells.flatten(1, 2)
        boxes, classes = cells.split([self.boxes * 5, self.num_classes], dim=2)
        return boxes.unflatten(2, (self.boxes, 5)), classes

    def _corners_of_cells(self, like: Tensor) -> Tensor:
        """Return x and y of the upper left corner of each cell, in cells, (S * S, 1, 2)."""
        number = torch.arange(self.grid**2, device=like.device)
        return torch.stack([number % self.grid, number // self.grid], dim=1)[:, None]

    def _objects(self, outputs: Outputs, targets: Targets) -> Objects:
        """Return the objects that cells are responsible for, at most one for each cell."""
        device = outputs.cells.device
        objects = [
            Objects(torch.full_like(cells, row), cells, encoded, kept_labels)
            for row, (boxes, labels, size) in enumerate(
                zip(targets["boxes"], targets["labels"], outputs.sizes, strict=True)
            )
            for cells, encoded, kept_labels in [self._placed(boxes.float(), labels, size)]
        ]
        return Objects(*(torch.cat(part).to(device) for part in zip(*objects, strict=True)))

    def _placed(
        self, boxes: Tensor, labels: Tensor, size: tuple[int, int]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return the cells, the target outputs and the labels of one image's objects."""
        height, width = size
        shares = box_convert(boxes, "xyxy", "cxcywh") / boxes.new_tensor([width, height] * 2)
        # The largest come first; the first object in a cell is kept.
        order = shares[:, 2:].prod(dim=1).argsort(descending=True, stable=True)
        shares, labels = shares[order], labels[order]
        centres = shares[:, :2] * self.grid
        column, row = centres.long().clamp(0, self.grid - 1).T
        cells = row * self.grid + column
        kept = ~(cells[:, None] == cells).tril(-1).any(dim=1)
        offsets = centres - torch.stack([column, row], dim=1)
        encoded = torch.cat([offsets, shares[:, 2:].sqrt()], dim=1)
        return cells[kept], encoded[kept], labels[kept]

    def _responsible(self, candidates: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
        """Return the index of the responsible box of each cell, (K,), and its IoU, (K,).

        Args:
            candidates: (K, B, 5), all boxes of the cells.
            truth: (K, 4), the target outputs.
        """
        predicted, true = (_shares(boxes, self.grid) for boxes in (candidates, truth[:, None]))
        distance = (predicted - true).square().sum(dim=2)
        iou = _iou(*(box_convert(boxes, "cxcywh", "xyxy") for boxes in (predicted, true)))
        best = iou.argmax(dim=1).where(iou.amax(dim=1) > 0, distance.argmin(dim=1))
        return best, iou.gather(1, best[:, None]).squeeze(1)


def _shares(boxes: Tensor, grid: int) -> Tensor:
    """Convert the boxes of cells (..., 4 or 5) to (..., 4), relative to the image.

    The result is x, y, w and h, with x and y from the cell's corner.
    """
    return torch.cat([boxes[..., :2] / grid, boxes[..., 2:4].square()], dim=-1)


def _iou(one: Tensor, other: Tensor) -> Tensor:
    """Return the IoU of boxes pair by pair; 0 without an area. `box_iou` takes all combinations."""
    sides = one[..., 2:].minimum(other[..., 2:]) - one[..., :2].maximum(other[..., :2])
    shared = sides.clamp(min=0).prod(dim=-1)
    areas = [(b[..., 2:] - b[..., :2]).prod(dim=-1) for b in (one, other)]
    return shared / (areas[0] + areas[1] - shared).clamp(min=torch.finfo(shared.dtype).tiny)
