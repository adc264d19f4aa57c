"""Checks of image files for what is easily overlooked: further pages, and dark values."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from gvt.errors import DataError
from gvt.printable import printable
from gvt.vision.pictures.reading import has_upper_bits, is_deep, pages_in, picture_file

_HEADERS, _DECODED = 64, 8
"""Number of files in a sample whose headers are read, and of those that are decoded."""

_MOST_PIXELS = 1 << 25
"""Largest number of pixels of an image that is decoded for a sample."""

_LOSSY = ("JPEG", "MPO", "WEBP")
"""Formats whose values span the whole range, so that they need not be decoded."""


@dataclass(frozen=True)
class _Seen:
    """The content of one file.

    Attributes:
        file: The file.
        pages: Number of images; previews in a JPEG do not count.
        brightest: The largest value; None if it was not decoded.
        white: The largest value of its type.
    """

    file: Path
    pages: int
    brightest: float | None
    white: float


def notes_on(
    files: Sequence[Path], page: int | None, white: float | None, *, every: bool = False
) -> list[str]:
    """Return a note for each way in which files hold more than is read, or only dark values.

    One note is about files of several pages, if `page` is not given. The other is about
    values that all lie in the lowest quarter of the range of their type (for 8 bits, the lowest
    sixteenth), if `white` is not given. A file that cannot be read is passed over.

    Args:
        files: Image files.
        page: Which of a file's images is read, if it is given.
        white: The value that is white, if it is given.
        every: Whether all are checked, and not a sample spread over the list.
    """
    if page is not None and white is not None:
        return []
    headers = files if every else _spread(files, _HEADERS)
    decoded = {*files} if every else {*_spread(headers, _DECODED)}
    most = math.inf if every else _MOST_PIXELS
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        jobs = pool.map(lambda f: _seen(f, page, white is None and f in decoded, most), headers)
        seen = [of_one for of_one in jobs if of_one is not None]
    notes = [] if page is not None else _on_pages(seen, len(headers) == len(files))
    return notes if white is not None else notes + _on_values(seen)


def _spread(files: Sequence[Path], count: int) -> Sequence[Path]:
    """Return at most `count` files, spread over the list."""
    count = min(count, len(files))
    return [files[number * len(files) // count] for number in range(count)]


def _seen(file: Path, page: int | None, decode: bool, most: float) -> _Seen | None:
    """Return the content of a file; None if it cannot be read."""
    try:
        with picture_file(file, page=page) as opened:
            pages = 1 if opened.format == "MPO" else pages_in(opened)
            opened.seek((page or 1) - 1)  # counting pages may have turned them
            decode &= opened.format not in _LOSSY and opened.width * opened.height <= most
            return _Seen(file, pages, *(_brightest(opened) if decode else (None, 0)))
    except DataError:
        return None


def _brightest(file: Image.Image) -> tuple[float | None, float]:
    """Return the largest value of an opened file, and the largest of its type."""
    if is_deep(file):
        return float(np.asarray(file).max()), 1 if file.mode == "F" else 65535
    if file.mode not in ("L", "RGB"):
        return None, 0
    brightest = max(int(np.asarray(band).max()) for band in file.split())
    # Of 16-bit colour only the upper half is read: the largest value that there may have been.
    return (brightest << 8 | 255, 65535) if has_upper_bits(file) else (brightest, 255)


def _on_pages(seen: Sequence[_Seen], whole: bool) -> list[str]:
    several = [of_one for of_one in seen if of_one.pages > 1]
    if not several:
        return []
    most = max(several, key=lambda of_one: of_one.pages)
    count = f"{len(several):,} of {len(seen):,} files" + ("" if whole else " looked at")
    verb = "has" if len(several) == 1 else "have"
    return [
        f"{count} {verb} several pages ({printable(most.file)}: {most.pages:,}), of which the "
        "first is read; data.page=N reads another one, counted from 1"
    ]


def _on_values(seen: Sequence[_Seen]) -> list[str]:
    notes = []
    for white in (65535, 255, 1):
        values = [s.brightest for s in seen if s.white == white and s.brightest is not None]
        brightest = max(values, default=0)
        if not 0 < brightest <= white / (16 if white == 255 else 4):
            continue
        # As many bits as the values have; floats have no such steps.
        top = f"{brightest:g}" if white == 1 else f"{(1 << int(brightest).bit_length()) - 1}"
        notes.append(
            f"the brightest value in {len(values):,} files is {brightest:g} of {white}, so that "
            f"they are read as dark; data.white={top} makes {top} white"
        )
    return notes
