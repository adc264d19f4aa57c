"""Plots of an evaluation: tables, curves and the worst mistakes."""

from __future__ import annotations

import glob
from pathlib import Path

from gvt import Evaluation
from gvt.fields import SUFFIXES
from gvt.loop import BACKGROUND
from gvt.vision.drawing import save_matrix

from .class_curves import save_curves
from .drawing import drawing
from .mistakes import save_mistakes


def draw_evaluation(folder: Path, split: str, step: int | None, evaluation: Evaluation) -> None:
    """Draw `SPLIT_<name>.png` for each table, each plot of curves and each sheet of mistakes.

    Mistakes without images are in `SPLIT_<name>.txt`, and in files as their fields show them. If a
    plot cannot be drawn, there is a warning, and the others are still drawn.

    Args:
        folder: The folder of the files; nothing is drawn if it does not exist.
        split: The split that was evaluated.
        step: Number of training steps; None if there was no training.
        evaluation: The evaluation.
    """
    if not folder.is_dir():
        return  # the writer of the metrics has warned already
    classes = evaluation.classes
    heading = split if step is None else f"{split}, step {step:,}"
    for name, table in evaluation.tables.items():
        with drawing(path := _picture(folder, split, name)):
            has_background = len(table) == len(classes) + 1
            names = [*classes, BACKGROUND] if has_background else classes
            save_matrix(table, names, path, title=f"{heading}: {name}")
    for name, curves in evaluation.curves.items():
        with drawing(path := _picture(folder, split, name)):
            save_curves(curves, classes, path, title=f"{heading}: {name}")
    share = " (of this process's share)" if evaluation.processes > 1 else ""
    for name, mistakes in evaluation.mistakes.items():
        with drawing(path := _picture(folder, split, name)):
            for earlier in folder.glob(f"{glob.escape(path.stem)}[._]*"):
                if earlier.suffix in SUFFIXES:
                    earlier.unlink()
            if mistakes:
                save_mistakes(mistakes, classes, path, title=f"{heading}{share}: {name}")


def _picture(folder: Path, split: str, name: str) -> Path:
    return folder / f"{split}_{name.replace('/', '_')}.png"
