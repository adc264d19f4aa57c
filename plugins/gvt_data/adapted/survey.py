"""Read samples when a data set is opened: sizes, classes and a fingerprint."""

from __future__ import annotations

import hashlib
import os
import random
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from rich.console import Console
from rich.progress import track
from torch import Tensor

from gvt import IGNORED, DataError, derive, seeded

from .classes import Label
from .images import Layout, is_file, layout_of
from .sources import Source
from .targets import parsed

SPREAD = 32
"""Number of samples that are read if it is not needed to read all."""


@dataclass
class Survey:
    """What is known of the samples that were read.

    Attributes:
        layouts: Number of images of each layout.
        keys: Number of samples with each target.
        classes: Class of each sample by its index, as the data has it.
        objects: Number of objects of each label.
        pixels: Values of the pixels of semantic maps, each with the first place.
        places: First place of each label.
        boxes: Number of objects.
        digest: Hash of the samples in their order; of none if they are not reproducible.
        is_reproducible: Whether the first sample is the same when it is read again.
        problems: What is wrong with samples, one line each.
    """

    layouts: Counter[Layout] = field(default_factory=Counter)
    keys: Counter[str] = field(default_factory=Counter)
    classes: dict[int, Label] = field(default_factory=dict)
    objects: Counter[Label | None] = field(default_factory=Counter)
    pixels: dict[int, str] = field(default_factory=dict)
    places: dict[Label | None, str] = field(default_factory=dict)
    boxes: int = 0
    digest: Any = field(default_factory=hashlib.sha256)
    is_reproducible: bool = True
    problems: list[str] = field(default_factory=list)

    @property
    def is_black_and_white(self) -> bool:
        """Whether the values of semantic maps are 0 and 255, so that 255 is the second class."""
        return self.pixels.keys() == {0, IGNORED}

    def add(self, source: Source, index: int, *, maps: bool = True) -> None:
        """Read a sample.

        Args:
            source: The images with their targets.
            index: The index of the sample.
            maps: Whether semantic maps in files are read.
        """
        where = source.where(index)
        try:
            image, raw = source.read(index)
            layout = layout_of(image, where("image"))
            self._hash(image, raw)
            if not maps and is_file(raw.get("semantic")):
                raw = {key: value for key, value in raw.items() if key != "semantic"}
                self.keys["semantic"] += 1
            targets = parsed(raw, layout.size, where, is_augmented=source.is_augmented)
        except DataError as error:
            self.problems.append(str(error))
            return
        self.layouts[layout] += 1
        self.keys.update(targets.keys())
        if "class" in targets:
            self.classes[index] = targets["class"]
            self.places.setdefault(targets["class"], where("class"))
        for label in targets.get("labels", ()):
            self.places.setdefault(label, where("boxes" if label is None else "labels"))
        ignored = targets.get("ignored", ())
        counted = [n for n in range(len(targets.get("labels", ()))) if not any(ignored[n : n + 1])]
        self.objects.update(targets["labels"][n] for n in counted)
        self.boxes += len(counted) if "boxes" in targets else 0
        if "semantic" in targets:
            counts = np.bincount(targets["semantic"].ravel(), minlength=256)
            for value in np.flatnonzero(counts).tolist():
                self.pixels.setdefault(value, where("semantic"))

    def check(self) -> None:
        """Check that all samples could be read.

        Raises:
            DataError: If not. The message has the first reason, and the details have all of them.
        """
        if self.problems:
            more = f" (and {len(self.problems) - 1:,} more)" if len(self.problems) > 1 else ""
            raise DataError(f"{self.problems[0]}{more}", details="\n".join(self.problems))

    def _hash(self, image: Any, raw: Mapping[str, Any]) -> None:
        self.digest.update(identity(image))
        for key, value in raw.items():
            self.digest.update(key.encode())
            self.digest.update(identity(value))


def surveyed(source: Source, indices: Iterable[int], *, maps: bool = True) -> Survey:
    """Return what is known of samples; each augmented one is read with random numbers of its own.

    The state of the generators of torch, NumPy and `random` is restored.

    Raises:
        DataError: If a sample cannot be read.
    """
    survey = Survey()
    with _kept_states():
        if source.is_augmented:
            first, again = (_read_once(Survey(), source, 0, maps) for _ in range(2))
            survey.is_reproducible = first.digest.digest() == again.digest.digest()
        for index in indices:
            _read_once(survey, source, index, maps)
    survey.check()
    if not survey.is_reproducible:
        survey.digest = hashlib.sha256()
    return survey


def _read_once(survey: Survey, source: Source, index: int, maps: bool) -> Survey:
    with seeded(derive(0, "survey", index)) if source.is_augmented else nullcontext():
        survey.add(source, index, maps=maps)
    return survey


def with_progress(indices: range) -> Iterable[int]:
    """Return indices with a bar on a terminal."""
    console = Console(stderr=True, force_terminal=None if sys.stderr.isatty() else False)
    hidden = not console.is_terminal or len(indices) <= SPREAD
    return track(indices, "reading", console=console, transient=True, disable=hidden)


def spread(count: int) -> list[int]:
    """Return some indices, spread over a number of samples."""
    some = min(SPREAD, count)
    return [number * count // some for number in range(some)]


@contextmanager
def _kept_states() -> Iterator[None]:
    """Restore the states of the generators that `gvt.seeded` leaves to the loop."""
    states = np.random.get_state(), random.getstate()
    try:
        yield
    finally:
        np.random.set_state(states[0])
        random.setstate(states[1])


def identity(value: Any) -> bytes:
    """Return bytes that change with a value; those of a file with its name, folder and length."""
    if is_file(value):
        path = Path(value)
        length = path.stat().st_size if path.is_file() else -1
        return os.fsencode(f"{'/'.join(path.parts[-2:])} {length}\n")
    if isinstance(value, Image.Image):
        return f"{value.mode} {value.size}\n".encode() + value.tobytes()
    if isinstance(value, Tensor):
        value = value.detach().cpu().as_subclass(Tensor)
        value = (value.float() if value.is_floating_point() else value).numpy()
    if isinstance(value, np.ndarray):
        return f"{value.dtype} {value.shape}\n".encode() + np.ascontiguousarray(value).tobytes()
    if isinstance(value, list | tuple):
        return b"".join(map(identity, value)) + b"]"
    return f"{type(value).__name__} {value!r}\n".encode(errors="replace")
