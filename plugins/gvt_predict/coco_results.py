"""Conversion between detected objects and entries of COCO results."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from pycocotools import mask as coco_mask
from pydantic import (
    BaseModel,
    BeforeValidator,
    Field,
    FiniteFloat,
    TypeAdapter,
    ValidationError,
)

from gvt import DataError, Prediction, Record
from gvt.printable import printable
from gvt.vision.coco import FARTHEST, RLE, decoded, encoded, shown
from gvt.vision.pictures import composed

MOST_MASKS = 100
"""Masks read for each class and image, by highest score; COCO's metrics use no more."""


def results_of(
    prediction: Mapping[str, Any],
    image_id: int,
    file_name: str,
    classes: Sequence[str],
    category_ids: Sequence[int] | None = None,
    segmentations: Sequence[RLE] | None = None,
) -> list[dict[str, Any]]:
    """Return the objects predicted in one image as entries of COCO results.

    A JSON list of the entries of all images is read by `Results` and by pycocotools' `loadRes`;
    it holds the exact values of the tensors. `file_name` and `category_name` are additions to
    COCO's format.

    Args:
        prediction: `boxes` (M, 4) xyxy in pixels of the image, `labels` (M,), `scores` (M,) and
            optionally `masks` (M, H, W).
        image_id: Number of the image.
        file_name: Name of the image file.
        classes: Names of the classes.
        category_ids: Number of each class; by default 1, 2 and so on.
        segmentations: Mask of each object, instead of `masks`.

    Raises:
        ValueError: If a box or a score is not a number.
    """
    boxes, scores = (prediction[k].detach().cpu().double() for k in ("boxes", "scores"))
    if not (boxes.isfinite().all() and scores.isfinite().all()):
        raise ValueError(f"{printable(file_name)}: a predicted box or score is not finite")
    if segmentations is None and "masks" in prediction:
        segmentations = [encoded(mask) for mask in prediction["masks"]]
    numbers = category_ids or range(1, len(classes) + 1)
    entries: list[dict[str, Any]] = []
    rows = zip(boxes.tolist(), prediction["labels"].tolist(), scores.tolist(), strict=True)
    for row, ((left, top, right, bottom), label, score) in enumerate(rows):
        entry = {
            "image_id": image_id,
            "file_name": file_name,
            "category_id": numbers[label],
            "category_name": classes[label],
            "bbox": [left, top, right - left, bottom - top],
            "score": score,
        }
        if segmentations is not None:
            entry["segmentation"] = segmentations[row]
        entries.append(entry)
    return entries


class _Entry(BaseModel):
    """One object in a file of results."""

    image_id: int | str | None = None
    file_name: str | None = None
    category_id: int | None = None
    category_name: str | None = None
    bbox: Annotated[list[FiniteFloat], Field(min_length=4, max_length=4)] | None = None
    score: FiniteFloat
    segmentation: Annotated[Any, BeforeValidator(lambda v: None if v == [] else v)] = None


_ENTRIES = TypeAdapter(list[_Entry])
_Key = int | tuple[str, ...]
"""Key of an image: its number, or the parts of its path."""

_Row = tuple[int, _Entry, int]
"""The number of an entry in its file, the entry, and its class index."""


class Results:
    """Predictions from a file of COCO results, by image.

    Args:
        path: Path of the file, for errors.
        entries: Entries of the file, each with its number.
        classes: Names of the classes.
        category_ids: Number of each class; by default 1, 2 and so on.
        masks: Whether to read masks; without, the mask of an object with a box is ignored.

    Attributes:
        is_numbered: Whether there are entries, and all name their images by number alone.

    Raises:
        DataError: If an entry has no image, an unknown class, or an impossible box; names the
            entry.
    """

    def __init__(
        self,
        path: Path,
        entries: Sequence[tuple[int, _Entry]],
        classes: Sequence[str],
        category_ids: Sequence[int] | None = None,
        *,
        masks: bool = True,
    ) -> None:
        self._path, self._classes = path, classes
        self._label_by_name = {composed(name): n for n, name in reversed([*enumerate(classes)])}
        numbers = category_ids or range(1, len(classes) + 1)
        self._label_by_id = {number: label for label, number in enumerate(numbers)}
        self._entries: dict[_Key, list[_Row]] = defaultdict(list)
        self._sources: dict[_Key, str] = {}
        self._has_masks = masks and any(e.segmentation is not None for _, e in entries)
        for place, entry in entries:
            self._check(place, entry)
            label = self._label(place, entry)
            self._entries[self._key(place, entry)].append((place, entry, label))
        self.is_numbered = bool(self._entries) and all(isinstance(k, int) for k in self._entries)

    @classmethod
    def read(
        cls,
        path: Path,
        classes: Sequence[str],
        category_ids: Sequence[int] | None = None,
        *,
        masks: bool = True,
    ) -> Results:
        """Read a file of COCO results.

        An entry names its image by `file_name` or else by `image_id`, and its class by
        `category_name` or else by `category_id`. It has a `score`, and a `bbox` [x, y, width,
        height] or a `segmentation`.

        Args:
            path: JSON file with a list of entries.
            classes: Names of the classes.
            category_ids: Number of each class; by default 1, 2 and so on.
            masks: Whether to read masks.

        Raises:
            DataError: If the file cannot be read, or an entry is malformed; names the entry.
        """
        try:
            entries = _ENTRIES.validate_json(path.read_bytes())
        except OSError as error:
            raise DataError(f"{printable(path)}: cannot be read: {error.strerror}") from error
        except ValidationError as error:
            raise DataError(f"{printable(path)}: {_first(error)}") from error
        return cls(path, list(enumerate(entries, 1)), classes, category_ids, masks=masks)

    def of(self, record: Record) -> Prediction:
        """Return the predictions for an image.

        A `file_name` matches an image if its source is the same path or ends with it.

        Returns:
            `boxes` (M, 4) float32 xyxy in pixels of the original image, `labels` (M,), `scores`
            (M,) in descending order, and `masks` (M, H, W) bool if they are read and the file has
            any; then only the `MOST_MASKS` objects of each class with the highest scores. All are
            empty for an image that is not in the file.

        Raises:
            DataError: If a name in the file matches two images, or a mask is malformed.
        """
        height, width = record.size
        rows: list[_Row] = []
        for key in self._keys(record):
            source = self._sources.setdefault(key, record.source)
            if source != record.source:
                raise DataError(
                    f"{printable(self._path)}: {_image_name(key)} may be {printable(source)} or "
                    f"{printable(record.source)}; name it with its folder in file_name"
                )
            rows += self._entries[key]
        rows.sort(key=lambda row: -row[1].score)
        if self._has_masks:
            rows = _best(rows)
        masks = np.zeros((len(rows) if self._has_masks else 0, height, width), np.bool_)
        boxes: list[list[float]] = []
        for index, (place, entry, _) in enumerate(rows):
            if self._has_masks:
                masks[index] = self._mask(place, entry, height, width)
            if entry.bbox is not None:
                boxes.append(_corners(entry.bbox))
            elif self._has_masks:
                boxes.append(_hull(masks[index]))
            else:
                boxes.append(_hull(self._mask(place, entry, height, width)))
        prediction = {
            "boxes": torch.tensor(boxes, dtype=torch.float64).float().reshape(-1, 4),
            "labels": torch.tensor([label for *_, label in rows], dtype=torch.int64),
            "scores": torch.tensor([entry.score for _, entry, _ in rows], dtype=torch.float32),
        }
        return {**prediction, "masks": torch.from_numpy(masks)} if self._has_masks else prediction

    def unused(self) -> list[str]:
        """Return the images of the file that matched no record, in the order of the file."""
        return [_image_name(key) for key in self._entries if key not in self._sources]

    def _keys(self, record: Record) -> list[_Key]:
        parts = _parts(record.source)
        keys: list[_Key] = []
        for start in range(len(parts)):  # the longest name first
            if parts[start:] in self._entries:
                keys.append(parts[start:])
                break
        if record.id is not None and record.id in self._entries:
            keys.append(record.id)
        return keys

    def _check(self, place: int, entry: _Entry) -> None:
        if entry.bbox is None and entry.segmentation is None:
            raise self._error(place, "has neither bbox nor segmentation")
        if entry.bbox is not None and min(entry.bbox[2:]) < 0:
            raise self._error(place, f"bbox {entry.bbox}: negative width or height")
        # Beyond this, float32 has no single pixels, and finally no finite values.
        if entry.bbox is not None and max(map(abs, entry.bbox)) > FARTHEST:
            raise self._error(place, f"bbox {entry.bbox}: coordinates out of range")
        if self._has_masks and entry.segmentation is None:
            raise self._error(place, "has no segmentation, but other entries do")

    def _label(self, place: int, entry: _Entry) -> int:
        if entry.category_name is not None:
            name = composed(entry.category_name)
            if name not in self._label_by_name:
                raise self._error(
                    place,
                    f"category_name {shown(entry.category_name)} is not one of "
                    f"{printable(', '.join(self._classes))}",
                )
            return self._label_by_name[name]
        if entry.category_id not in self._label_by_id:
            numbers = ", ".join(map(str, self._label_by_id))
            raise self._error(
                place, f"category_id {shown(entry.category_id)} is not one of {numbers}"
            )
        return self._label_by_id[entry.category_id]

    def _key(self, place: int, entry: _Entry) -> _Key:
        name = _parts(entry.file_name or "")
        if name:
            return name
        if not isinstance(entry.image_id, int):
            raise self._error(place, "names no image; give file_name, or a number as image_id")
        return entry.image_id

    def _mask(self, place: int, entry: _Entry, height: int, width: int) -> np.ndarray:
        try:
            return decoded(entry.segmentation, height, width)
        except ValueError as error:
            raise self._error(place, f"segmentation: {error}") from error

    def _error(self, place: int, what: str) -> DataError:
        return DataError(f"{printable(self._path)}: entry {place}: {what}")


def _parts(name: str) -> tuple[str, ...]:
    """Return the parts of a path with slashes or backslashes, in composed letters."""
    return tuple(part for part in re.split(r"[\\/]", composed(name)) if part not in ("", "."))


def _image_name(key: _Key) -> str:
    return f"image {key}" if isinstance(key, int) else printable("/".join(key))


def _best(rows: Sequence[_Row]) -> list[_Row]:
    """Return at most `MOST_MASKS` rows for each class, from rows with descending scores."""
    counts: Counter[int] = Counter()
    best = []
    for row in rows:
        label = row[2]
        counts[label] += 1
        if counts[label] <= MOST_MASKS:
            best.append(row)
    return best


def _corners(bbox: Sequence[float]) -> list[float]:
    left, top, width, height = bbox
    return [left, top, left + width, top + height]


def _hull(mask: np.ndarray) -> list[float]:
    values = np.asfortranarray(mask, np.uint8)
    return _corners(coco_mask.toBbox(coco_mask.encode(values)).tolist())


def _first(error: ValidationError) -> str:
    """Return the message for the first error in a file."""
    detail = error.errors(include_url=False, include_context=False)[0]
    if detail["type"] == "json_invalid":
        return f"is not JSON: {printable(detail['msg'].partition(': ')[2])}"
    if not detail["loc"]:
        return "is not a list of COCO results"
    number, *fields = detail["loc"]
    field = ".".join(map(str, fields))
    return printable(f"entry {int(number) + 1}: {field}{': ' if field else ''}{detail['msg']}")
