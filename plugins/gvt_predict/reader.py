"""The reader of image files for a trained model."""

from __future__ import annotations

from dataclasses import replace

from gvt import Opened, PictureReader, UsageError


def reader_of(opened: Opened, *, own_size: bool) -> PictureReader:
    """Return the reader of image files for a trained model.

    It is the reader of the training data. If that resizes nothing, but all training images have one
    size, and the model does not take any size, images are fitted to this size. If the training read
    no files, images get the number of channels of the training. They keep their own size if the
    model takes any; otherwise they are fitted to the size of the training images, and padded with
    black. If size and channels are unknown, images are in colour and keep their own size.

    Args:
        opened: The model.
        own_size: Whether the model takes images of any size.

    Raises:
        UsageError: If the model takes images with neither one nor three channels.
    """
    info = opened.info
    channels, *size = info.image_shape or (info.image_channels or 3,)
    if info.reader is not None:
        reader = PictureReader.from_document(info.reader)
        keeps = reader.size is not None or own_size or not size
        return reader if keeps else replace(reader, size=(size[0], size[1]))
    if channels not in (1, 3):
        raise UsageError(
            f"{opened.config.recipe}: the model takes images of {channels} channels, but image "
            "files have 1 or 3; use another model"
        )
    if own_size or not size:
        return PictureReader(channels)
    return PictureReader(channels, (size[0], size[1]), fit="pad")
