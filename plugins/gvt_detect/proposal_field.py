"""The field `proposals`: boxes that are an input of the model, not a target."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms.v2 import functional as F

from gvt import Record
from gvt.fields import Field
from gvt.geometry import boxes_to_original

from .proposing import visible_part


class ProposalField(Field):
    """Proposals (P, 4) float32 xyxy, in pixels of the image."""

    is_spatial = True
    varying: ClassVar[Mapping[int, str]] = {1: "proposals"}

    def wrapped(self, value: Any, size: tuple[int, int]) -> Any:
        """Return the proposals in a type that no transform takes for that of objects."""
        return Proposals.of(value, size)

    def unwrapped(self, value: Any, size: tuple[int, int]) -> Any:
        """Return the proposals clipped to the image, without empty ones, (R, 4)."""
        return visible_part(value.as_subclass(Tensor), size)

    def to_original(self, value: Any, record: Record) -> Any:
        """Return the axis-parallel hulls of the mapped corners, clipped to the image."""
        assert record.geometry is not None
        return boxes_to_original(value, record.geometry, record.size)


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
