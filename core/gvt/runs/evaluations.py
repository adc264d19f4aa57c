"""An evaluation on disk: its numbers, tables and worst mistakes."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from gvt.atomic import attempting, replacing
from gvt.evaluation import BACKGROUND, Evaluation
from gvt.runs.drawing import save_mistakes
from gvt.runs.plots import save_matrix


def save_evaluation(
    folder: Path,
    split: str,
    step: int,
    found: Evaluation,
    classes: Sequence[str],
    *,
    about: Mapping[str, Any] | None = None,
) -> list[Path]:
    """Write `SPLIT.json`, and `SPLIT_<name>.png` for each table and sheet of mistakes.

    The JSON is strict: a number that is not finite is null. A file that cannot be written is
    warned of, and the others are still tried.

    Args:
        folder: Where to; made if need be.
        split: What was evaluated.
        step: Steps done by then.
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
        head = {"split": split, "step": step, **(about or {}), "classes": list(classes)}
        head["metrics"] = found.metrics
        with attempting(path):
            with replacing(path) as file:
                file.write_text(_laid_out(head, found.tables), encoding="utf-8")
            written.append(path)
        for name, table in found.tables.items():
            path = _picture(folder, split, name)
            with attempting(path):
                has_background = len(table) == len(classes) + 1
                names = [*classes, BACKGROUND] if has_background else classes
                save_matrix(table, names, path, title=f"{split}, step {step:,}: {name}")
                written.append(path)
        share = " (of this process's share)" if found.processes > 1 else ""
        for name, mistakes in found.mistakes.items():
            path = _picture(folder, split, name)
            with attempting(path):
                path.unlink(missing_ok=True)
                if mistakes:
                    title = f"{split}, step {step:,}{share}: {name}"
                    save_mistakes(mistakes, classes, path, title=title)
                    written.append(path)
    return written


def _laid_out(head: Mapping[str, Any], tables: Mapping[str, Tensor]) -> str:
    """Return JSON for people, in which each row of a table is one line."""
    texts = []
    for name, table in tables.items():
        rows = ",\n".join(f"      {json.dumps(row)}" for row in _strict(table.tolist()))
        texts.append(f"    {json.dumps(name)}: [\n{rows}\n    ]")
    inside = ",\n".join(texts)
    plain = json.dumps(_strict(head), indent=2, allow_nan=False)
    return plain.removesuffix("\n}") + f',\n  "tables": {{\n{inside}\n  }}\n}}\n'


def _strict(value: Any) -> Any:
    """Return plain data with None for each number that is not finite, which JSON does not know."""
    if isinstance(value, Mapping):
        return {key: _strict(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_strict(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _picture(folder: Path, split: str, name: str) -> Path:
    return folder / f"{split}_{name.replace('/', '_')}.png"
