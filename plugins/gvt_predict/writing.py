"""Predictions on disk: masks, overlays, a JSON line a picture, and COCO's results of objects."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from io import TextIOWrapper
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from PIL import Image

from gvt import IGNORED, DataInfo, Prediction, UsageError
from gvt.files import create, make_folder_inside, replacing
from gvt.printable import printable
from gvt.vision.drawing import draw_marks, indexed_palette, paint_classes, with_legend
from gvt_predict.coco_results import results_of
from gvt_predict.entries import EntryFile, is_entry_file
from gvt_predict.files import Source, check_distinct
from gvt_predict.forms import Form
from gvt_predict.objects import Objects
from gvt_predict.overlay import legend_items, marks_of
from gvt_predict.result import value_of, words_of

LINES = "predictions.jsonl"
"""The file with a JSON object for each picture, and the sign of a folder of predictions."""

ENTRIES = "predictions"
"""What the file of COCO's results is called, before the head's name and `.json`."""

_OVERLAY = "_overlay.png"

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


@dataclass(frozen=True)
class Written:
    """The files of a picture.

    Attributes:
        masks: By head those of its masks.
        overlay: The picture with all that is said of places in it; None where nothing is.
    """

    masks: Mapping[str, Sequence[Path]] = field(default_factory=dict)
    overlay: Path | None = None

    @property
    def files(self) -> tuple[Path, ...]:
        """All of them, the overlay last."""
        masks = [path for paths in self.masks.values() for path in paths]
        return (*masks,) if self.overlay is None else (*masks, self.overlay)


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
        self, folder: Path, forms: Mapping[str, Form], facts: DataInfo, score: float
    ) -> None:
        self.folder = folder
        self._forms, self._facts, self._score = forms, facts, score
        self._names = _file_names(facts.classes)
        # Behind a picture's stem, and behind `predictions`; a single head needs no name there.
        several = len(forms) > 1
        self._suffixes = {head: f"_{_file_name(head)}" if several else "" for head in forms}
        self._lines: TextIO | None = None
        self._entries = {
            head: EntryFile(folder / f"{ENTRIES}{self._suffixes[head]}.json")
            for head, form in forms.items()
            if form.is_of_objects
        }

    def check(self, sources: Sequence[Source]) -> None:
        """Check that what is written of one picture neither replaces another's, nor a picture.

        Raises:
            UsageError: If it does, or if what two heads say of one would; names them.
        """
        owners: dict[str, str] = {}
        for head, form in self._forms.items():
            named = {f"PICTURE{ending}" for ending in self._endings(head, form)}
            if form.is_of_objects:
                named.add(f"{ENTRIES}{self._suffixes[head]}.json")
            for name in sorted(named):
                if name.casefold() == f"PICTURE{_OVERLAY}".casefold():
                    raise UsageError(
                        f"head {printable(head)!r}: its mask would be {name}, as what all heads "
                        "are drawn on; rename it in the recipe"
                    )
                other = owners.setdefault(name.casefold(), head)
                if other != head:
                    raise UsageError(
                        f"heads {printable(other)!r} and {printable(head)!r}: both would write "
                        f"{name}; rename one in the recipe"
                    )
        endings = [e for head, form in self._forms.items() for e in self._endings(head, form)]
        endings += [_OVERLAY] if self._is_drawn else []
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
        self._lines = TextIOWrapper(create(self.folder / LINES), encoding="utf-8")
        for file in self._entries.values():
            file.add([])

    def pictures(
        self, source: Source, image: Image.Image, prediction: Mapping[str, Prediction | Objects]
    ) -> Written:
        """Write the masks of each head, and one overlay with all that is said of places.

        Pixels are painted, and over them lie masks and boxes of objects; what several heads say of
        the same pixels has outlines. Of several heads, what they say of the whole picture stands
        below it. The overlay is painted on the picture itself, and the values of a mask become
        those of its file, since large pictures are better not copied.
        """
        self.begin()
        if not self._is_drawn:
            return Written()
        canvas = image if image.mode == "RGB" else image.convert("RGB")
        classes = self._facts.classes
        masks: dict[str, list[Path]] = {}
        there: set[int] = set()
        overlay = self._path(source, _OVERLAY)
        make_folder_inside(self.folder, overlay.parent)
        for head, said in prediction.items():
            if not isinstance(said, Objects) and self._forms[head].is_dense:
                paths = [self._path(source, e) for e in self._endings(head, self._forms[head])]
                there |= self._masks(said, paths, canvas, outlined=bool(masks))
                masks[head] = paths
        found = {
            head: said.above(self._score)
            for head, said in prediction.items()
            if isinstance(said, Objects)
        }
        draw_marks(canvas, marks_of([*found.values()], classes), outlined=bool(masks))
        if len(self._forms) > 1:
            items = legend_items(self._told(prediction), [*found], there, classes)
            canvas = with_legend(canvas, [*items])
        _save(canvas, overlay)
        return Written(masks, overlay)

    def _told(self, prediction: Mapping[str, Prediction | Objects]) -> Iterator[tuple[str, str]]:
        """Yield the heads that say something of the whole picture, with it."""
        for head, said in prediction.items():
            if not isinstance(said, Objects) and not self._forms[head].is_dense:
                yield head, words_of(said, self._facts.classes)

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

    @property
    def _is_drawn(self) -> bool:
        return any(form.is_dense or form.is_of_objects for form in self._forms.values())

    def _endings(self, head: str, form: Form) -> list[str]:
        """Return what the files of a head's masks are called behind the picture's stem."""
        suffix = self._suffixes[head]
        if form.key == "semantic":
            return [f"{suffix}.png"]
        return [f"{suffix}_{n}.png" for n in self._names] if form.key == "masks" else []

    def _path(self, source: Source, ending: str) -> Path:
        return self.folder / f"{source.stem}{ending}"

    def _masks(
        self, said: Prediction, paths: Sequence[Path], canvas: Image.Image, *, outlined: bool
    ) -> set[int]:
        """Write masks of classes, and draw them on the picture before they change.

        Returns:
            The classes that there are.
        """
        part = {k: v.numpy() for k, v in said.items()}
        there = paint_classes(canvas, part, len(self._facts.classes), outlined=outlined)
        if "semantic" in part:
            _save(self._indexed(part["semantic"]), paths[0])
        else:
            for mask, path in zip(part["masks"], paths, strict=True):
                _save(Image.fromarray(mask), path)
        return there

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


def _file_name(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9-]+", "_", name) or "_"
