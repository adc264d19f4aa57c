"""Format the table of `gvt data check`: one column per split, and notes below it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from gvt import IGNORED
from gvt.cli import aligned
from gvt.vision.pictures import counted

from .contents import Contents, class_name

MOST_LINES = 20
"""The largest number of lines of one kind; the rest are counted."""

Row = tuple[str, ...]
Splits = Mapping[str, Contents]
"""The contents of each split, by name."""


def table(splits: Splits, classes: Sequence[str], notes: Sequence[str]) -> str:
    """Return the table, the notes, and the lists of unreadable and duplicate samples."""
    shared = {name: _shared_images(name, splits) for name in splits}
    rows: list[Row] = [("", *splits), *_samples(splits), *_duplicates(splits, shared)]
    rows.append(_row("unlabelled", (s.unlabelled for s in splits.values())))
    if any(s.boxed for s in splits.values()):
        rows += _boxes(splits)
    rows += _samples_of_classes(splits, classes)
    if any(s.pixels for s in splits.values()):
        rows += _pixels_of_classes(splits, classes)
    lines = [aligned(rows, indent=""), *notes]
    lines += truncated([text for s in splits.values() for text in s.unreadable])
    lines += truncated([f"twice: {a} is {b}" for s in splits.values() for a, b in s.twins])
    leaks = [
        f"{split}: {source} is {twin} of {earlier}"
        for split in splits
        for earlier, pairs in shared[split].items()
        for source, twin in pairs
    ]
    return "\n".join([*lines, *truncated(leaks)])


def truncated(lines: list[str]) -> list[str]:
    """Return the first lines, and the number of the rest as a last line."""
    more = [f"and {len(lines) - MOST_LINES:,} more"] if len(lines) > MOST_LINES else []
    return [*lines[:MOST_LINES], *more]


def _row(name: str, counts: Iterable[int]) -> Row:
    return (name, *(f"{count:,}" for count in counts))


def _samples(splits: Splits) -> list[Row]:
    contents = splits.values()
    of_images = not any(s.images and not s.sizes for s in contents)
    rows = [
        _row("images" if of_images else "samples", (s.images for s in contents)),
        _row("unreadable", (len(s.unreadable) for s in contents)),
    ]
    for kind in dict.fromkeys(kind for s in contents for kind in s.problems):
        rows.append(_row(kind, (len(s.problems.get(kind, ())) for s in contents)))
    for kind in dict.fromkeys(kind for s in contents for kind in s.info.left_out):
        rows.append(_row(f"left out: {kind}", (s.info.left_out.get(kind, 0) for s in contents)))
    if any(s.info.passed_over for s in contents):
        rows.append(("passed over", *(counted(s.info.passed_over) or "none" for s in contents)))
    if of_images:
        rows.append(("sizes", *(_most_common(s.sizes) for s in contents)))
        rows.append(("modes", *(_most_common(s.modes) for s in contents)))
    return rows


def _duplicates(
    splits: Splits, shared: Mapping[str, Mapping[str, list[tuple[str, str]]]]
) -> list[Row]:
    rows = [_row("twice within", (len(s.twins) for s in splits.values()))]
    for earlier in list(splits)[:-1]:
        rows.append(_row(f"also in {earlier}", (len(shared[n].get(earlier, [])) for n in splits)))
    return rows


def _shared_images(name: str, splits: Splits) -> dict[str, list[tuple[str, str]]]:
    """Return the sources of the images that a split shares with each earlier split, in pairs."""
    earlier = list(splits)[: list(splits).index(name)]
    return {split: _twins(splits[name].sources, splits[split].sources) for split in earlier}


def _twins(sources: Mapping[bytes, str], earlier: Mapping[bytes, str]) -> list[tuple[str, str]]:
    return [(sources[pixels], earlier[pixels]) for pixels in sources if pixels in earlier]


def _boxes(splits: Splits) -> list[Row]:
    contents = splits.values()
    return [
        _row("boxes", (len(s.boxes) for s in contents)),
        _row("images without", (s.empty for s in contents)),
        ("smallest box", *(_size(s.boxes, min) for s in contents)),
        ("largest box", *(_size(s.boxes, max) for s in contents)),
    ]


def _size(boxes: Sequence[tuple[float, float]], extreme: Callable[..., Any]) -> str:
    """Return the width and height in pixels of the box with the smallest or largest area."""
    if not boxes:
        return "none"
    width, height = extreme(boxes, key=lambda sides: sides[0] * sides[1])
    return f"{width:.4g}x{height:.4g}"


def _samples_of_classes(splits: Splits, classes: Sequence[str]) -> list[Row]:
    """Return a row for each class with its samples; no rows if only pixels have classes."""
    contents = splits.values()
    if any(s.pixels for s in contents) and not any(s.classes for s in contents):
        return []
    unknown = {name for s in contents for name in s.classes} - {*classes}
    return [
        _row(f"class {name}", (s.classes[name] for s in contents))
        for name in (*classes, *sorted(unknown))
    ]


def _pixels_of_classes(splits: Splits, classes: Sequence[str]) -> list[Row]:
    """Return a row for each class with its share of the pixels, then for all other pixels."""
    contents = splits.values()
    names = {index: f"pixels of {name}" for index, name in enumerate(classes)}
    if any(s.info.background for s in contents):
        names[len(classes)] = "background"
    for index in sorted({n for s in contents for n in s.pixels} - {*names, IGNORED}):
        names[index] = f"pixels of {class_name(index, classes)}"
    names[IGNORED] = "ignored"
    return [
        (name, *(_share(s.pixels[index], s.pixels.total()) for s in contents))
        for index, name in names.items()
    ]


def _share(part: int, whole: int) -> str:
    """Return a share of pixels in per cent, with a limit for small shares instead of 0."""
    if 0 < part < whole / 1000:
        return "< 0.1 %"
    return f"{100 * part / whole:.1f} %" if part else "0 %"


def _most_common(counts: Counter[str]) -> str:
    if len(counts) == 1:
        return next(iter(counts))
    shown = ", ".join(f"{count:,} {name}" for name, count in counts.most_common(3))
    return f"{shown}, {len(counts) - 3} more" if len(counts) > 3 else shown or "none"
