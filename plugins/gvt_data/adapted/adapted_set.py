"""The data set that reads samples of a source as gvt needs them."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from gvt import IGNORED, DataError, DataInfo, Record, Sample
from gvt.data import tidied
from gvt.geometry import boxes_through

from ..masks.values import UNKNOWN
from ..pictures import Pictures
from ..splits import SPLITS
from .classes import ClassTable, Names, class_table, first_of_objects
from .images import fitted_planes, read_image
from .sources import Lists, Source
from .survey import Survey, spread, surveyed, with_progress
from .targets import parsed

MOST_READ = 2000
"""Largest number of samples that are read at opening to find the classes of a data set of torch."""


class AdaptedSet:
    """Images with targets of a script, or of a data set of torch, as a data set of one split.

    Args:
        source: The images with their targets.
        names: Names of the classes.
        first_label: Label of the first class, for labels that are numbers.
        background: Whether pixels of no class have the value after that of the last class.
        split: Name of the split.
        pictures: How files are read, and images are resized; its `channels` hold if `channels` is
            not None.
        channels: Number of channels of all images; by default that of the images.

    Attributes:
        split: Name of the split.
        info: Information about the data.
        tensors: Function that returns all images (N, C, H, W) uint8 and their targets; absent
            unless the images are in memory, uint8, and of one size, and their targets are dense.
        files: Paths of the images; absent unless all are files.
        reader: Reader of files.

    Raises:
        DataError: If samples have another form, do not fit each other, or have labels that are not
            classes.
    """

    splits: ClassVar[tuple[str, ...]] = SPLITS
    tensors: Callable[[], tuple[Mapping[str, Tensor], Mapping[str, Tensor]]]
    files: Sequence[Path]

    def __init__(
        self,
        source: Source,
        names: Names | None,
        first_label: int | None,
        background: bool,
        split: str,
        pictures: Pictures,
        channels: int | None,
    ) -> None:
        self.split, self._source = split, source
        names = source.names if names is None else names
        labels, survey, is_whole = _read(source, names)
        if not survey.is_reproducible:
            warnings.warn(
                "data: sample 0 differs when it is read again, though torch, NumPy and random are "
                "seeded for each sample; its transforms draw from a generator of their own, so "
                "that runs cannot be reproduced, or resumed exactly",
                stacklevel=4,
            )
        self._table = _classes(source, survey, labels, names, first_label, is_whole, background)
        self._pixels = self._table.of_pixels(background, survey.is_black_and_white)
        for value, place in survey.pixels.items():
            self._check_pixel(value, place)
        self._is_given = channels is not None
        self._channels = channels or _channels_of(survey)
        self.reader = replace(pictures, channels=1 if self._channels == 1 else 3).reader()
        self.info = self._info(survey, labels, is_whole, background)
        if isinstance(source, Lists) and source.files:
            self.files = [Path(file) for file in source.files]
        if self._is_resident(survey):
            self.tensors = self._tensors

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, index: int) -> Sample:
        """Return an image, (C, H, W) uint8 or float32 in [0, 1], with its targets.

        Raises:
            DataError: If it has another form than the samples that were read at opening, or cannot
                be read.
        """
        if not 0 <= index < len(self):
            raise IndexError(index)
        where = self._source.where(index)
        value, raw = self._source.read(index)
        image, record = self._image(value, index)
        assert record.geometry is not None
        original = self._numbered(
            parsed(raw, record.size, where, is_augmented=self._source.is_augmented), index
        )
        targets = {key: value for key, value in original.items() if key != "ignored"}
        if "boxes" in targets:
            targets = self._objects(original, record.geometry, (image.shape[1], image.shape[2]))
            # Without it, the targets are mapped back; it is large if it has masks.
            if self.reader.size is not None or original["ignored"].any():
                record = replace(record, truth=partial(dict, self._truth(original)))
        if "semantic" in targets:
            maps, _ = fitted_planes(targets["semantic"][None], self.reader, "nearest", IGNORED)
            targets["semantic"] = maps[0]
        return Sample({"image": image}, targets, record)

    def record(self, index: int) -> Record:
        """Return the origin of an image."""
        return self[index].record

    def _image(self, value: Any, index: int) -> tuple[Tensor, Record]:
        """Return an image and its origin, after checking its shape."""
        where = self._source.where(index)("image")
        source = f"{self.split} {index}"
        image, record = read_image(value, self.reader, self._channels, where, source)
        shape = self.info.image_shape
        if shape is not None and tuple(image.shape) != shape:
            raise DataError(
                f"{where}: has the shape {tuple(image.shape)}, and others {shape}; give size=(H, W)"
                " to gvt.dataset to resize them"
            )
        return image, record

    def _numbered(self, targets: Mapping[str, Any], index: int) -> dict[str, Any]:
        """Return targets with class indices in the place of labels, all as tensors."""
        where, numbered = self._source.where(index), dict(targets)
        if "class" in targets:
            numbered["class"] = torch.tensor(self._table.index(targets["class"], where("class")))
        if "labels" in targets:
            indices = [self._table.index(label, where("labels")) for label in targets["labels"]]
            numbered["labels"] = torch.tensor(indices, dtype=torch.int64)
        if "semantic" in targets:
            pixels = self._pixels[targets["semantic"]]
            if (unknown := pixels == UNKNOWN).any():
                self._check_pixel(targets["semantic"][unknown][0], where("semantic"))
            numbered["semantic"] = torch.from_numpy(pixels)
        return numbered

    def _check_pixel(self, value: int, where: str) -> None:
        """Check that a value of a semantic map is a class, the background or ignored."""
        if self._pixels[value] == UNKNOWN:
            raise DataError(
                f"{where}: the value {value} is not one of {len(self._table.classes)} classes; "
                f"name all in classes=[...], or give {IGNORED} to pixels that are ignored"
            )

    def _objects(
        self, original: Mapping[str, Any], geometry: Tensor, canvas: tuple[int, int]
    ) -> dict[str, Any]:
        """Return the targets of an image (H, W) in its new size, without ignored objects."""
        targets = {key: value for key, value in original.items() if key != "ignored"}
        counted = ~original["ignored"]
        targets["boxes"] = boxes_through(geometry, original["boxes"][counted])
        targets["labels"] = original["labels"][counted]
        if "masks" in original:
            targets["masks"], _ = fitted_planes(original["masks"][counted], self.reader, "nearest")
        return targets if self.reader.size is None else tidied(targets, canvas)

    @staticmethod
    def _truth(original: Mapping[str, Any]) -> dict[str, Any]:
        """Return the targets of objects in pixels of the original image, with ignored objects."""
        return {k: v for k, v in original.items() if k in ("boxes", "labels", "masks", "ignored")}

    def _info(
        self, survey: Survey, labels: Sequence[Any] | None, is_whole: bool, background: bool
    ) -> DataInfo:
        sizes = {layout.size for layout in survey.layouts}
        shape = self.reader.image_shape
        if self.reader.size is None and len(sizes) == 1:
            shape = (self._channels, *next(iter(sizes)))
        elif shape is not None:
            shape = (self._channels, *shape[1:])
        table, counts = self._table, None
        if is_whole and survey.keys["labels"]:
            counts = [0] * len(table.classes)
            for label, count in survey.objects.items():
                counts[table.index(label, "labels")] += count
        lacks: dict[str, str] = {}
        if is_whole and survey.keys["boxes"] and not survey.boxes:
            lacks = dict.fromkeys(("boxes", "labels", "masks"), "no image has an object")
        digest = survey.digest.copy()
        digest.update(repr(labels if labels is not None else len(self)).encode())
        indices = None
        if labels is not None:
            place = self._source.where
            indices = torch.tensor(
                [table.index(label, place(n)("class")) for n, label in enumerate(labels)]
            )
        return DataInfo(
            table.classes,
            shape,
            fingerprint=digest.hexdigest()[:16],
            background=background,
            reader=self.reader.document() if self._channels in (1, 3) else None,
            category_ids=table.numbers,
            channels=self._channels if shape is None else None,
            labels=indices,
            object_counts=None if counts is None else tuple(counts),
            lacks=lacks,
        )

    def _is_resident(self, survey: Survey) -> bool:
        """Return whether images and targets can be whole tensors."""
        complete = all(count == len(self) for count in survey.keys.values())
        return (
            self._source.is_held
            and self.info.image_shape is not None
            and {*survey.keys} <= {"class", "semantic"}
            and complete
            and all(layout.is_bytes for layout in survey.layouts)
        )

    def _tensors(self) -> tuple[Mapping[str, Tensor], Mapping[str, Tensor]]:
        samples = [self[index] for index in range(len(self))]
        targets = {
            key: torch.stack([sample.targets[key] for sample in samples])
            for key in samples[0].targets
        }
        return {"image": torch.stack([sample.image for sample in samples])}, targets


def _read(source: Source, names: Names | None) -> tuple[Sequence[Any] | None, Survey, bool]:
    """Read the samples that have to be read.

    Returns:
        The class of each sample, if all have one; what is known of the samples that were read; and
        whether these are all.

    Raises:
        DataError: If a sample cannot be read, or too many would have to be read.
    """
    count = len(source)
    labels = source.labels()
    if source.is_augmented and (labels is not None or count > MOST_READ):
        survey = surveyed(source, spread(count))
        if labels is not None and survey.classes == {n: labels[n] for n in spread(count)}:
            return labels, survey, False
        if count > MOST_READ:
            if names is None:
                raise DataError(
                    f"data: has {count:,} samples and no list of their classes (an attribute "
                    "targets), so all would have to be read; give their names: "
                    "gvt.dataset(data, classes=[...])"
                )
            return None, survey, False
    # With more than two names, maps in files are read on access; see `Survey.is_black_and_white`.
    survey = surveyed(source, with_progress(range(count)), maps=names is None or len(names) == 2)
    is_labelled = len(survey.classes) == count
    return [survey.classes[n] for n in range(count)] if is_labelled else None, survey, True


def _classes(
    source: Source,
    survey: Survey,
    labels: Sequence[Any] | None,
    names: Names | None,
    first: int | None,
    is_whole: bool,
    background: bool,
) -> ClassTable:
    """Return the classes of the samples, after checking that all labels are of one.

    Raises:
        DataError: If a label is not a class.
    """
    if source.is_augmented and not survey.classes:
        names, first = first_of_objects(survey.places, names, first, is_whole=is_whole)
    pixels = {0, 1} if survey.is_black_and_white else {*survey.pixels} - {IGNORED}
    if background and pixels:
        pixels = {max(pixels) - 1}
    table = class_table({*(labels or ()), *survey.places, *pixels}, names, first or 0)
    for label, place in survey.places.items():
        table.index(label, place)
    return table


def _channels_of(survey: Survey) -> int:
    """Return the number of channels of all images: colour if grey and colour are mixed.

    Raises:
        DataError: If images differ in channels otherwise.
    """
    channels = sorted({layout.channels for layout in survey.layouts})
    if len(channels) > 1 and channels != [1, 3]:
        raise DataError(
            f"images: have {' or '.join(map(str, channels))} channels; give all the same"
        )
    return channels[-1]
