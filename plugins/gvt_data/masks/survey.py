"""The values of all masks of a data set together."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gvt import DataError
from gvt.printable import printable
from gvt.vision.pictures import UnreadablePicture

from ..broken import threads
from .file import UnusableMask, of_noise, tally_of
from .tally import Tally, added


def surveyed(
    masks: Sequence[Path],
    most_pixels: int | None,
    white: int,
    page: int | None,
    *,
    lenient: bool,
) -> Tally:
    """Return how many pixels each value has in all masks.

    Args:
        masks: The files.
        most_pixels: How many a mask may have; Pillow's limit unless given.
        white: The value that white of one bit stands for.
        page: Which picture of a file that holds several, from 1; the first unless given.
        lenient: Pass over masks that cannot be read or have noise at their edges.

    Raises:
        UnusableMask: If a mask has noise at its edges, is in colour, or has too many values.
        UnreadablePicture: If the content of one cannot be taken for a picture.
        DataError: If a file cannot be read.
    """

    def tally(mask: Path) -> Tally | None:
        try:
            return tally_of(mask, mask.stat().st_mtime_ns, most_pixels, white, page)
        except OSError as error:
            if not lenient:
                reason = f"{printable(mask)}: cannot be read: {error.strerror}"
                raise DataError(reason) from error
        except UnreadablePicture:
            if not lenient:
                raise
        return None

    with threads() as pool:
        tallies = list(pool.map(tally, masks))
    readable = [(mask, tally) for mask, tally in zip(masks, tallies, strict=True) if tally]
    every = added([tally for _, tally in readable])
    clean = []
    for mask, tally_of_mask in readable:
        noise = tally_of_mask.noise(every)
        if noise and not lenient:
            raise UnusableMask(of_noise(f"{printable(mask)}: looks", tally_of_mask, noise))
        if not noise:
            clean.append(tally_of_mask)
    every = added(clean or [tally for _, tally in readable])
    if noise := every.noise():
        raise UnusableMask(of_noise("data: the masks look", every, noise))
    return every
