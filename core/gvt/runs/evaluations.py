"""An evaluation on disk: its numbers, tables and worst mistakes."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from gvt.atomic import attempting, replacing
from gvt.interfaces import Curves
from gvt.loop.evaluation import BACKGROUND, Evaluation, Mistake
from gvt.runs.class_curves import save_curves
from gvt.runs.drawing import save_mistakes
from gvt.runs.plots import save_matrix


def save_evaluation(
    folder: Path,
    split: str,
    step: int | None,
    found: Evaluation,
    classes: Sequence[str],
    *,
    about: Mapping[str, Any] | None = None,
) -> list[Path]:
    """Write `SPLIT.json`, and `SPLIT_<name>.png` for each table, curves and sheet of mistakes.

    The JSON is strict: a number that is not finite is null. A file that cannot be written is
    warned of, and the others are still tried.

    Args:
        folder: Where to; made if need be.
        split: What was evaluated.
        step: Steps done by then; None for what no training led to.
        found: What was found.
        classes: Names of the classes.
        about: What else goes into the JSON: plain data, such as the name of a checkpoint.

    Returns:
        The files written.
    """
    written: list[Path] = []
    with attempting(folder):
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{split}.json"
        head: dict[str, Any] = {"split": split} | ({} if step is None else {"step": step})
        head |= {**(about or {}), "classes": list(classes), "metrics": found.metrics}
        heading = split if step is None else f"{split}, step {step:,}"
        with attempting(path):
            with replacing(path) as file:
                file.write(_laid_out(head, found).encode())
            written.append(path)
        for name, table in found.tables.items():
            path = _picture(folder, split, name)
            with attempting(path):
                has_background = len(table) == len(classes) + 1
                names = [*classes, BACKGROUND] if has_background else classes
                save_matrix(table, names, path, title=f"{heading}: {name}")
                written.append(path)
        for name, curves in found.curves.items():
            path = _picture(folder, split, name)
            with attempting(path):
                save_curves(curves, classes, path, title=f"{heading}: {name}")
                written.append(path)
        share = " (of this process's share)" if found.processes > 1 else ""
        for name, mistakes in found.mistakes.items():
            path = _picture(folder, split, name)
            with attempting(path):
                path.unlink(missing_ok=True)
                if mistakes:
                    title = f"{heading}{share}: {name}"
                    own = [_of_head(mistake, name) for mistake in mistakes]
                    save_mistakes(own, classes, path, title=title)
                    written.append(path)
    return written


def _of_head(mistake: Mistake, name: str) -> Mistake:
    """Return of a mistake, if it is of one of several heads, what that head said."""
    said = mistake.prediction.get(name.rpartition("/")[0])
    return replace(mistake, prediction=said) if isinstance(said, dict) else mistake


def _laid_out(head: Mapping[str, Any], found: Evaluation) -> str:
    """Return JSON for people, in which each row of a table, and each curve, is one line."""
    tables = [f"    {json.dumps(n)}: {_rows(t.tolist(), 4)}" for n, t in found.tables.items()]
    sections = {"tables": tables}
    if found.curves:
        sections["curves"] = [f"    {json.dumps(n)}: {_curves(c)}" for n, c in found.curves.items()]
    plain = json.dumps(_strict(head), indent=2, allow_nan=False).removesuffix("\n}")
    for name, parts in sections.items():
        inside = ",\n".join(parts)
        plain += f',\n  "{name}": {{\n{inside}\n  }}'
    return plain + "\n}\n"


def _curves(curves: Curves) -> str:
    """Return curves as JSON: x and, by the classes' order, a row of y for each; to six digits."""
    x, y = ([[round(v, 6) for v in row] for row in t.tolist()] for t in (curves.x[None], curves.y))
    parts = {"names": json.dumps(curves.names), "x": json.dumps(_strict(x[0])), "y": _rows(y, 6)}
    inside = ",\n".join(f"      {json.dumps(name)}: {part}" for name, part in parts.items())
    return f"{{\n{inside}\n    }}"


def _rows(rows: Sequence[Any], indent: int) -> str:
    """Return a list of lists, a line each."""
    margin = " " * indent
    inside = ",\n".join(f"{margin}  {json.dumps(row)}" for row in _strict(rows))
    return f"[\n{inside}\n{margin}]"


def _strict(value: Any) -> Any:
    """Return plain data with None for each number that is not finite, which JSON does not know."""
    if isinstance(value, Mapping):
        return {key: _strict(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_strict(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _picture(folder: Path, split: str, name: str) -> Path:
    return folder / f"{split}_{name.replace('/', '_')}.png"
