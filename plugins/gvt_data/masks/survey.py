"""Counts of the values in all masks of a data set."""

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
    """Count the pixels of each value in all masks.

    Args:
        masks: Mask files.
        most_pixels: Largest number of pixels of a mask; Pillow's limit by default.
        white: Value of white in a one-bit mask.
        page: Page of multi-page files, from 1; the first by default.
        lenient: Whether masks that cannot be read or have noise at edges are left out.

    Raises:
        UnusableMask: If a mask has noise at edges, is in colour, or has too many values.
        UnreadablePicture: If the content of a mask is not a readable image.
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
    readable = [(mask, counts) for mask, counts in zip(masks, tallies, strict=True) if counts]
    total = added([counts for _, counts in readable])
    clean = []
    for mask, counts in readable:
        noise = counts.noise(total)
        if noise and not lenient:
            raise UnusableMask(of_noise(f"{printable(mask)}: looks", counts, noise))
        if not noise:
            clean.append(counts)
    if clean:
        total = added(clean)
    if noise := total.noise():
        raise UnusableMask(of_noise("data: the masks look", total, noise))
    return total
