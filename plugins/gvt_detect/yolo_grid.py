"""The first YOLO: a grid of cells, each with boxes and the class of the object in it."""

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
from .detector import Detector, Selection
from .rpn import full_precision

LEAK = 0.1
"""Slope below zero of the paper's leaky ReLU."""


class Outputs(NamedTuple):
    """What is computed once for both losses and predictions.

    Attributes:
        cells: (N, S, S, B * 5 + C) float32: of each box x and y of its centre in sides of the
            cell, the roots of w and h in shares of the image, and its confidence; then the
            probability of each class.
        sizes: Unpadded (H, W) of each image.
    """

    cells: Tensor
    sizes: tuple[tuple[int, int], ...]


class Objects(NamedTuple):
    """The K objects of a batch that cells answer for.

    Attributes:
        rows: (K,) int64, the image of each.
        cells: (K,) int64, the number of its cell, row by row.
        boxes: (K, 4), what the network should say of it.
        labels: (K,) int64.
    """

    rows: Tensor
    cells: Tensor
    boxes: Tensor
    labels: Tensor


class YOLOGrid(Detector):
    """The first YOLO on any backbone (Redmon and others, 2016, https://arxiv.org/abs/1506.02640).

    A grid of S x S cells lies over each image without its padding, so that what is said of an
    image does not depend on the batch that it is in. The cell with an object's centre answers for
    it: of its B boxes the one that overlaps it most, or is closest to it where none does. Of
    several objects with their centres in one cell the largest is kept, and the others are lost,
    as a cell has one class only.

    Outputs are linear, and losses are sums of squares over all cells, the mean over the images,
    as in the paper. Like the authors' code the network gives the square roots of w and h, so that
    no gradient is without bounds where a width is 0.

    Args:
        feature_info: Of each feature map its (channels, stride), the coarsest last.
        num_classes: Number of classes, C.
        feature: Name of the map to look at; the coarsest unless given.
        grid: Cells along each side, S. A finer map is averaged to it, which leaves no cell of it
            unseen whatever the image's size, as a convolution with a stride would; a coarser one
            can hardly tell neighbouring cells apart.
        boxes: Boxes of each cell, B.
        convolutions: Widths of 3x3 convolutions on the grid, with leaky ReLU; the paper has four
            of 1024.
        hidden: Widths of dense layers on the whole grid, with leaky ReLU, before the dense layer
            of S * S * (B * 5 + C) outputs; the paper has one of 4096. Without any, each cell's
            outputs come from its own features by a 1x1 convolution.
        dropout: Share of the outputs of the first hidden dense layer dropped in training.
        lambda_coord: Factor of the loss `coordinates`.
        lambda_noobj: Factor of the loss `no_object`.
        **selection: Those of `Selection`.

    Raises:
        ValueError: If there is no such map.
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
        self._begin()

    @staticmethod
    def gvt_example(folder: Path) -> dict[str, Any]:
        """Return a small one to try."""
        return {"grid": 3, "convolutions": (8,), "hidden": (16,)}

    def forward(self, features: Mapping[str, Tensor], batch: Batch) -> Outputs:
        """Return the outputs of all cells.

        Raises:
            ConfigError: If the map shows more than the picture.
        """
        hidden = self.layers(pooled(features[self.feature], self.stride, batch.frame, self.grid))
        with full_precision(hidden.device):  # bfloat16 has 4 pixels of error at 1,024
            found = self.last(hidden.float())
        if found.ndim == 4:
            found = found.permute(0, 2, 3, 1)
        return Outputs(found.reshape(len(found), self.grid, self.grid, -1), batch.frame.sizes)

    def loss(self, outputs: Outputs, targets: Targets) -> dict[str, Tensor]:
        """Return the paper's `coordinates`, `confidence`, `no_object` and `classes`, weighted."""
        boxes, classes = self._split(outputs)
        there = self._objects(outputs, targets)
        candidates = boxes[there.rows, there.cells]  # (K, B, 5)
        best, iou = self._responsible(candidates.detach(), there.boxes)
        own = candidates[torch.arange(len(best), device=best.device), best]
        responsible = torch.zeros_like(boxes[..., 0], dtype=torch.bool)
        responsible[there.rows, there.cells, best] = True
        truth = F.one_hot(there.labels, self.num_classes).to(classes.dtype)
        found = {
            "coordinates": self.lambda_coord * (own[:, :4] - there.boxes).square().sum(),
            "confidence": (own[:, 4] - iou).square().sum(),
            "no_object": self.lambda_noobj * boxes[..., 4][~responsible].square().sum(),
            "classes": (classes[there.rows, there.cells] - truth).square().sum(),
        }
        return {name: loss / len(boxes) for name, loss in found.items()}

    def predict(self, outputs: Outputs) -> list[dict[str, Any]]:
        """Return of each image `boxes`, `labels` and `scores`, the best one first.

        A score is a box's confidence times its cell's probability of the class.
        """
        boxes, classes = self._split(outputs)
        # Linear outputs leave [0, 1], and of two negative ones the product would be positive.
        confidence, probability = boxes[..., 4].clamp(0, 1), classes.clamp(0, 1)
        scores = confidence[..., None] * probability[:, :, None]
        shares = _shares(boxes, self.grid)
        shares[..., :2] += self._corners_of_cells(shares) / self.grid
        corners = box_convert(shares, "cxcywh", "xyxy")
        return [
            self._best(
                of_image.flatten(0, 1) * of_image.new_tensor([size[1], size[0]] * 2),
                score.flatten(0, 1),
                size,
            )
            for of_image, score, size in zip(corners, scores, outputs.sizes, strict=True)
        ]

    def _begin(self) -> None:
        """Let the boxes begin in the middle of their cells, from small to large.

        Where all began as points at the cell's corner, one of them would be the closest everywhere.
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
        """Return x and y of the left upper corner of each cell, in cells, (S * S, 1, 2)."""
        number = torch.arange(self.grid**2, device=like.device)
        return torch.stack([number % self.grid, number // self.grid], dim=1)[:, None]

    def _objects(self, outputs: Outputs, targets: Targets) -> Objects:
        """Return the objects that cells answer for, one in each cell at most."""
        device = outputs.cells.device
        found = [
            Objects(torch.full_like(cells, row), cells, boxes, labels)
            for row, (of_image, names, size) in enumerate(
                zip(targets["boxes"], targets["labels"], outputs.sizes, strict=True)
            )
            for cells, boxes, labels in [self._placed(of_image.float(), names, size)]
        ]
        return Objects(*(torch.cat(part).to(device) for part in zip(*found, strict=True)))

    def _placed(
        self, boxes: Tensor, labels: Tensor, size: tuple[int, int]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return the cells of one image's objects, what their boxes are there, and the labels."""
        height, width = size
        shares = box_convert(boxes, "xyxy", "cxcywh") / boxes.new_tensor([width, height] * 2)
        # The largest first, and of those in one cell the first is kept.
        order = shares[:, 2:].prod(dim=1).argsort(descending=True, stable=True)
        shares, labels = shares[order], labels[order]
        centres = shares[:, :2] * self.grid
        column, row = centres.long().clamp(0, self.grid - 1).T
        cells = row * self.grid + column
        kept = ~(cells[:, None] == cells).tril(-1).any(dim=1)
        offsets = centres - torch.stack([column, row], dim=1)
        said = torch.cat([offsets, shares[:, 2:].sqrt()], dim=1)
        return cells[kept], said[kept], labels[kept]

    def _responsible(self, candidates: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
        """Return which of a cell's boxes answers for its object, (K,), and their IoU, (K,).

        Args:
            candidates: (K, B, 5), all boxes of the cells.
            truth: (K, 4), what one of them should be.
        """
        found, wanted = (_shares(given, self.grid) for given in (candidates, truth[:, None]))
        distance = (found - wanted).square().sum(dim=2)
        iou = _iou(*(box_convert(of, "cxcywh", "xyxy") for of in (found, wanted)))
        best = iou.argmax(dim=1).where(iou.amax(dim=1) > 0, distance.argmin(dim=1))
        return best, iou.gather(1, best[:, None]).squeeze(1)


def _shares(boxes: Tensor, grid: int) -> Tensor:
    """Return boxes as a cell gives them, (..., 4 or 5), as (..., 4) in shares of the image.

    They are x, y, w and h, and x and y are from the cell's corner.
    """
    return torch.cat([boxes[..., :2] / grid, boxes[..., 2:4].square()], dim=-1)


def _iou(one: Tensor, other: Tensor) -> Tensor:
    """Return the IoU of boxes one by one, which `box_iou` gives of all pairs; no area has none."""
    sides = one[..., 2:].minimum(other[..., 2:]) - one[..., :2].maximum(other[..., :2])
    shared = sides.clamp(min=0).prod(dim=-1)
    areas = [(b[..., 2:] - b[..., :2]).prod(dim=-1) for b in (one, other)]
    return shared / (areas[0] + areas[1] - shared).clamp(min=torch.finfo(shared.dtype).tiny)
