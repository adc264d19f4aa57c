"""Write an evaluation to disk: `SPLIT.json`."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gvt.files import attempting, save_files
from gvt.interfaces import Curves
from gvt.loop.evaluation import Evaluation
from gvt.loop.figures import to_document


def save_evaluation(
    folder: Path,
    split: str,
    step: int | None,
    evaluation: Evaluation,
    about: Mapping[str, Any] = {},
) -> list[Path]:
    """Write `SPLIT.json`; give a warning if it cannot be written.

    The JSON is strict: infinite numbers and NaN are null.

    Args:
        folder: The folder; created if it does not exist.
        split: Name of the split.
        step: Number of training steps; None if there was no training.
        evaluation: The evaluation.
        about: Further entries of the JSON: plain data, such as the name of a checkpoint.

    Returns:
        The files that were written.
    """
    path = folder / f"{split}.json"
    head: dict[str, Any] = {"split": split} | ({} if step is None else {"step": step})
    head |= {**about, "classes": list(evaluation.classes), "metrics": evaluation.metrics}
    paths: list[Path] = []
    with attempting(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with attempting(path):
            paths = save_files(folder / split, [(".json", _formatted(head, evaluation))])
    return paths


def _formatted(head: Mapping[str, Any], evaluation: Evaluation) -> bytes:
    """Return readable JSON, with a line for each figure, row of a table and curve."""
    figures = to_document({name: evaluation.figure(name) for name in evaluation.metrics})
    sections = {
        "figures": {name: json.dumps(figure) for name, figure in figures.items()},
        "tables": {name: _rows(table.tolist(), 4) for name, table in evaluation.tables.items()},
    }
    if evaluation.curves:
        sections["curves"] = {name: _curves(curves) for name, curves in evaluation.curves.items()}
    text = json.dumps(_strict(head), indent=2, allow_nan=False).removesuffix("\n}")
    for name, parts in sections.items():
        text += f',\n  "{name}": {_object(parts, 2)}'
    return (text + "\n}\n").encode()


def _curves(curves: Curves) -> str:
    """Return curves as JSON: x, and a row of y for each class in their order; to six digits."""
    x, y = ([[round(v, 6) for v in row] for row in t.tolist()] for t in (curves.x[None], curves.y))
    parts = {"names": json.dumps(curves.names), "x": json.dumps(_strict(x[0])), "y": _rows(y, 6)}
    return _object(parts, 4)


def _object(parts: Mapping[str, str], indent: int) -> str:
    """Return a JSON object, a line for each of its parts."""
    lines = (f"{' ' * indent}  {json.dumps(key)}: {part}" for key, part in parts.items())
    return "{\n" + ",\n".join(lines) + "\n" + " " * indent + "}"


def _rows(rows: Sequence[Any], indent: int) -> str:
    """Return a JSON list of lists, a line for each."""
    lines = (f"{' ' * indent}  {json.dumps(row)}" for row in _strict(rows))
    return "[\n" + ",\n".join(lines) + "\n" + " " * indent + "]"


def _strict(value: Any) -> Any:
    """Return plain data with None for each infinite number or NaN, which JSON does not have."""
    if isinstance(value, Mapping):
        return {key: _strict(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_strict(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
