"""`gvt data`: looking at a recipe's data, and reading all of it once."""

from __future__ import annotations

import hashlib
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.progress import track

from gvt.batch import Batch, Sample
from gvt.build import open_dataset, validate_components
from gvt.cli.listing import aligned
from gvt.config import RunConfig, compose
from gvt.data.loading import HeldOut, Loader
from gvt.device import Placement
from gvt.errors import ConfigError, DataError
from gvt.interfaces import Dataset
from gvt.runs.drawing import save_samples

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
    unlabelled: int = 0
    contents: dict[bytes, str] = field(default_factory=dict)
    twins: list[tuple[str, str]] = field(default_factory=list)

    def add(self, sample: Sample, classes: Sequence[str]) -> None:
        """Count one sample."""
        channels, height, width = sample.image.shape
        self.images += 1
        self.sizes[f"{width}x{height}"] += 1
        self.modes[sample.record.mode or {1: "grey", 3: "RGB"}.get(channels, str(channels))] += 1
        content = hashlib.blake2b(
            repr(sample.image.shape).encode() + sample.image.contiguous().numpy().tobytes(),
            digest_size=16,
        ).digest()
        if content in self.contents:
            self.twins.append((sample.record.source, self.contents[content]))
        self.contents.setdefault(content, sample.record.source)
        targets = sample.targets
        numbers = targets["labels"].tolist() if "labels" in targets else []
        numbers += [int(targets["class"])] if "class" in targets else []
        self.unlabelled += not targets
        for number in numbers:
            known = 0 <= number < len(classes)
            self.classes[classes[number] if known else f"{number}, which is no class"] += 1


def check(recipe: str, overrides: Sequence[str]) -> str:
    """Read every sample of every split once, and return what was found as a table.

    Raises:
        DataError: If something cannot be read; its details are the table and the files.
    """
    config = compose(recipe, overrides)
    validate_components(config)
    found: dict[str, _Split] = {}
    notes = []
    train = open_dataset(config, "train")
    for split in type(train).splits:
        try:
            dataset = train if split == "train" else open_dataset(config, split)
        except (ConfigError, DataError) as error:
            notes.append(f"{split}: {error}")
            continue
        found[split] = _read(dataset, split)
    report = _report(found, [str(name) for name in train.classes], notes)
    unreadable = sum(len(split.unreadable) for split in found.values())
    if unreadable:
        raise DataError(f"{config.data.name}: {unreadable} samples cannot be read", details=report)
    return report


def _read(dataset: Dataset, split: str) -> _Split:
    found = _Split()
    classes = [str(name) for name in dataset.classes]
    console = Console(stderr=True, force_terminal=None if sys.stderr.isatty() else False)
    shown = console.is_terminal
    indices = range(len(dataset))
    for index in track(indices, split, console=console, transient=True, disable=not shown):
        try:
            found.add(dataset[index], classes)
        except DataError as error:
            found.unreadable.append(str(error))
    return found


def _report(found: dict[str, _Split], classes: Sequence[str], notes: list[str]) -> str:
    splits = list(found)
    rows = [("", *splits)]

    def row(name: str, values: dict[str, int]) -> None:
        rows.append((name, *(f"{values[split]:,}" for split in splits)))

    row("images", {n: s.images for n, s in found.items()})
    row("unreadable", {n: len(s.unreadable) for n, s in found.items()})
    for what in ("sizes", "modes"):
        rows.append((what, *(_most_common(getattr(s, what)) for s in found.values())))
    row("twice within", {n: len(s.twins) for n, s in found.items()})
    pairs = {n: _shared(n, found) for n in splits}
    for other in splits[:-1]:
        row(f"also in {other}", {n: len(pairs[n].get(other, [])) for n in splits})
    row("unlabelled", {n: s.unlabelled for n, s in found.items()})
    others = {name for s in found.values() for name in s.classes} - {*classes}
    for name in (*classes, *sorted(others)):
        row(f"class {name}", {n: s.classes[name] for n, s in found.items()})
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
