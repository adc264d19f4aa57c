"""The fields of images and of what is annotated on them. `gvt.fields` finds them by name."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from PIL import Image as Pillow
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms.v2 import functional
from torchvision.utils import make_grid

from gvt.batch import IGNORED, Frame, Record
from gvt.errors import DataError
from gvt.fields import Destination, Field
from gvt.geometry import boxes_to_original, maps_to_original

_GREY = 128
"""Value of the lines between the images of a sheet."""


class _Planes(Field):
    """Values of pixels in several planes, (M, H, W); 0 outside the canvas."""

    is_spatial = True

    def to_original(self, value: Any, record: Record) -> Any:
        """Return the values at the nearest pixels."""
        return maps_to_original(value, record, outside=0)


class Image(_Planes):
    """Images (C, H, W), uint8 or float in [0, 1], padded with zeros at the right and the bottom."""

    is_dense = True
    varying: ClassVar[Mapping[int, str]] = {2: "height", 3: "width"}

    def collate(self, values: Sequence[Any], frame: Frame, records: Sequence[Record]) -> Tensor:
        """Return images (N, C, H, W) of one dtype; float32 if their dtypes differ.

        Otherwise they stay uint8, whose copying costs a quarter of float32.

        Raises:
            DataError: If images differ in their number of channels; the message names two of them.
        """
        for image, record in zip(values, records, strict=True):
            if image.shape[0] != values[0].shape[0]:
                raise DataError(
                    f"{record.source} has {image.shape[0]} channels, "
                    f"{records[0].source} has {values[0].shape[0]}"
                )
        if len({i.dtype for i in values}) > 1:
            values = [i.float() / 255 if i.dtype == torch.uint8 else i for i in values]
        return torch.stack([_padded(image, frame.canvas, 0) for image in values])

    def on_device(self, value: Any, place: Destination) -> Any:
        """Return images as float32 in [0, 1], in the memory format of the device."""
        return place.images(value)

    def wrapped(self, value: Any, size: tuple[int, int]) -> Any:
        """Return the image as `tv_tensors.Image`."""
        return tv_tensors.Image(value)

    def files(self, value: Any, **about: Any) -> list[tuple[str, bytes]]:
        """Return images in [0, 1] as one sheet; a single image without a frame.

        Args:
            value: (N, C, H, W) for a square sheet, or (rows, columns, C, H, W).
            about: Nothing.
        """
        columns = math.ceil(math.sqrt(len(value)))
        if value.ndim == 5:
            columns, value = value.shape[1], value.flatten(0, 1)
        file = io.BytesIO()
        sheet(as_rgb(value), columns).save(file, "PNG")
        return [(".png", file.getvalue())]


class Class(Field):
    """The class of a sample, () int64; 0 for a sample without one."""

    is_dense = True

    def collate(self, values: Sequence[Any], frame: Frame, records: Sequence[Record]) -> Tensor:
        """Return the classes, (N,) int64."""
        return torch.stack([torch.as_tensor(0 if v is None else v).long() for v in values])

    def on_device(self, value: Any, place: Destination) -> Any:
        """Return the classes as int64, which losses require; data sets may store bytes."""
        return super().on_device(value, place).long()


class Semantic(Class):
    """The class of each pixel, (H, W) int64; 255 where it is ignored, and in the padding."""

    is_spatial = True

    def collate(self, values: Sequence[Any], frame: Frame, records: Sequence[Record]) -> Tensor:
        """Return the classes of pixels, (N, H, W) int64."""
        nothing = torch.full(frame.canvas, IGNORED)
        maps = (nothing if v is None else torch.as_tensor(v).long() for v in values)
        return torch.stack([_padded(m, frame.canvas, IGNORED) for m in maps])

    def wrapped(self, value: Any, size: tuple[int, int]) -> Any:
        """Return a map that is inverted, so that 0 for pixels from outside becomes 255."""
        return tv_tensors.Mask(IGNORED - value)

    def unwrapped(self, value: Any, size: tuple[int, int]) -> Any:
        """Return the classes of a transformed map."""
        return IGNORED - super().unwrapped(value, size)

    def to_original(self, value: Any, record: Record) -> Any:
        """Return the map at the nearest pixels; 255 outside the canvas."""
        return maps_to_original(value[None], record, outside=IGNORED)[0]


class Masks(_Planes):
    """The masks of objects, (M, H, W) bool or uint8."""

    def collate(self, values: Sequence[Any], frame: Frame, records: Sequence[Record]) -> Any:
        """Return the masks of each sample, padded to the canvas."""
        return [None if v is None else _padded(v, frame.canvas, 0) for v in values]

    def wrapped(self, value: Any, size: tuple[int, int]) -> Any:
        """Return the masks as `tv_tensors.Mask`."""
        return tv_tensors.Mask(value)


class Boxes(Field):
    """Boxes of objects, (M, 4) float32 xyxy in pixels."""

    is_spatial = True

    def wrapped(self, value: Any, size: tuple[int, int]) -> Any:
        """Return the boxes as `tv_tensors.BoundingBoxes`."""
        return tv_tensors.BoundingBoxes(value, format="XYXY", canvas_size=size)

    def unwrapped(self, value: Any, size: tuple[int, int]) -> Any:
        """Return transformed boxes as xyxy, since a transform may have changed the format."""
        boxes = functional.convert_bounding_box_format(value, new_format="XYXY")
        return super().unwrapped(boxes, size)

    def to_original(self, value: Any, record: Record) -> Any:
        """Return the axis-parallel hulls of the mapped corners, clipped to the image."""
        assert record.geometry is not None
        return boxes_to_original(value, record.geometry, record.size)


def as_rgb(images: Tensor) -> Tensor:
    """Return images (N, C, H, W), clamped to [0, 1], as (N, 3, H, W) uint8 on the CPU.

    With three channels or more, the first three are red, green and blue, and a fourth, such as
    alpha or infrared, is not shown. With fewer, the first one is shown as grey.
    """
    rgb = images[:, :3] if images.shape[1] >= 3 else images[:, :1].expand(-1, 3, -1, -1)
    return rgb.detach().float().clamp(0, 1).mul(255).round().byte().cpu()


def sheet(pixels: Tensor, columns: int) -> Pillow.Image:
    """Return images (N, 3, H, W) uint8 in rows with lines between them; one without a frame."""
    grid = make_grid(pixels, nrow=columns, pad_value=_GREY)
    return Pillow.fromarray(grid.permute(1, 2, 0).numpy())


def _padded(tensor: Tensor, canvas: tuple[int, int], filler: int) -> Tensor:
    """Return (..., H, W) padded at the bottom and the right."""
    bottom, right = canvas[0] - tensor.shape[-2], canvas[1] - tensor.shape[-1]
    return F.pad(tensor, (0, right, 0, bottom), value=filler) if bottom or right else tensor
