"""How picture files become images for trained networks."""

from __future__ import annotations

from gvt import Opened, PictureReader, UsageError


def reader_of(opened: Opened, *, own_size: bool) -> PictureReader:
    """Return how picture files become images.

    That is how the training read them. If it read no files, images have the channels that the
    networks were trained with. They keep their own size if pixels are classified or objects are
    found; else they are made as large as the training's, with all of the image, and black beside
    it. If nothing is known they are in colour and of their own size.

    Args:
        opened: The networks.
        own_size: Whether images of any size will do.

    Raises:
        UsageError: If the networks are for images of neither one nor three channels.
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
