"""An evaluation on disk: its numbers, tables and worst mistakes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from gvt.atomic import replacing
from gvt.evaluation import Evaluation
from gvt.runs.drawing import save_mistakes
from gvt.runs.plots import save_matrix


def save_evaluation(
    folder: Path, split: str, step: int, found: Evaluation, classes: Sequence[str]
) -> list[Path]:
    """Write `SPLIT.json`, and `SPLIT_<name>.png` for each table and sheet of mistakes.

    Returns:
        The files written.
    """
    folder.mkdir(exist_ok=True)
    numbers = folder / f"{split}.json"
    tables = {name: table.tolist() for name, table in found.tables.items()}
    document = {"split": split, "step": step, "metrics": found.metrics, "tables": tables}
    with replacing(numbers) as file:
        file.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    written = [numbers]
    for name, table in found.tables.items():
        path = _picture(folder, split, name)
        save_matrix(table, classes, path, title=f"{split}: {name}")
        written.append(path)
    for name, mistakes in found.mistakes.items():
        path = _picture(folder, split, name)
        path.unlink(missing_ok=True)
        if mistakes:
            save_mistakes(mistakes, classes, path)
            written.append(path)
    return written


def _picture(folder: Path, split: str, name: str) -> Path:
    return folder / f"{split}_{name.replace('/', '_')}.png"
