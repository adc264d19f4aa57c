"""Boxes that a network is given beside its picture, moved with it and apart from the objects."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor
from torchvision import tv_tensors
from torchvision.ops import clip_boxes_to_image
from torchvision.transforms.v2 import functional as F

KEY = "proposals"
"""Under which a sample's `inputs` have them, (P, 4) float32 xyxy in pixels of its image."""


class Proposals(tv_tensors.TVTensor):  # type: ignore[misc]  # has no types
    """Boxes (P, 4) to which transforms do what they do to `tv_tensors.BoundingBoxes`.

    They are a kind of their own, since a transform that goes by the boxes of objects, or drops some
    of them, would take the first boxes that it meets for those.

    Attributes:
        canvas_size: (H, W) of the image.
    """

    canvas_size: tuple[int, int]

    @classmethod
    def of(cls, boxes: Tensor, canvas_size: tuple[int, int]) -> Proposals:
        """Return boxes (P, 4) as proposals in an image of a size."""
        found: Proposals = boxes.as_subclass(Tensor).as_subclass(cls)
        found.canvas_size = canvas_size
        return found


def left_of(proposals: Proposals, size: tuple[int, int]) -> Tensor:
    """Return what is seen of proposals in an image of (H, W) pixels, (R, 4)."""
    inside: Tensor = clip_boxes_to_image(proposals.as_subclass(Tensor), size)
    return inside[(inside[:, 2:] > inside[:, :2]).all(dim=1)]


def _register(functional: Callable[..., Any]) -> None:
    def as_boxes(inpt: Proposals, *args: Any, **kwargs: Any) -> Proposals:
        boxes = tv_tensors.BoundingBoxes(
            inpt.as_subclass(Tensor), format="XYXY", canvas_size=inpt.canvas_size
        )
        moved = functional(boxes, *args, **kwargs)
        return Proposals.of(moved, moved.canvas_size)

    F.register_kernel(functional, Proposals)(as_boxes)


for _functional in (
    F.affine,
    F.center_crop,
    F.crop,
    F.elastic,
    F.horizontal_flip,
    F.pad,
    F.perspective,
    F.resize,
    F.resized_crop,
    F.rotate,
    F.vertical_flip,
):
    _register(_functional)
