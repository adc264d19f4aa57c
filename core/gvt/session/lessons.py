"""Checks that the training data has targets for each head, and samples of each class."""

from __future__ import annotations

import warnings
from typing import Any

from gvt.data_info import DataInfo
from gvt.errors import DataError
from gvt.heads.multihead import MultiHead
from gvt.interfaces import Head, Task
from gvt.printable import printable

MOST_NAMES = 10
"""Largest number of classes that a warning names."""


def check_lessons(task: Task, info: DataInfo) -> None:
    """Check that the training data has the targets that each head needs.

    Raises:
        DataError: If a target that a head needs is empty in all samples.
    """
    vocabularies = task.vocabularies if isinstance(task, MultiHead) else {}
    learners: dict[str, Any] = {n: m for n, m in task.named_modules() if isinstance(m, Head)}
    if hasattr(task, "needs"):
        learners[""] = task
    for name, learner in learners.items():
        words = vocabularies.get(name.removeprefix("heads."))
        lacks = (info if words is None else info.parts.get(words.part, info)).lacks
        for key in learner.needs:
            if key in lacks:
                raise DataError(
                    f"data: {f'{name} needs' if name else 'the task needs'} {key} to learn from, "
                    f"and no image of the training split has any: {lacks[key]}"
                )


def warn_of_absent_classes(info: DataInfo) -> None:
    """Warn about classes without a training sample, which are learned as never occurring."""
    for part, of in (info.parts or {"": info}).items():
        counts = of.class_counts or of.object_counts or ()
        names = [name for name, count in zip(of.classes, counts, strict=False) if not count]
        if not names:
            continue
        of_part = f" of part {part}" if part else ""
        more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
        listed = ", ".join(map(printable, names[:MOST_NAMES])) + more
        are = "classes have" if len(names) > 1 else "class has"
        warnings.warn(
            f"data: {len(names)} {are} no training image{of_part}: {listed}", stacklevel=2
        )
