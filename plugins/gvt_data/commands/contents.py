"""Count the contents of a split by reading every sample once."""

from __future__ import annotations

import hashlib
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from rich.console import Console
from rich.progress import track

from gvt import DataError, DataInfo, Dataset, FileDataset, Sample


@dataclass
class Contents:
    """The contents of one split.

    Attributes:
        info: Description of the data set.
        images: Number of samples that were read.
        unreadable: Errors of the samples that could not be read.
        sizes: Number of samples by size, `WIDTHxHEIGHT` in pixels of the file.
        modes: Number of samples by colour mode.
        classes: Number of samples, or of objects, by class name.
        pixels: Number of pixels by class index.
        unlabelled: Number of samples without targets.
        boxes: Width and height of every box, in pixels.
        boxed: Number of samples with a target `boxes`, which may be empty.
        empty: Number of samples with an empty target `boxes`.
        remarks: Remarks on the image files.
        sources: Source of the first sample with the same image, or other inputs, by their hash.
        twins: Sources of samples with the same image: a later one and the first.
    """

    info: DataInfo
    images: int = 0
    unreadable: list[str] = field(default_factory=list)
    sizes: Counter[str] = field(default_factory=Counter)
    modes: Counter[str] = field(default_factory=Counter)
    classes: Counter[str] = field(default_factory=Counter)
    pixels: Counter[int] = field(default_factory=Counter)
    unlabelled: int = 0
    boxes: list[tuple[float, float]] = field(default_factory=list)
    boxed: int = 0
    empty: int = 0
    remarks: list[str] = field(default_factory=list)
    sources: dict[bytes, str] = field(default_factory=dict)
    twins: list[tuple[str, str]] = field(default_factory=list)

    @property
    def problems(self) -> Mapping[str, Sequence[str]]:
        """The places of bad annotations by kind."""
        return self.info.problems or {}

    def add(self, sample: Sample) -> None:
        """Count one sample. If it raises an error, nothing is counted."""
        record, targets = sample.record, sample.targets
        content, layout = _digest(sample), _layout(sample)
        labels = targets.get("labels", targets.get("class"))
        indices = [] if labels is None else torch.as_tensor(labels).flatten().tolist()
        areas = _areas(targets.get("semantic"))
        boxes = torch.as_tensor(targets.get("boxes", torch.zeros(0, 4)))
        sides = (boxes[:, 2:] - boxes[:, :2]).tolist()

        self.images += 1
        if layout is not None:
            size, mode = layout
            self.sizes[size] += 1
            self.modes[mode] += 1
        if content in self.sources:
            self.twins.append((record.source, self.sources[content]))
        self.sources.setdefault(content, record.source)
        self.unlabelled += not targets
        for index in indices:
            self.classes[class_name(index, self.info.classes)] += 1
        self.pixels.update(areas)
        self.boxed += "boxes" in targets
        self.empty += "boxes" in targets and not sides
        self.boxes += [(width, height) for width, height in sides]

    def missing(self, classes: Sequence[str]) -> list[str]:
        """Return the classes without samples and pixels; none if no sample has a class."""
        if not self.classes and not self.pixels:
            return []
        return [
            name
            for index, name in enumerate(classes)
            if not self.classes[name] and not self.pixels[index]
        ]


def contents_of(dataset: Dataset, split: str) -> Contents:
    """Read every sample of a split, and return its contents with the unreadable samples."""
    contents = Contents(info := DataInfo.of(dataset))
    if isinstance(dataset, FileDataset) and dataset.files and dataset.reader:
        contents.remarks += dataset.reader.notes_on(dataset.files, every=True)
    if info.hint:
        contents.remarks.append(f"all images are of one class; {info.hint}")
    console = Console(stderr=True, force_terminal=None if sys.stderr.isatty() else False)
    hidden = not console.is_terminal
    indices = range(len(dataset))
    for index in track(indices, split, console=console, transient=True, disable=hidden):
        try:
            contents.add(dataset[index])
        except DataError as error:
            contents.unreadable.append(str(error))
        except Exception as error:  # a third-party data set may raise any error
            text = f"{split} {index}: {type(error).__name__}: {error}"
            contents.unreadable.append(" ".join(text.split()))
    return contents


def _layout(sample: Sample) -> tuple[str, str] | None:
    """Return the size and the colour mode of an image; None for a sample without one."""
    if "image" not in sample.inputs:
        return None
    (height, width), channels = sample.record.size, sample.image.shape[0]
    mode = {1: "grey", 3: "RGB"}.get(channels, f"{channels} channels")
    return f"{width}x{height}", sample.record.mode or mode


def _digest(sample: Sample) -> bytes:
    """Return a hash of the image of a sample; of all inputs if it has none."""
    values = [sample.image] if "image" in sample.inputs else [*sample.inputs.values()]
    digest = hashlib.blake2b(digest_size=16)
    for value in values:
        is_tensor = isinstance(value, torch.Tensor)
        digest.update(repr(value.shape if is_tensor else value).encode(errors="replace"))
        digest.update(value.contiguous().numpy().tobytes() if is_tensor else b"")
    return digest.digest()


def class_name(index: int, classes: Sequence[str]) -> str:
    """Return the name of a class, or a text that says that the index is not a class."""
    return classes[index] if 0 <= index < len(classes) else f"{index}, which is not a class"


def _areas(semantic: Any) -> dict[int, int]:
    """Return the number of pixels of each class index in a label map."""
    if semantic is None:
        return {}
    indices, counts = torch.unique(torch.as_tensor(semantic), return_counts=True)
    return dict(zip(indices.tolist(), counts.tolist(), strict=True))
