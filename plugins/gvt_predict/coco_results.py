"""Objects that a detector found, as entries of COCO's results and back."""

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
"""Objects of a class in an image whose masks are read, the surest; COCO's figures ask no more."""


def results_of(
    prediction: Mapping[str, Any],
    image_id: int,
    file_name: str,
    classes: Sequence[str],
    category_ids: Sequence[int] | None = None,
    segmentations: Sequence[RLE] | None = None,
) -> list[dict[str, Any]]:
    """Return the objects predicted in one image as entries of COCO's results.

    Such entries of all images, as one JSON list, are what `Results` and pycocotools' `loadRes`
    read; their bytes say exactly what the tensors did. COCO's format names neither files nor
    classes: `file_name` and `category_name` are there beside its own keys.

    Args:
        prediction: `boxes` (M, 4) xyxy in pixels of the image, `labels` (M,), `scores` (M,) and
            perhaps `masks` (M, H, W).
        image_id: The image's number.
        file_name: The image's file.
        classes: Names of the classes.
        category_ids: Of each class its number, 1 and on without.
        segmentations: Of each object its mask, instead of `masks`.

    Raises:
        ValueError: If a box or a score is not a number.
    """
    boxes, scores = (prediction[k].detach().cpu().double() for k in ("boxes", "scores"))
    if not (boxes.isfinite().all() and scores.isfinite().all()):
        raise ValueError(f"{printable(file_name)}: a predicted box or score is not a number")
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
    segmentation: Annotated[Any, BeforeValidator(lambda said: None if said == [] else said)] = None


_ENTRIES = TypeAdapter(list[_Entry])
_Key = int | tuple[str, ...]


class Results:
    """Predictions from a file of COCO's results, handed out image by image.

    Args:
        path: The file, which errors name.
        entries: What is in it, each with its place.
        classes: Names of the classes.
        category_ids: Of each class its number, 1 and on without.
        masks: Whether masks are wanted; of an object with a box they are not looked at otherwise.

    Attributes:
        is_numbered: Whether there are entries, and each names its image by number alone.

    Raises:
        DataError: If an entry names no image or no class that there is, or has a box that is no
            place; says which.
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
        self._of_name = {composed(name): n for n, name in reversed([*enumerate(classes)])}
        numbers = category_ids or range(1, len(classes) + 1)
        self._of_id = {number: label for label, number in enumerate(numbers)}
        self._entries: dict[_Key, list[tuple[int, _Entry, int]]] = defaultdict(list)
        self._owners: dict[_Key, str] = {}
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
        """Return what is in a file of results.

        An entry names its image by `file_name`, or by `image_id` without one, its class by
        `category_name`, or by `category_id`, and has a `score` and a `bbox` [x, y, width, height]
        or a `segmentation`.

        Args:
            path: A JSON file, a list of entries.
            classes: Names of the classes.
            category_ids: Of each class its number, 1 and on without.
            masks: Whether masks are wanted.

        Raises:
            DataError: If it cannot be read, or an entry is malformed; says which.
        """
        try:
            entries = _ENTRIES.validate_json(path.read_bytes())
        except OSError as error:
            raise DataError(f"{printable(path)}: cannot be read: {error.strerror}") from error
        except ValidationError as error:
            raise DataError(f"{printable(path)}: {_first(error)}") from error
        return cls(path, list(enumerate(entries, 1)), classes, category_ids, masks=masks)

    def of(self, record: Record) -> Prediction:
        """Return what the file says of an image.

        A `file_name` is that of an image whose source is the same path or ends with it.

        Returns:
            `boxes` (M, 4) float32 xyxy in pixels of the original image, `labels` (M,), `scores`
            (M,) falling, and `masks` (M, H, W) bool if the file has any and they are wanted; then
            only the `MOST_MASKS` surest objects of each class. Of an image that it does not name
            all are empty.

        Raises:
            DataError: If two images have a name that the file gives, or a mask is malformed.
        """
        height, width = record.size
        found: list[tuple[int, _Entry, int]] = []
        for key in self._keys(record):
            owner = self._owners.setdefault(key, record.source)
            if owner != record.source:
                raise DataError(
                    f"{printable(self._path)}: {_called(key)} may be {printable(owner)} or "
                    f"{printable(record.source)}; name it with its folder in file_name"
                )
            found += self._entries[key]
        found.sort(key=lambda item: -item[1].score)
        if self._has_masks:
            found = _surest(found)
        masks = np.zeros((len(found) if self._has_masks else 0, height, width), np.bool_)
        boxes: list[list[float]] = []
        for row, (place, entry, _) in enumerate(found):
            if self._has_masks:
                masks[row] = self._mask(place, entry, height, width)
            if entry.bbox is not None:
                boxes.append(_corners(entry.bbox))
            elif self._has_masks:
                boxes.append(_hull(masks[row]))
            else:
                boxes.append(_hull(self._mask(place, entry, height, width)))
        prediction = {
            "boxes": torch.tensor(boxes, dtype=torch.float64).float().reshape(-1, 4),
            "labels": torch.tensor([label for *_, label in found], dtype=torch.int64),
            "scores": torch.tensor([e.score for _, e, _ in found], dtype=torch.float32),
        }
        return {**prediction, "masks": torch.from_numpy(masks)} if self._has_masks else prediction

    def unused(self) -> list[str]:
        """Return the images of the file that no record asked for, in its order."""
        return [_called(key) for key in self._entries if key not in self._owners]

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
            raise self._wrong(place, "it has neither bbox nor segmentation")
        if entry.bbox is not None and min(entry.bbox[2:]) < 0:
            raise self._wrong(place, f"bbox {entry.bbox}: a negative width or height")
        # Beyond, float32 knows no single pixels, and far beyond no numbers.
        if entry.bbox is not None and max(map(abs, entry.bbox)) > FARTHEST:
            raise self._wrong(place, f"bbox {entry.bbox}: is no place in a picture")
        if self._has_masks and entry.segmentation is None:
            raise self._wrong(place, "it has no segmentation, and others do")

    def _label(self, place: int, entry: _Entry) -> int:
        if entry.category_name is not None:
            name = composed(entry.category_name)
            if name not in self._of_name:
                raise self._wrong(
                    place,
                    f"category_name {shown(entry.category_name)} is none of "
                    f"{printable(', '.join(self._classes))}",
                )
            return self._of_name[name]
        if entry.category_id not in self._of_id:
            known = ", ".join(map(str, self._of_id))
            number = shown(entry.category_id)
            raise self._wrong(place, f"category_id {number} is none of {known}")
        return self._of_id[entry.category_id]

    def _key(self, place: int, entry: _Entry) -> _Key:
        name = _parts(entry.file_name or "")
        if name:
            return name
        if not isinstance(entry.image_id, int):
            raise self._wrong(place, "it names no image: give file_name, or a number as image_id")
        return entry.image_id

    def _mask(self, place: int, entry: _Entry, height: int, width: int) -> np.ndarray:
        try:
            return decoded(entry.segmentation, height, width)
        except ValueError as error:
            raise self._wrong(place, f"segmentation: {error}") from error

    def _wrong(self, place: int, what: str) -> DataError:
        return DataError(f"{printable(self._path)}: entry {place}: {what}")


def _parts(name: str) -> tuple[str, ...]:
    """Return the parts of a path, as any system writes it; letters are composed."""
    return tuple(part for part in re.split(r"[\\/]", composed(name)) if part not in ("", "."))


def _called(key: _Key) -> str:
    return f"image {key}" if isinstance(key, int) else printable("/".join(key))


def _surest(found: Sequence[tuple[int, _Entry, int]]) -> list[tuple[int, _Entry, int]]:
    """Return of entries with falling scores no more of a class than have masks that are read."""
    counts: Counter[int] = Counter()
    kept = []
    for place, entry, label in found:
        counts[label] += 1
        if counts[label] <= MOST_MASKS:
            kept.append((place, entry, label))
    return kept


def _corners(bbox: Sequence[float]) -> list[float]:
    left, top, width, height = bbox
    return [left, top, left + width, top + height]


def _hull(mask: np.ndarray) -> list[float]:
    values = np.asfortranarray(mask, np.uint8)
    return _corners(coco_mask.toBbox(coco_mask.encode(values)).tolist())


def _first(error: ValidationError) -> str:
    """Say what the first thing is that is wrong with a file."""
    detail = error.errors(include_url=False, include_context=False)[0]
    place = [*detail["loc"]]
    if detail["type"] == "json_invalid":
        return f"is no JSON: {printable(detail['msg'].partition(': ')[2])}"
    if not place:
        return "is no list of COCO's results"
    field = ".".join(map(str, place[1:]))
    number = int(place[0]) + 1
    return printable(f"entry {number}: {field}{': ' if field else ''}{detail['msg']}")
