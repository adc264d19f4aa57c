"""Transforms of proposals: boxes that are an input of the model, not a target."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor
from torchvision import tv_tensors
from torchvision.ops import clip_boxes_to_image
from torchvision.transforms.v2 import functional as F

KEY = "proposals"
"""Key of the proposals in a sample's `inputs`, (P, 4) float32 xyxy in pixels of its image."""


class Proposals(tv_tensors.TVTensor):  # type: ignore[misc]  # has no types
    """Boxes (P, 4) that are transformed like `tv_tensors.BoundingBoxes`.

    They have a type of their own, since transforms that select or drop objects use the first
    bounding boxes of a sample.

    Attributes:
        canvas_size: (H, W) of the image.
    """

    canvas_size: tuple[int, int]

    @classmethod
    def of(cls, boxes: Tensor, canvas_size: tuple[int, int]) -> Proposals:
        """Return boxes (P, 4) as proposals of an image of size (H, W)."""
        proposals: Proposals = boxes.as_subclass(Tensor).as_subclass(cls)
        proposals.canvas_size = canvas_size
        return proposals


def left_of(proposals: Proposals, size: tuple[int, int]) -> Tensor:
    """Return the proposals clipped to an image of (H, W) pixels, without empty ones, (R, 4)."""
    inside: Tensor = clip_boxes_to_image(proposals.as_subclass(Tensor), size)
    return inside[(inside[:, 2:] > inside[:, :2]).all(dim=1)]


def _register(functional: Callable[..., Any]) -> None:
    def as_boxes(inpt: Proposals, *args: Any, **kwargs: Any) -> Proposals:
        boxes = tv_tensors.BoundingBoxes(
            inpt.as_subclass(Tensor), format="XYXY", canvas_size=inpt.canvas_size
        )
        boxes = functional(boxes, *args, **kwargs)
        return Proposals.of(boxes, boxes.canvas_size)

    F.register_kernel(functional, Proposals)(as_boxes)


_FLIPS = (F.horizontal_flip, F.vertical_flip)
_CROPS = (F.center_crop, F.crop, F.pad, F.resized_crop)
_WARPS = (F.affine, F.elastic, F.perspective, F.resize, F.rotate)
for _functional in (*_FLIPS, *_CROPS, *_WARPS):
    _register(_functional)
