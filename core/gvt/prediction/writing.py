"""Predictions on disk: masks, overlays, a JSON line a picture, and COCO's results of objects."""

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
from gvt.coco import results_of
from gvt.errors import UsageError
from gvt.facts import DataFacts
from gvt.interfaces import Prediction
from gvt.prediction.entries import EntryFile, is_entry_file
from gvt.prediction.files import Source, check_distinct
from gvt.prediction.forms import Form
from gvt.prediction.objects import Objects
from gvt.prediction.overlay import draw_objects, painted
from gvt.prediction.result import value_of
from gvt.printable import printable
from gvt.runs.palette import indexed_palette

LINES = "predictions.jsonl"
"""The file with a JSON object for each picture, and the sign of a folder of predictions."""

ENTRIES = "predictions"
"""What the file of COCO's results is called, before the head's name and `.json`."""

_OF_ENTRIES = re.compile(rf"{ENTRIES}(_[\w-]+)?\.json", re.ASCII).fullmatch

_PART = 1 << 20
"""Pixels that are numbered at a time."""


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
            names are replaced, and their `predictions.jsonl` and `predictions.json` in any case.
        forms: Of each head's predictions.
        facts: What is known of the data.
        score: The least score of an object that is drawn.
    """

    def __init__(
        self, folder: Path, forms: Mapping[str, Form], facts: DataFacts, score: float
    ) -> None:
        self.folder = folder
        self._forms, self._facts, self._score = forms, facts, score
        self._names = _file_names(facts.classes)
        self._lines: TextIO | None = None
        self._entries = {
            head: EntryFile(folder / f"{ENTRIES}{_of(head)}.json")
            for head, form in forms.items()
            if form.is_of_objects
        }

    def check(self, sources: Sequence[Source]) -> None:
        """Check that what is written of one picture neither replaces another's, nor a picture.

        Raises:
            UsageError: If it does, or if what two heads say of one would; names them.
        """
        owners: dict[str, str] = {}
        endings: list[str] = []
        for head, form in self._forms.items():
            endings += self._endings(head, form)
            for ending in self._endings(head, form):
                other = owners.setdefault(ending.casefold(), head)
                if other != head:
                    raise UsageError(
                        f"heads {printable(other)!r} and {printable(head)!r}: both would write "
                        f"PICTURE{ending}; rename one in the recipe"
                    )
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

    def begin(self) -> None:
        """Begin the files that all pictures share, also for pictures that fail; once.

        Those of an earlier job are gone then, since they are about other pictures or networks.
        """
        if self._lines is not None:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        for path in self.folder.glob(f"{ENTRIES}*.json"):
            if _OF_ENTRIES(path.name) and path.is_file() and is_entry_file(path):
                path.unlink()
        self._lines = (self.folder / LINES).open("w", encoding="utf-8")
        for file in self._entries.values():
            file.add([])

    def pictures(
        self, source: Source, image: Image.Image, prediction: Mapping[str, Prediction | Objects]
    ) -> dict[str, list[Path]]:
        """Write the masks and the overlay of each head that says something of places.

        The overlay is painted on the picture itself, and the values of a mask become those of
        its file, since large pictures are better not copied.

        Returns:
            By head the files, the overlay last.
        """
        self.begin()
        written: dict[str, list[Path]] = {}
        drawn = [h for h, form in self._forms.items() if form.is_dense or form.is_of_objects]
        for head in drawn:
            paths = [self._path(source, e) for e in self._endings(head, self._forms[head])]
            paths[0].parent.mkdir(parents=True, exist_ok=True)
            canvas = image if head == drawn[-1] else image.copy()
            canvas = canvas if canvas.mode == "RGB" else canvas.convert("RGB")
            said = prediction[head]
            if isinstance(said, Objects):
                draw_objects(canvas, said.above(self._score), self._facts.classes)
            else:
                self._masks(said, paths[:-1], canvas)
            _save(canvas, paths[-1])
            written[head] = paths
        return written

    def entries(
        self, source: Source, size: tuple[int, int], prediction: Mapping[str, Prediction | Objects]
    ) -> None:
        """Write the objects of a picture of this (H, W), all of them, as COCO's results."""
        self.begin()
        facts = self._facts
        for head, file in self._entries.items():
            said = prediction[head]
            assert isinstance(said, Objects)  # as its form says
            file.add(
                results_of(
                    said.prediction(),
                    source.number,
                    source.name,
                    facts.classes,
                    facts.category_ids,
                    said.segmentations(size),
                )
            )

    def line(self, summary: Mapping[str, Any]) -> None:
        """Write a picture's line, at once."""
        self.begin()
        assert self._lines is not None
        self._lines.write(json.dumps(summary, allow_nan=False) + "\n")
        self._lines.flush()

    def close(self) -> None:
        """Close what is open."""
        if self._lines is not None:
            self._lines.close()
        for file in self._entries.values():
            file.close()

    def _endings(self, head: str, form: Form) -> list[str]:
        """Return what a picture's files are called behind its stem, the overlay's last."""
        of = _of(head)
        if form.is_of_objects:
            return [f"{of}_overlay.png"]
        if form.key == "semantic":
            return [f"{of}.png", f"{of}_overlay.png"]
        if form.key == "masks":
            return [*(f"{of}_{n}.png" for n in self._names), f"{of}_overlay.png"]
        return []

    def _path(self, source: Source, ending: str) -> Path:
        return self.folder / f"{source.stem}{ending}"

    def _masks(self, said: Prediction, paths: Sequence[Path], canvas: Image.Image) -> None:
        """Write masks of classes, and paint the picture with them before they change."""
        part = {k: v.numpy() for k, v in said.items()}
        painted(canvas, part, len(self._facts.classes))
        if "semantic" in part:
            _save(self._indexed(part["semantic"]), paths[0])
            return
        for mask, path in zip(part["masks"], paths, strict=True):
            _save(Image.fromarray(mask), path)

    def _indexed(self, semantic: np.ndarray) -> Image.Image:
        count, background = len(self._facts.classes), self._facts.background
        values = np.array([value_of(n, count, background) for n in range(256)])
        values = values.clip(max=IGNORED).astype(np.uint8)
        rows = max(1, _PART // semantic.shape[1])
        for top in range(0, len(semantic), rows):
            semantic[top : top + rows] = values[semantic[top : top + rows]]
        mask = Image.fromarray(semantic)
        mask.putpalette(indexed_palette(background))
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


def _of(head: str) -> str:
    return f"_{_file_name(head)}" if head else ""


def _file_name(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9-]+", "_", name) or "_"
