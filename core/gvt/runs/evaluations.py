"""The figures of an evaluation on disk: `SPLIT.json`."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gvt.files import attempting, replacing
from gvt.interfaces import Curves
from gvt.loop.evaluation import Evaluation
from gvt.loop.figures import to_document


def save_evaluation(
    folder: Path,
    split: str,
    step: int | None,
    evaluation: Evaluation,
    classes: Sequence[str],
    *,
    about: Mapping[str, Any] | None = None,
) -> list[Path]:
    """Write `SPLIT.json`; if it cannot be written, warn.

    The JSON is strict: a number that is not finite is null.

    Args:
        folder: Where to; made if need be.
        split: The split that was evaluated.
        step: Steps done by then; None for what no training led to.
        evaluation: The evaluation.
        classes: Names of the classes.
        about: What else goes into the JSON: plain data, such as the name of a checkpoint.

    Returns:
        The files written.
    """
    path = folder / f"{split}.json"
    head: dict[str, Any] = {"split": split} | ({} if step is None else {"step": step})
    head |= {**(about or {}), "classes": list(classes), "metrics": evaluation.metrics}
    written: list[Path] = []
    with attempting(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with attempting(path):
            with replacing(path) as file:
                file.write(_laid_out(head, evaluation).encode())
            written.append(path)
    return written


def _laid_out(head: Mapping[str, Any], evaluation: Evaluation) -> str:
    """Return JSON for people, with a line for each figure, row of a table and curve."""
    figures = to_document({name: evaluation.figure(name) for name in evaluation.metrics})
    sections = {
        "figures": {name: json.dumps(figure) for name, figure in figures.items()},
        "tables": {name: _rows(table.tolist(), 4) for name, table in evaluation.tables.items()},
    }
    if evaluation.curves:
        sections["curves"] = {name: _curves(curves) for name, curves in evaluation.curves.items()}
    plain = json.dumps(_strict(head), indent=2, allow_nan=False).removesuffix("\n}")
    for name, parts in sections.items():
        inside = ",\n".join(f"    {json.dumps(key)}: {part}" for key, part in parts.items())
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
