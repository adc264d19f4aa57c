"""Writing predictions to files: masks, overlays, JSON lines, and COCO results."""

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
"""File with a JSON object for each image, which marks a folder of predictions."""

ENTRIES = "predictions"
"""Beginning of the name of a file of COCO results, before the head's name and `.json`."""

_OVERLAY = "_overlay.png"

_IS_ENTRIES_NAME = re.compile(rf"{ENTRIES}(_[\w-]+)?\.json", re.ASCII).fullmatch

_PART = 1 << 20
"""Pixels converted to values at a time."""


def check_folder(folder: Path) -> None:
    """Check that a folder is new, empty, or has earlier predictions.

    Raises:
        UsageError: If it has other files, or is a file.
    """
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{printable(folder)}: is a file; give a folder")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / LINES).is_file():
        raise UsageError(
            f"{printable(folder)}: has files, but no {LINES} of earlier predictions; give a new "
            "folder"
        )


@dataclass(frozen=True)
class Written:
    """The files written for an image.

    Attributes:
        masks: Mask files by head.
        overlay: Image with the predicted pixels and objects; None if no head predicts any.
    """

    masks: Mapping[str, Sequence[Path]] = field(default_factory=dict)
    overlay: Path | None = None

    @property
    def files(self) -> tuple[Path, ...]:
        """All files, the overlay last."""
        masks = [path for paths in self.masks.values() for path in paths]
        return (*masks,) if self.overlay is None else (*masks, self.overlay)


class Writer:
    """Writes predictions into a folder.

    Args:
        folder: Output folder, created with the first image. Files of earlier predictions with the
            same names are replaced; their `predictions.jsonl` and `predictions.json` always are.
        forms: Form of the predictions of each head.
        facts: Information about the data.
        score: Least score of the objects that are drawn.
    """

    def __init__(
        self, folder: Path, forms: Mapping[str, Form], facts: DataInfo, score: float
    ) -> None:
        self.folder = folder
        self._forms, self._facts, self._score = forms, facts, score
        self._names = _file_names(facts.classes)
        # Follow an image's stem, and `predictions`; the name of a single head is left out.
        is_multihead = len(forms) > 1
        self._suffixes = {head: f"_{_file_name(head)}" if is_multihead else "" for head in forms}
        self._lines: TextIO | None = None
        self._entries = {
            head: EntryFile(folder / f"{ENTRIES}{self._suffixes[head]}.json")
            for head, form in forms.items()
            if form.is_of_objects
        }

    def check(self, sources: Sequence[Source]) -> None:
        """Check that no output file replaces another one, or an input image.

        Raises:
            UsageError: If one would; names the images or the heads.
        """
        heads: dict[str, str] = {}
        for head, form in self._forms.items():
            names = {f"IMAGE{ending}" for ending in self._endings(head, form)}
            if form.is_of_objects:
                names.add(f"{ENTRIES}{self._suffixes[head]}.json")
            for name in sorted(names):
                if name.casefold() == f"IMAGE{_OVERLAY}".casefold():
                    raise UsageError(
                        f"head {printable(head)!r}: its mask would be {name}, which is the "
                        "overlay of all heads; rename the head in the recipe"
                    )
                other = heads.setdefault(name.casefold(), head)
                if other != head:
                    raise UsageError(
                        f"heads {printable(other)!r} and {printable(head)!r}: both would write "
                        f"{name}; rename one in the recipe"
                    )
        endings = [e for head, form in self._forms.items() for e in self._endings(head, form)]
        endings += [_OVERLAY] if self._is_drawn else []
        check_distinct(sources, endings)
        inputs = {source.path.resolve() for source in sources}
        for source in sources:
            for ending in endings:
                path = self._path(source, ending)
                if path.resolve() in inputs:
                    raise UsageError(
                        f"{printable(path)}: is one of the images and would be overwritten; give "
                        "another output folder"
                    )

    def begin(self) -> None:
        """Create the files that all images share, unless they are open.

        Such files of an earlier job are removed, since they are about other images or models.
        """
        if self._lines is not None:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        for path in self.folder.glob(f"{ENTRIES}*.json"):
            if _IS_ENTRIES_NAME(path.name) and path.is_file() and is_entry_file(path):
                path.unlink()
        self._lines = TextIOWrapper(create(self.folder / LINES), encoding="utf-8")
        for file in self._entries.values():
            file.add([])

    def pictures(
        self, source: Source, image: Image.Image, prediction: Mapping[str, Prediction | Objects]
    ) -> Written:
        """Write the masks of each head, and an overlay of all heads.

        Classes of pixels are painted, with masks and boxes of objects above them. If several heads
        predict pixels, all but the first are outlined. With several heads, a legend below the
        image has the predictions for the whole image. To avoid copies of large images, the overlay
        is painted onto `image`, and the masks in `prediction` are changed to the values in files.
        """
        self.begin()
        if not self._is_drawn:
            return Written()
        canvas = image if image.mode == "RGB" else image.convert("RGB")
        classes = self._facts.classes
        masks: dict[str, list[Path]] = {}
        painted: set[int] = set()
        overlay = self._path(source, _OVERLAY)
        make_folder_inside(self.folder, overlay.parent)
        for head, part in prediction.items():
            if not isinstance(part, Objects) and self._forms[head].is_dense:
                paths = [self._path(source, e) for e in self._endings(head, self._forms[head])]
                painted |= self._masks(part, paths, canvas, outlined=bool(masks))
                masks[head] = paths
        objects = {
            head: part.above(self._score)
            for head, part in prediction.items()
            if isinstance(part, Objects)
        }
        draw_marks(canvas, marks_of([*objects.values()], classes), outlined=bool(masks))
        if len(self._forms) > 1:
            items = legend_items(self._image_texts(prediction), [*objects], painted, classes)
            canvas = with_legend(canvas, [*items])
        _save(canvas, overlay)
        return Written(masks, overlay)

    def _image_texts(
        self, prediction: Mapping[str, Prediction | Objects]
    ) -> Iterator[tuple[str, str]]:
        """Yield each head that predicts classes of whole images, with its prediction as text."""
        for head, part in prediction.items():
            if not isinstance(part, Objects) and not self._forms[head].is_dense:
                yield head, words_of(part, self._facts.classes)

    def entries(
        self, source: Source, size: tuple[int, int], prediction: Mapping[str, Prediction | Objects]
    ) -> None:
        """Write all objects of an image with this (H, W) as COCO results."""
        self.begin()
        for head, file in self._entries.items():
            objects = prediction[head]
            assert isinstance(objects, Objects)  # by the head's form
            file.add(
                results_of(
                    objects.prediction(),
                    source.number,
                    source.name,
                    self._facts.classes,
                    self._facts.category_ids,
                    objects.segmentations(size),
                )
            )

    def line(self, summary: Mapping[str, Any]) -> None:
        """Write the line of an image, and flush the file."""
        self.begin()
        assert self._lines is not None
        self._lines.write(json.dumps(summary, allow_nan=False) + "\n")
        self._lines.flush()

    def close(self) -> None:
        """Close all open files."""
        if self._lines is not None:
            self._lines.close()
        for file in self._entries.values():
            file.close()

    @property
    def _is_drawn(self) -> bool:
        return any(form.is_dense or form.is_of_objects for form in self._forms.values())

    def _endings(self, head: str, form: Form) -> list[str]:
        """Return the part after the image's stem in the names of a head's mask files."""
        suffix = self._suffixes[head]
        if form.key == "semantic":
            return [f"{suffix}.png"]
        return [f"{suffix}_{n}.png" for n in self._names] if form.key == "masks" else []

    def _path(self, source: Source, ending: str) -> Path:
        return self.folder / f"{source.stem}{ending}"

    def _masks(
        self, prediction: Prediction, paths: Sequence[Path], canvas: Image.Image, *, outlined: bool
    ) -> set[int]:
        """Paint masks of classes onto the image, and write them to files.

        Returns:
            The painted classes.
        """
        arrays = {key: value.numpy() for key, value in prediction.items()}
        painted = paint_classes(canvas, arrays, len(self._facts.classes), outlined=outlined)
        if "semantic" in arrays:
            _save(self._indexed(arrays["semantic"]), paths[0])
        else:
            for mask, path in zip(arrays["masks"], paths, strict=True):
                _save(Image.fromarray(mask), path)
        return painted

    def _indexed(self, semantic: np.ndarray) -> Image.Image:
        """Return an indexed image of class indices, which are changed in place to its values."""
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
    """Return a file name for each class, distinct even if case is ignored."""
    names: list[str] = []
    folded = {"overlay"}
    for number, name in enumerate(classes):
        safe = _file_name(name)
        names.append(f"{safe}_{number}" if safe.casefold() in folded else safe)
        folded.add(names[-1].casefold())
    return names


def _file_name(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9-]+", "_", name) or "_"
