"""What a run came to, or what several did, on one page that needs nothing beside itself."""

from __future__ import annotations

import base64
import io
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup
from PIL import Image

from gvt.files import replacing
from gvt.runs import Points, RunFolder, of_one_class

from .plots import COLORS, DASHES, curves_svg, panels, window_of
from .sheets import last_sheets
from .summary import Summary

LARGEST_SIDE = 1600
"""Pixels; larger pictures are made smaller, and the files in the folder stay as they are."""

SMALL_SIDE = 480
"""Pixels; pictures that are narrower are enlarged by a whole number, to about this width."""

MISSING = "—"

MOST_FILES = 12
"""Files of one folder that are listed one by one."""


def write_report(runs: Sequence[Summary], path: Path) -> None:
    """Write one HTML file about a run, or about several side by side.

    It makes no request: style, curves (SVG) and pictures (data URIs) are in it. What a run does
    not have, because it was killed, is under way or evaluates nothing, the page says.

    Args:
        runs: One or more.
        path: Where to write the HTML.

    Raises:
        OSError: If it cannot be written.
    """
    pictures, unreadable = _pictures(runs)
    page = {
        "runs": runs,
        "names": _names(runs),
        "charts": _charts_of_one(runs[0]) if len(runs) == 1 else _charts_of_several(runs),
        "numbers": _numbers(runs, of_class=False),
        "numbers_of_classes": _numbers(runs, of_class=True),
        "pictures": pictures,
        "unreadable": [*unreadable, *(line for run in runs for line in run.unreadable)],
        "settings": _differences([run.settings for run in runs]),
        "environment": _differences([run.environment for run in runs]),
        "files": list(_files(runs[0].folder.path)) if len(runs) == 1 else [],
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
    """Return a short name for each run, no two alike."""
    names = [f"{run.recipe} {run.time}" for run in runs]
    counts, seen = Counter(names), Counter[str]()
    for place, name in enumerate(names):
        seen[name] += 1
        if counts[name] > 1:
            names[place] = f"{name} [{seen[name]}]"
    return names


# --- curves -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Chart:
    """Curves with their names; a number says which colour and dashes a curve has."""

    title: str
    svg: Markup
    legend: Sequence[tuple[int, str]]
    note: str


def _charts_of_one(run: Summary) -> list[_Chart]:
    """Return a chart for each kind of curves."""
    charts: list[_Chart] = []
    for title, curves in panels(run.log.curves, run.classes).items():
        legend = [(n, _without_kind(name)) for n, name in enumerate(curves)]
        charts += _chart(title, dict(enumerate(curves.values())), legend)
    return charts


def _charts_of_several(runs: Sequence[Summary]) -> list[_Chart]:
    """Return a chart for each name, with a curve for each run that has it."""
    kinds = [panels(run.log.curves, run.classes) for run in runs]
    names: dict[str, None] = {}
    for kind in ("Held-out metrics", "Held-out losses", "Training losses", "Learning rates"):
        names |= dict.fromkeys(name for of_run in kinds for name in of_run.get(kind, {}))
    charts: list[_Chart] = []
    for name in names:
        has = {n: run.log.curves[name] for n, run in enumerate(runs) if name in run.log.curves}
        charts += _chart(name, has, [])
    return charts


def _chart(
    title: str, curves: Mapping[int, Points], legend: Sequence[tuple[int, str]]
) -> Iterator[_Chart]:
    """Yield the chart, or none where no curve has two points: a table says it better."""
    if any(len(points) > 1 for points in curves.values()):
        noisy = not title.startswith(("lr/", "Learning rates"))
        windows = {n: window_of(points) if noisy else 1 for n, points in curves.items()}
        means = " or ".join(map(str, sorted({*windows.values()} - {1})))
        note = f"strong lines are means of {means} neighbours" if means else ""
        yield _Chart(title, Markup(curves_svg(curves, windows, title)), legend, note)


def _without_kind(name: str) -> str:
    return name.removeprefix("train/").removeprefix("lr/").replace("/loss/", "/")


# --- tables -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Table:
    """Names and, in the columns, values with what is to be said of them in small type."""

    columns: Sequence[tuple[str, str]]
    rows: Sequence[tuple[str, Sequence[tuple[str, str]]]]


def _numbers(runs: Sequence[Summary], *, of_class: bool) -> _Table:
    """Return the last value of each name: of one run by split, of several by run."""
    last = [
        {n: p for n, p in run.last.items() if of_one_class(n, run.classes) is of_class}
        for run in runs
    ]
    if len(runs) > 1:
        return _table(dict(zip(_names(runs), last, strict=True)))
    splits: dict[str, dict[str, tuple[int, float]]] = {}
    for name, point in last[0].items():
        split, _, rest = name.partition("/")
        if split != "lr":
            row = f"loss/{rest}" if split == "train" else rest
            splits.setdefault(split, {})[row] = point
    if "train" in splits:
        splits["training"] = splits.pop("train")
    return _table(splits)


def _table(columns: Mapping[str, Mapping[str, tuple[int, float]]]) -> _Table:
    """Return a table of (step, value); metrics stand above losses, learning rates at the end."""
    steps = [max((step for step, _ in c.values()), default=0) for c in columns.values()]
    names = dict.fromkeys(name for column in columns.values() for name in column)
    ranks = {name: _rank(name) for name in names}
    rows = []
    for name in sorted(names, key=lambda name: ranks[name]):
        cells = []
        for step, column in zip(steps, columns.values(), strict=True):
            at, value = column.get(name, (step, None))
            cells.append(
                (MISSING if value is None else f"{value:.5g}", "" if at == step else f"{at:,}")
            )
        rows.append((name, cells))
    return _Table([(c, f"{step:,}") for c, step in zip(columns, steps, strict=True)], rows)


def _rank(name: str) -> int:
    if name.startswith("lr/"):
        return 3
    if name.startswith("train/"):
        return 2
    return int(re.search(r"(^|/)loss/", name) is not None)


def _differences(runs: Sequence[Mapping[str, str]]) -> list[tuple[str, list[str]]]:
    """Return what differs between runs, by dotted path; of one run everything."""
    paths = dict.fromkeys(path for run in runs for path in run)
    rows = [(path, [run.get(path, MISSING) for run in runs]) for path in paths]
    return [(path, values) for path, values in rows if len(runs) == 1 or len(set(values)) > 1]


# --- pictures and files -----------------------------------------------------------------------


@dataclass(frozen=True)
class _Picture:
    """A picture within the page; `width` is what it is shown at, in pixels."""

    uri: str
    width: int
    height: int
    enlarged: bool
    note: str


def _pictures(
    runs: Sequence[Summary],
) -> tuple[list[tuple[str, list[_Picture | None]]], list[tuple[str, str]]]:
    """Return by title the picture of each run, and the files that hold none, with the reason."""
    found: list[dict[str, _Picture]] = [{} for _ in runs]
    unreadable = []
    for run, pictures in zip(runs, found, strict=True):
        for title, note, path in _picture_files(run.folder):
            try:
                pictures[title] = _picture(path, note)
            except (OSError, Image.DecompressionBombError) as error:
                unreadable.append((str(path), str(error)))
    titles = dict.fromkeys(title for pictures in found for title in pictures)
    return [(t, [pictures.get(t) for pictures in found]) for t in titles], unreadable


def _picture_files(folder: RunFolder) -> Iterator[tuple[str, str, Path]]:
    """Yield title, note and file of what there is, the most telling first."""
    for name, path in last_sheets(folder.samples).items():
        yield name, f"step {int(path.stem.rpartition('_')[2]):,}", path
    single = {"the first picture over the run": folder.progress}
    single |= {p.stem.replace("_", " "): p for p in sorted(folder.evaluations.glob("*.png"))}
    single |= {"losses of the phases": folder.scatter_plot, "training data": folder.data}
    yield from ((title, "", path) for title, path in single.items() if path.is_file())


def _picture(path: Path, note: str) -> _Picture:
    """Return a picture as a data URI.

    Raises:
        OSError: If it is none, or cut off.
    """
    with Image.open(path) as image:
        image.load()
        content, small = path.read_bytes(), image.copy()
    if max(small.size) > LARGEST_SIDE:
        small.thumbnail((LARGEST_SIDE, LARGEST_SIDE))
        stream = io.BytesIO()
        small.save(stream, "PNG")
        content = stream.getvalue()
    uri = f"data:image/png;base64,{base64.b64encode(content).decode('ascii')}"
    scale = max(1, round(SMALL_SIDE / small.width))
    return _Picture(uri, small.width * scale, small.height * scale, scale > 1, note)


def _files(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield the files of a run with their sizes; folders with many of them as one line."""
    own = re.compile(r"report\.html|\..*").fullmatch  # what is unfinished, and the lock
    paths = [p for p in folder.rglob("*") if p.is_file() and not own(p.name)]
    by_parent: dict[Path, list[Path]] = {}
    for path in sorted(paths, key=lambda path: (path.parent != folder, path)):
        by_parent.setdefault(path.parent, []).append(path)
    for parent, inside in by_parent.items():
        if parent != folder and len(inside) > MOST_FILES:
            name = f"{parent.relative_to(folder).as_posix()}/ ({len(inside)} files)"
            yield name, _size(inside)
        else:
            yield from ((p.relative_to(folder).as_posix(), _size([p])) for p in inside)


def _size(paths: Iterable[Path]) -> str:
    size = float(sum(path.stat().st_size for path in paths))
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} GB"
