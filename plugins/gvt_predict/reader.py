"""The reader of picture files for a trained model."""

from __future__ import annotations

from gvt import Opened, PictureReader, UsageError


def reader_of(opened: Opened, *, own_size: bool) -> PictureReader:
    """Return the reader of picture files for a trained model.

    It is the reader of the training data. If the training read no files, images have the channels
    that the model was trained with. They keep their own size if the model takes any; else they
    are fitted to the size of the training's images, and padded with black. Without any of these
    facts they are in colour and keep their own size.

    Args:
        opened: The model.
        own_size: Whether the model takes images of any size.

    Raises:
        UsageError: If the model takes images of neither one nor three channels.
    """
    info = opened.info
    if info.reader is not None:
        return PictureReader.from_document(info.reader)
    channels, *size = info.image_shape or (info.image_channels or 3,)
    if channels not in (1, 3):
        raise UsageError(
            f"{opened.config.recipe}: its networks take images of {channels} channels, and "
            "picture files give 1 or 3"
        )
    if own_size or not size:
        return PictureReader(channels)
    return PictureReader(channels, (size[0], size[1]), fit="pad")
