"""Parameters shared by the data sets of images with boxes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field

from gvt import PassedTo

from ..pictures import Pictures
from ..splits import check_shares
from .checks import OnError


@dataclass(frozen=True)
class BoxFiles(Pictures):
    """How images with boxes are read, and which of them are held out.

    Args:
        size: Height and width in pixels of all images, or one number for both; by default each
            image keeps its own size. Boxes and masks are resized with the image.
        fit: How an image is fitted to a size of another aspect ratio: `crop` (clips boxes at the
            edge, and drops those outside), `pad`, `stretch` or `within`.
        val: Share of the training images held out as `val`, if nothing else defines the split.
            The choice depends on the seed and each image's name.
        test: Share of the training images held out as `test`, if nothing else defines the split.
        split_seed: Seed of the choice of held-out images.
        on_error: How bad annotations and images are handled: `error` stops, `skip` leaves them out
            with a warning, `clip` also clips boxes at the image's edge.
        about: Text of the error if the folder does not exist: source, licence, layout.
    """

    val: Annotated[float, Field(ge=0, lt=1)] = 0.2
    test: Annotated[float, Field(ge=0, lt=1)] = 0.0
    split_seed: int = 0
    on_error: OnError = "error"
    about: str = ""

    def shares(self) -> dict[str, float]:
        """Return the shares of the held-out splits.

        Raises:
            ValueError: If they leave no images for training.
        """
        shares = {"val": self.val, "test": self.test}
        check_shares(shares)
        return shares


BoxFileParameters = Annotated[Any, PassedTo(BoxFiles)]
"""Keyword parameters of a constructor that passes them to `BoxFiles`."""
