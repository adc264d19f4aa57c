"""The report of a run, or a comparison of several, as one self-contained HTML page."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined

from gvt.files import replacing

from .media import pictures_of
from .plots import COLORS, DASHES, RANKS, charts_of
from .summary import Number, Summary

MISSING = "—"
"""Text for missing values."""

MOST_FILES = 12
"""Maximum number of files of a folder that are listed one by one."""


def write_report(runs: Sequence[Summary], path: Path) -> None:
    """Write one HTML file about a run, or about several side by side.

    The page makes no requests: style, plots (SVG), images and sounds (data URIs) are part of it. It
    states what is missing because a run was killed, is still running or evaluates nothing.

    Args:
        runs: One or more runs.
        path: Path of the HTML file.

    Raises:
        OSError: If the file cannot be written.
    """
    names = _names(runs)
    pictures, unreadable = pictures_of([run.folder for run in runs])
    page = {
        "runs": runs,
        "names": names,
        "charts": [
            chart
            for chart in charts_of(*(run.log for run in runs))
            if any(
                len(points) > 1 for points in chart.curves.values()
            )  # a single point is in the table
        ],
        "numbers": _numbers(runs, names, of_class=False),
        "numbers_of_classes": _numbers(runs, names, of_class=True),
        "pictures": pictures,
        "has_others": any(
            m.kind != "image" for _, of in pictures for p in of if p for m in p.media
        ),
        "unreadable": [*unreadable, *(line for run in runs for line in run.unreadable)],
        "settings": _differences([run.settings for run in runs]),
        "environment": _differences([run.environment for run in runs]),
        "files": list(_files(runs[0].folder.path)) if len(runs) == 1 else [],
        "missing": MISSING,
        "colors": COLORS,
        "dashes": [{"-": "solid", "--": "dashed", ":": "dotted"}[dash] for dash in DASHES],
    }
    template = files("gvt_report").joinpath("report.html.jinja").read_text(encoding="utf-8")
    jinja = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    with replacing(path) as file:
        file.write(jinja.from_string(template).render(page).encode())


def _names(runs: Sequence[Summary]) -> list[str]:
    """Return a unique short name for each run."""
    names = [f"{run.recipe} {run.time}" for run in runs]
    return [
        f"{name} [{names[: place + 1].count(name)}]" if names.count(name) > 1 else name
        for place, name in enumerate(names)
    ]


def _numbers(runs: Sequence[Summary], names: Sequence[str], *, of_class: bool) -> dict[str, Any]:
    """Return the last numbers as a table by split for one run, and by run for several.

    Its columns are (name, last step), and its rows (name, numbers), metrics before losses.
    """
    columns: dict[str, dict[str, Number]] = {name: {} for name in names if len(runs) > 1}
    ranks: dict[str, int] = {}
    for run, run_name in zip(runs, names, strict=True):
        for name, number in run.last.items():
            kind, column, row = number.figure.kind, run_name, name
            if len(runs) == 1:
                column, _, row = name.partition("/")
                if kind == "training loss":
                    kind, column, row = "loss", "training", f"loss/{row}"
                elif kind == "cosine":
                    column = "training"
            is_shown = (number.figure.of_class is not None) is of_class
            if is_shown and (len(runs) > 1 or kind != "learning rate"):
                columns.setdefault(column, {})[row] = number
                ranks[row] = RANKS.index(kind)
    if "training" in columns:
        columns["training"] = columns.pop("training")
    rows = dict.fromkeys(row for numbers in columns.values() for row in numbers)
    return {
        "columns": [
            (column, max((number.step for number in numbers.values()), default=0))
            for column, numbers in columns.items()
        ],
        "rows": [
            (row, [numbers.get(row) for numbers in columns.values()])
            for row in sorted(rows, key=ranks.__getitem__)
        ],
    }


def _differences(runs: Sequence[Mapping[str, str]]) -> list[tuple[str, list[str]]]:
    """Return the values that differ between runs, by dotted path; all values for one run."""
    paths = dict.fromkeys(path for run in runs for path in run)
    rows = [(path, [run.get(path, MISSING) for run in runs]) for path in paths]
    return [(path, values) for path, values in rows if len(runs) == 1 or len(set(values)) > 1]


def _files(folder: Path) -> Iterator[tuple[str, int]]:
    """Yield the files of a run with their sizes in bytes; folders with many files as one entry."""
    is_left_out = re.compile(r"report\.html|\..*").fullmatch  # also unfinished files, and the lock
    by_parent: dict[Path, list[Path]] = {folder: []}
    for path in sorted(p for p in folder.rglob("*") if p.is_file() and not is_left_out(p.name)):
        by_parent.setdefault(path.parent, []).append(path)
    for parent, paths in by_parent.items():
        sizes = {path.relative_to(folder).as_posix(): path.stat().st_size for path in paths}
        if parent != folder and len(paths) > MOST_FILES:
            name = f"{parent.relative_to(folder).as_posix()}/ ({len(paths)} files)"
            sizes = {name: sum(sizes.values())}
        yield from sizes.items()
