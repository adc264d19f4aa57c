"""Images in the forms that scripts have: files, Pillow images, arrays and tensors."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from gvt import DataError, PictureReader, Record
from gvt.vision.pictures import UnreadablePicture, eight_bit, fitted, opaque, pixels_of

from ..header import read_header

FORMS = "a path, a Pillow image, an array (H, W) or (H, W, C), or a tensor (C, H, W)"
"""The forms of an image, for messages."""

OVERSHOOT = 0.1
"""Distance from [0, 1] of float values that are clamped: resampling filters overshoot."""

_GREY_MODES = ("1", "L", "I", "F")
_LUMA = (0.299, 0.587, 0.114)  # ITU-R 601, as Pillow converts colour to grey


@dataclass(frozen=True)
class Layout:
    """The layout of an image.

    Attributes:
        channels: Number of channels.
        size: (H, W) in pixels.
        is_bytes: Whether it is read as uint8, and otherwise as float32.
    """

    channels: int
    size: tuple[int, int]
    is_bytes: bool = True


def is_file(value: object) -> bool:
    """Return whether an image or a mask is given as a path."""
    return isinstance(value, str | os.PathLike)


def is_image(value: object) -> bool:
    """Return whether a value is of one of the types of images; a path is."""
    return is_file(value) or isinstance(value, Image.Image | np.ndarray | Tensor)


def layout_of(value: Any, where: str) -> Layout:
    """Return the layout of an image. The header of a file is read, and no pixels are decoded.

    Args:
        value: The image, in one of the `FORMS`.
        where: Where it is, for messages.

    Raises:
        DataError: If it is not an image, or its file cannot be read.
    """
    if is_file(value):
        with explained(where):
            header = read_header(Path(value))
        return Layout(_channels_of(header.mode), header.size)
    if isinstance(value, Image.Image):
        return Layout(_channels_of(value.mode), (value.height, value.width))
    planes = _unit(_planes(value, where), where)
    channels, height, width = planes.shape
    return Layout(channels, (height, width), planes.dtype == torch.uint8)


def read_image(
    value: Any, reader: PictureReader, channels: int, where: str, source: str
) -> tuple[Tensor, Record]:
    """Return an image (C, H, W), uint8 or float32 in [0, 1], in the size of a reader.

    The pixels of a Pillow image are taken as they are, without the rotation in its EXIF data, since
    boxes and masks that come with it fit these.

    Args:
        value: The image, in one of the `FORMS`.
        reader: Reader of files; its size, fit and background hold for all forms.
        channels: Number of channels of the result.
        where: Where it is, for messages.
        source: Its name in the record; a file has its path there.

    Raises:
        DataError: If it cannot be read as an image of so many channels.
    """
    if is_file(value):
        with explained(where):
            return reader.read(Path(value))
    if isinstance(value, Image.Image):
        try:
            picture = opaque(eight_bit(value), reader.background, channels)
        except ValueError as error:
            raise DataError(f"{where}: {error}") from error
        image, geometry = reader.fitted(picture)
        return image, Record(source, (value.height, value.width), geometry, value.mode)
    planes = _with_channels(_unit(_planes(value, where), where), channels, where)
    image, geometry = fitted_planes(planes, reader)
    return image, Record(source, (planes.shape[1], planes.shape[2]), geometry)


def fitted_planes(
    planes: Tensor, reader: PictureReader, filter: Any = None, fill: int = 0
) -> tuple[Tensor, Tensor]:
    """Return planes (C, H, W), uint8 or float32, in the size of a reader.

    Args:
        planes: The planes, each resampled by itself.
        reader: Its size, fit and share are used.
        filter: The resampling filter; that of the reader by default.
        fill: Value of the pixels that `pad` adds.

    Returns:
        The planes, and the matrix (3, 3) float64 from their own coordinates to those of the result.
    """
    if reader.size is None:
        return planes, torch.eye(3, dtype=torch.float64)
    blank = Image.new("L", (planes.shape[2], planes.shape[1]))  # there may be no planes
    images = [blank, *(Image.fromarray(np.asarray(plane)) for plane in planes)]
    pairs = [
        fitted(image, reader.size, reader.fit, filter or reader.filter, reader.share, fill)
        for image in images
    ]
    height, width = pairs[0][0].height, pairs[0][0].width
    results = [pixels_of(image)[0] for image, _ in pairs[1:]]
    return (
        torch.stack(results) if results else planes.new_zeros(0, height, width),
        pairs[0][1],
    )


class explained:  # noqa: N801  # a context, like contextlib's
    """Add the place of a file to its error, and drop the advice for data sets of a recipe."""

    def __init__(self, where: str) -> None:
        self._where = where

    def __enter__(self) -> None: ...

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, UnreadablePicture):
            reason = str(error).partition("; mend")[0]
            raise DataError(f"{self._where}: {reason}; mend it, or leave it out") from error
        if isinstance(error, DataError):
            raise DataError(f"{self._where}: {error}") from error


def _channels_of(mode: str) -> int:
    """Return 1 for a mode of Pillow without colours, 3 for all others."""
    return 1 if mode.startswith(("LA", "I;")) or mode in _GREY_MODES else 3


def _planes(value: Any, where: str) -> Tensor:
    """Return an array or a tensor as (C, H, W), in its own dtype.

    Raises:
        DataError: If it is not an image.
    """
    if not isinstance(value, np.ndarray | Tensor):
        raise DataError(f"{where}: is of type {type(value).__name__}; give {FORMS}")
    if 0 in value.shape or value.ndim not in (2, 3):
        raise DataError(f"{where}: has the shape {tuple(value.shape)}; give {FORMS}")
    if isinstance(value, Tensor):
        planes = value.detach().cpu().as_subclass(Tensor)
        planes = planes if planes.ndim == 3 else planes[None]
        right = "a tensor is (C, H, W)"
    else:
        # A copy, since arrays that cannot be written to are not taken by torch.
        dtype = np.float32 if value.dtype.kind == "f" else value.dtype
        if dtype not in (np.float32, np.uint8, np.bool_):
            raise _of_dtype(where, value.dtype)
        array = np.moveaxis(value, 2, 0) if value.ndim == 3 else value[None]
        planes = torch.from_numpy(np.array(array, order="C", dtype=dtype))
        right = "an array is (H, W, C)"
    if not planes.is_floating_point() and planes.dtype not in (torch.uint8, torch.bool):
        raise _of_dtype(where, planes.dtype)
    if len(planes) > 4 and planes.shape[2 if isinstance(value, Tensor) else 1] in (1, 3):
        shape = tuple(value.shape)
        raise DataError(f"{where}: has the shape {shape}, and {right}; move its channels")
    return planes


def _of_dtype(where: str, dtype: object) -> DataError:
    return DataError(
        f"{where}: has values of {dtype}; give uint8 from 0 to 255, or float from 0 to 1"
    )


def _unit(planes: Tensor, where: str) -> Tensor:
    """Return planes as uint8, or as float32 in [0, 1].

    Raises:
        DataError: If float values are not in [0, 1].
    """
    if planes.dtype == torch.bool:
        return planes.byte() * 255
    if planes.dtype == torch.uint8:
        return planes
    low, high = planes.min().item(), planes.max().item()
    if not -OVERSHOOT <= low <= high <= 1 + OVERSHOOT:  # also if one is not a number
        advice = "divide them by 255, or give uint8" if low >= 0 else "leave out a normalisation"
        raise DataError(
            f"{where}: has float values from {low:g} to {high:g}, and black is 0 and white 1; "
            f"{advice}, since networks normalise images themselves"
        )
    return planes.float().clamp(0, 1)


def _with_channels(planes: Tensor, channels: int, where: str) -> Tensor:
    """Return planes with so many channels: grey is repeated, and colour becomes grey."""
    count = len(planes)
    if count == channels:
        return planes
    if count == 1:
        return planes.expand(channels, -1, -1)
    if (count, channels) != (3, 1):
        raise DataError(f"{where}: has {count} channels and not {channels}; give all the same")
    grey = (planes.float() * torch.tensor(_LUMA)[:, None, None]).sum(dim=0, keepdim=True)
    return grey.round().byte() if planes.dtype == torch.uint8 else grey
