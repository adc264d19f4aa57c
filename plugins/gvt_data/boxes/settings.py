"""Parameters that data sets of files with boxes have in common."""

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
    """How pictures with boxes are read, and which of them are held out.

    Args:
        size: Height and width in pixels of all images, or both in one number; each picture keeps
            its own unless given. Boxes and masks go with it.
        fit: How a picture meets a size of another shape: `crop`, which cuts boxes at the edge of
            what is left, and loses those outside, `pad`, `stretch` or `within`.
        val: The share of the training pictures that is `val`, where nothing else says which are.
            The choice depends on the seed and each picture's own name.
        test: The same for `test`.
        split_seed: Another number makes another choice.
        on_error: What happens to what is bad: `error` stops, `skip` leaves it out with a warning,
            and `clip` does so, too, but cuts boxes at the image's edge.
        about: What is said where the folder is absent: source, licence, layout.
    """

    val: Annotated[float, Field(ge=0, lt=1)] = 0.2
    test: Annotated[float, Field(ge=0, lt=1)] = 0.0
    split_seed: int = 0
    on_error: OnError = "error"
    about: str = ""

    def shares(self) -> dict[str, float]:
        """Return the shares of the splits that are held out.

        Raises:
            ValueError: If they leave nothing to train on.
        """
        shares = {"val": self.val, "test": self.test}
        check_shares(shares)
        return shares


BoxFileParameters = Annotated[Any, PassedTo(BoxFiles)]
"""Parameters of a constructor that makes `BoxFiles` of them."""
