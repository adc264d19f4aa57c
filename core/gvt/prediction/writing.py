"""Predictions on disk: masks, overlays, and a JSON line a picture."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from PIL import Image

from gvt.atomic import replacing
from gvt.batch import IGNORED
from gvt.errors import UsageError
from gvt.interfaces import Prediction
from gvt.prediction.files import Source, check_distinct
from gvt.prediction.forms import Form
from gvt.prediction.result import value_of
from gvt.printable import printable
from gvt.runs.palette import indexed_palette, paint

LINES = "predictions.jsonl"
"""The file with a JSON object for each picture, and the sign of a folder of predictions."""

_PART = 1 << 20
"""Pixels that are painted at a time."""


def check_folder(folder: Path) -> None:
    """Check that predictions can go into a folder: a new, an empty one, or one of predictions.

    Raises:
        UsageError: If it has other things in it, or is a file.
    """
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{printable(folder)}: is a file; name a folder")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / LINES).is_file():
        raise UsageError(
            f"{printable(folder)}: has files, and no {LINES} of earlier predictions; name a new "
            "folder"
        )


class Writer:
    """Writes into one folder what is said of pictures.

    Args:
        folder: Where to; made with the first picture. Files of earlier predictions with the same
            names are replaced, and so is their `predictions.jsonl`.
        forms: Of each head's predictions.
        classes: Names of the classes.
        background: Whether pixels may be of none.
    """

    def __init__(
        self, folder: Path, forms: Mapping[str, Form], classes: Sequence[str], background: bool
    ) -> None:
        self.folder = folder
        self._forms, self._classes, self._background = forms, classes, background
        self._names = _file_names(classes)
        self._lines: TextIO | None = None

    def check(self, sources: Sequence[Source]) -> None:
        """Check that what is written of one picture neither replaces another's, nor a picture.

        Raises:
            UsageError: If it does; names the pictures.
        """
        endings = [e for head, form in self._forms.items() for e in self._endings(head, form)]
        check_distinct(sources, endings)
        read = {source.path.resolve() for source in sources}
        for source in sources:
            for ending in endings:
                written = self._path(source, ending)
                if written.resolve() in read:
                    raise UsageError(
                        f"{printable(written)}: is one of the pictures, and would be replaced by "
                        "a mask; name another folder"
                    )

    def masks(
        self, source: Source, image: Image.Image, prediction: Mapping[str, Prediction]
    ) -> dict[str, list[Path]]:
        """Write the masks and the overlay of each head that classifies pixels; all of them change.

        The overlay is painted on the picture itself, and the values of a mask become those of
        its file, since large pictures are better not copied.

        Returns:
            By head the files, the overlay last.
        """
        written: dict[str, list[Path]] = {}
        dense = [head for head, form in self._forms.items() if form.is_dense]
        for number, head in enumerate(dense):
            last = number == len(dense) - 1
            paths = [self._path(source, e) for e in self._endings(head, self._forms[head])]
            paths[0].parent.mkdir(parents=True, exist_ok=True)
            part = {k: v.numpy() for k, v in prediction[head].items()}
            overlay = self._painted(image if last else image.copy(), part)
            _save(overlay, paths[-1])
            if "semantic" in part:
                _save(self._indexed(part["semantic"]), paths[0])
            else:
                for mask, path in zip(part["masks"], paths[:-1], strict=True):
                    _save(Image.fromarray(mask), path)
            written[head] = paths
        return written

    def line(self, summary: Mapping[str, Any]) -> None:
        """Write a picture's line, at once."""
        if self._lines is None:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lines = (self.folder / LINES).open("w", encoding="utf-8")
        self._lines.write(json.dumps(summary, allow_nan=False) + "\n")
        self._lines.flush()

    def close(self) -> None:
        """Close the file of lines."""
        if self._lines is not None:
            self._lines.close()

    def _endings(self, head: str, form: Form) -> list[str]:
        """Return what a picture's files are called behind its stem, the overlay's last."""
        of = f"_{_file_name(head)}" if head else ""
        if form.key == "semantic":
            return [f"{of}.png", f"{of}_overlay.png"]
        if form.key == "masks":
            return [*(f"{of}_{n}.png" for n in self._names), f"{of}_overlay.png"]
        return []

    def _path(self, source: Source, ending: str) -> Path:
        return self.folder / f"{source.stem}{ending}"

    def _painted(self, image: Image.Image, part: Mapping[str, np.ndarray]) -> Image.Image:
        """Return the picture with the classes' colours on it."""
        image = image if image.mode == "RGB" else image.convert("RGB")
        rows = max(1, _PART // image.width)
        for top in range(0, image.height, rows):
            bottom = min(top + rows, image.height)
            pixels = np.array(image.crop((0, top, image.width, bottom)))
            if "semantic" in part:
                paint(pixels, part["semantic"][top:bottom], len(self._classes))
            for number, mask in enumerate(part.get("masks", ())):
                of_class = np.where(mask[top:bottom], number, IGNORED)
                paint(pixels, of_class, len(self._classes))
            image.paste(Image.fromarray(pixels), (0, top))
        return image

    def _indexed(self, semantic: np.ndarray) -> Image.Image:
        count = len(self._classes)
        values = np.array([value_of(n, count, self._background) for n in range(256)])
        values = values.clip(max=IGNORED).astype(np.uint8)
        rows = max(1, _PART // semantic.shape[1])
        for top in range(0, len(semantic), rows):
            semantic[top : top + rows] = values[semantic[top : top + rows]]
        mask = Image.fromarray(semantic)
        mask.putpalette(indexed_palette(self._background))
        return mask


def _save(image: Image.Image, path: Path) -> None:
    with replacing(path) as file:
        image.save(file, "PNG")


def _file_names(classes: Sequence[str]) -> list[str]:
    """Return a name for the file of each class, no two alike where capitals do not count."""
    names: list[str] = []
    taken = {"overlay"}
    for number, name in enumerate(classes):
        safe = _file_name(name)
        names.append(f"{safe}_{number}" if safe.casefold() in taken else safe)
        taken.add(names[-1].casefold())
    return names


def _file_name(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9-]+", "_", name) or "_"
