"""`gvt data`: looking at a recipe's data, and reading all of it once."""

from __future__ import annotations

import hashlib
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import track

from gvt.batch import IGNORED, Batch, Sample
from gvt.cli.listing import aligned
from gvt.config import RunConfig, compose
from gvt.config.parameters import signature_of
from gvt.data.loading import HeldOut, Loader
from gvt.device.placement import Placement
from gvt.errors import ConfigError, DataError
from gvt.interfaces import Dataset
from gvt.session.build import open_dataset, splits_of, validate_components
from gvt.vision.drawing.samples import save_samples
from gvt.vision.pictures.folders import counted
from gvt.vision.pictures.reading import UnreadablePicture
from gvt.vision.pictures.survey import notes_on
from gvt_registry import default_registry

MOST_NAMED = 20
"""Files named one by one; of more only the number is said."""


def save_sheet_of(recipe: str, overrides: Sequence[str], split: str, count: int, path: Path) -> int:
    """Draw samples of a split with their targets, those of `train` as training sees them.

    Returns:
        How many there are on the sheet.
    """
    config = compose(recipe, overrides)
    validate_components(config)
    dataset = open_dataset(config, split)
    batch = _first(dataset, config, split, min(count, len(dataset)))
    save_samples(batch, [str(name) for name in dataset.classes], path)
    return len(batch)


def _first(dataset: Dataset, config: RunConfig, split: str, count: int) -> Batch:
    # Not as whole tensors: for one sheet nobody decodes a whole folder.
    data = config.data.model_copy(update={"batch_size": count, "resident": False, "workers": 0})
    placement = Placement.resolve("cpu", memory_format="contiguous")
    if split != "train":
        return next(iter(HeldOut(dataset, data, placement).batches()))
    train = config.train.model_copy(update={"accumulate": 1})
    return Loader(dataset, data, train, placement).first(count)


@dataclass
class _Split:
    """What reading one split has found."""

    images: int = 0
    unreadable: list[str] = field(default_factory=list)
    sizes: Counter[str] = field(default_factory=Counter)
    modes: Counter[str] = field(default_factory=Counter)
    classes: Counter[str] = field(default_factory=Counter)
    pixels: Counter[int] = field(default_factory=Counter)
    background: bool = False
    unlabelled: int = 0
    boxes: list[tuple[float, float]] = field(default_factory=list)
    boxed: int = 0
    empty: int = 0
    problems: Mapping[str, Sequence[str]] = field(default_factory=dict)
    left_out: Mapping[str, int] = field(default_factory=dict)
    lacks: Mapping[str, str] = field(default_factory=dict)
    passed_over: Mapping[str, int] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)
    contents: dict[bytes, str] = field(default_factory=dict)
    twins: list[tuple[str, str]] = field(default_factory=list)

    def add(self, sample: Sample, classes: Sequence[str]) -> None:
        """Count one sample, or nothing of it if it raises."""
        record, targets = sample.record, sample.targets
        channels = sample.image.shape[0]
        height, width = record.size
        content = hashlib.blake2b(
            repr(sample.image.shape).encode() + sample.image.contiguous().numpy().tobytes(),
            digest_size=16,
        ).digest()
        things = targets.get("labels", targets.get("class"))
        numbers = [] if things is None else torch.as_tensor(things).flatten().tolist()
        areas = _areas(targets.get("semantic"))
        boxes = torch.as_tensor(targets.get("boxes", torch.zeros(0, 4)))
        sides = (boxes[:, 2:] - boxes[:, :2]).tolist()

        self.images += 1
        self.sizes[f"{width}x{height}"] += 1
        self.modes[record.mode or {1: "grey", 3: "RGB"}.get(channels, f"{channels} channels")] += 1
        if content in self.contents:
            self.twins.append((record.source, self.contents[content]))
        self.contents.setdefault(content, record.source)
        self.unlabelled += not targets
        for number in numbers:
            self.classes[_name(number, classes)] += 1
        self.pixels.update(areas)
        self.boxed += "boxes" in targets
        self.empty += "boxes" in targets and not sides
        self.boxes += [(width, height) for width, height in sides]

    def missing(self, classes: Sequence[str]) -> list[str]:
        """Return the classes that neither a sample nor a pixel is of, where any has a class."""
        if not self.classes and not self.pixels:
            return []
        return [
            name
            for number, name in enumerate(classes)
            if not self.classes[name] and not self.pixels[number]
        ]


def _areas(semantic: Any) -> dict[int, int]:
    """Return how many pixels each number of a map of classes has."""
    if semantic is None:
        return {}
    numbers, counts = torch.unique(torch.as_tensor(semantic), return_counts=True)
    return dict(zip(numbers.tolist(), counts.tolist(), strict=True))


def _name(number: int, classes: Sequence[str]) -> str:
    return classes[number] if 0 <= number < len(classes) else f"{number}, which is no class"


def check(recipe: str, overrides: Sequence[str]) -> str:
    """Read every sample of every split once, and return what was found as a table.

    Where a data set has a parameter `on_error`, it is told `error`, since one that leaves out
    what it cannot read has nothing to be counted; or, if it tells in `problems` what that is,
    `skip`, unless the recipe says how else to go on. A split that cannot be opened, because there
    is none, is a line below the table, and so is a class that nothing is of, and what is easily
    overlooked in picture files. Files beside pictures that are not read are counted.

    Raises:
        ConfigError: If no split can be opened because of a setting.
        DataError: If none can be opened because of the data, or samples cannot be read, or there
            are problems at which training would stop, or there is nothing to learn from; its
            details are the table and the samples then.
    """
    config, stops = _told(recipe, overrides)
    validate_components(config)
    found: dict[str, _Split] = {}
    classes: list[str] = []
    errors: dict[str, ConfigError | DataError] = {}
    for split in splits_of(config):
        try:
            dataset = _opened(config, split)
        except (ConfigError, DataError) as error:
            errors[split] = error
            continue
        classes = classes or [str(name) for name in dataset.classes]
        found[split] = _read(dataset, split)
    if not found:
        raise next(iter(errors.values()))
    # What an error says behind its semicolon is what to do, and here nothing need be done.
    notes = [f"{split}: left out, {str(e).partition(';')[0]}" for split, e in errors.items()]
    for split, read in found.items():
        notes += [f"{split}: {remark}" for remark in read.remarks]
        notes += _named([f"{split}: class {name} never occurs" for name in read.missing(classes)])
        for kind, places in read.problems.items():
            notes += _named([f"{split}: {kind}: {place}" for place in places])
    notes += [e.details for e in errors.values() if e.details]
    report = _report(found, classes, notes)
    unreadable = sum(len(split.unreadable) for split in found.values())
    if unreadable:
        raise DataError(f"{config.data.name}: {unreadable} samples cannot be read", details=report)
    broken = [split for split, e in errors.items() if isinstance(e, UnreadablePicture)]
    if broken:
        what = f"{config.data.name}: pictures of {' and '.join(broken)} are broken"
        raise DataError(what, details=report)
    problems = sum(len(places) for split in found.values() for places in split.problems.values())
    if problems and stops:
        raise DataError(
            f"{config.data.name}: bad annotations or images: {problems:,}; data.on_error is error",
            details=report,
        )
    if isinstance(errors.get("train"), DataError):
        raise DataError(str(errors["train"]), details=report)
    if "train" in found and found["train"].lacks:
        lacks = found["train"].lacks
        what = f"{config.data.name}: no image of the training split has any {next(iter(lacks))}"
        raise DataError(f"{what}: {next(iter(lacks.values()))}", details=report)
    return report


def _told(recipe: str, overrides: Sequence[str]) -> tuple[RunConfig, bool]:
    """Return a configuration whose data set tells what is bad, and whether training would stop."""
    config = compose(recipe, overrides)
    target = default_registry().find("dataset", config.data.name).load()
    declared, _ = signature_of(target)
    if "on_error" not in declared:
        return config, False
    stops = config.data.parameters.get("on_error", declared["on_error"].default) == "error"
    if hasattr(target, "problems"):
        return compose(recipe, [*overrides, "data.on_error=skip"]) if stops else config, stops
    return compose(recipe, [*overrides, "data.on_error=error"]), stops


def _opened(config: RunConfig, split: str) -> Dataset:
    """Return a split, and show its warnings.

    What it warns of as left out is in the table, if it tells of `problems`.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        dataset = open_dataset(config, split, quiet=True)
    for warning in caught:
        listed = getattr(dataset, "problems", None) and warning.category is UserWarning
        if not listed:
            warnings.warn_explicit(
                warning.message, warning.category, warning.filename, warning.lineno
            )
    return dataset


def _read(dataset: Dataset, split: str) -> _Split:
    found = _Split(
        background=bool(getattr(dataset, "background", False)),
        problems=getattr(dataset, "problems", {}),
        left_out=getattr(dataset, "left_out", {}),
        lacks=getattr(dataset, "lacks", {}),
        passed_over=getattr(dataset, "passed_over", {}),
    )
    files, reader = getattr(dataset, "files", None), getattr(dataset, "reader", None)
    if files is not None and reader is not None:
        found.remarks += notes_on(reader, files, every=True)
    if hint := getattr(dataset, "hint", ""):
        found.remarks.append(f"all images are of one class; {hint}")
    classes = [str(name) for name in dataset.classes]
    console = Console(stderr=True, force_terminal=None if sys.stderr.isatty() else False)
    shown = console.is_terminal
    indices = range(len(dataset))
    for index in track(indices, split, console=console, transient=True, disable=not shown):
        try:
            found.add(dataset[index], classes)
        except DataError as error:
            found.unreadable.append(str(error))
        except Exception as error:  # a data set of anybody's, which may raise anything
            text = f"{split} {index}: {type(error).__name__}: {error}"
            found.unreadable.append(" ".join(text.split()))
    return found


def _report(found: dict[str, _Split], classes: Sequence[str], notes: list[str]) -> str:
    splits = list(found)
    rows = [("", *splits)]

    def row(name: str, values: dict[str, int]) -> None:
        rows.append((name, *(f"{values[split]:,}" for split in splits)))

    row("images", {n: s.images for n, s in found.items()})
    row("unreadable", {n: len(s.unreadable) for n, s in found.items()})
    for kind in dict.fromkeys(kind for s in found.values() for kind in s.problems):
        row(kind, {n: len(s.problems.get(kind, ())) for n, s in found.items()})
    for kind in dict.fromkeys(kind for s in found.values() for kind in s.left_out):
        row(f"left out: {kind}", {n: s.left_out.get(kind, 0) for n, s in found.items()})
    if any(s.passed_over for s in found.values()):
        over = (counted(s.passed_over) or "none" for s in found.values())
        rows.append(("passed over", *over))
    for what in ("sizes", "modes"):
        rows.append((what, *(_most_common(getattr(s, what)) for s in found.values())))
    row("twice within", {n: len(s.twins) for n, s in found.items()})
    pairs = {n: _shared(n, found) for n in splits}
    for other in splits[:-1]:
        row(f"also in {other}", {n: len(pairs[n].get(other, [])) for n in splits})
    row("unlabelled", {n: s.unlabelled for n, s in found.items()})
    if any(s.boxed for s in found.values()):
        row("boxes", {n: len(s.boxes) for n, s in found.items()})
        row("images without", {n: s.empty for n, s in found.items()})
        rows.append(("smallest box", *(_size(s.boxes, min) for s in found.values())))
        rows.append(("largest box", *(_size(s.boxes, max) for s in found.values())))
    rows += _samples_of_classes(found, classes)
    if any(s.pixels for s in found.values()):
        rows += _pixels_of_classes(found, classes)
    lines = [aligned(rows, indent=""), *notes]
    lines += _named([text for s in found.values() for text in s.unreadable])
    lines += _named([f"twice: {a} is {b}" for s in found.values() for a, b in s.twins])
    leaks = [
        f"{split}: {ours} is {theirs} of {other}"
        for split in splits
        for other, both in pairs[split].items()
        for ours, theirs in both
    ]
    return "\n".join([*lines, *_named(leaks)])


def _size(boxes: Sequence[tuple[float, float]], extreme: Callable[..., Any]) -> str:
    """Return the width and height, in pixels of the images, of the box of an extreme area."""
    if not boxes:
        return "none"
    width, height = extreme(boxes, key=lambda sides: sides[0] * sides[1])
    return f"{width:.4g}x{height:.4g}"


def _samples_of_classes(found: dict[str, _Split], classes: Sequence[str]) -> list[tuple[str, ...]]:
    """Return a row for each class with what has it, none where pixels alone have classes."""
    if any(s.pixels for s in found.values()) and not any(s.classes for s in found.values()):
        return []
    others = {name for s in found.values() for name in s.classes} - {*classes}
    return [
        (f"class {name}", *(f"{s.classes[name]:,}" for s in found.values()))
        for name in (*classes, *sorted(others))
    ]


def _pixels_of_classes(found: dict[str, _Split], classes: Sequence[str]) -> list[tuple[str, ...]]:
    """Return a row for each class with its share of the pixels, then what is of none."""
    names = {number: f"pixels of {name}" for number, name in enumerate(classes)}
    if any(s.background for s in found.values()):
        names[len(classes)] = "background"
    for number in sorted({n for s in found.values() for n in s.pixels} - {*names, IGNORED}):
        names[number] = f"pixels of {_name(number, classes)}"
    names[IGNORED] = "ignored"
    return [
        (name, *(_share(s.pixels[number], s.pixels.total()) for s in found.values()))
        for number, name in names.items()
    ]


def _share(part: int, whole: int) -> str:
    """Return a share of pixels in per cent; few are told from none."""
    if 0 < part < whole / 1000:
        return "< 0.1 %"
    return f"{100 * part / whole:.1f} %" if part else "0 %"


def _shared(name: str, found: dict[str, _Split]) -> dict[str, list[tuple[str, str]]]:
    """Return by earlier split the pictures that a split has in common with it."""
    own = found[name].contents
    earlier = list(found)[: list(found).index(name)]
    return {
        other: [(own[c], found[other].contents[c]) for c in own if c in found[other].contents]
        for other in earlier
    }


def _most_common(counts: Counter[str]) -> str:
    if len(counts) == 1:
        return next(iter(counts))
    shown = ", ".join(f"{count:,} {name}" for name, count in counts.most_common(3))
    return f"{shown}, {len(counts) - 3} more" if len(counts) > 3 else shown or "none"


def _named(lines: list[str]) -> list[str]:
    more = [f"and {len(lines) - MOST_NAMED:,} more"] if len(lines) > MOST_NAMED else []
    return [*lines[:MOST_NAMED], *more]
