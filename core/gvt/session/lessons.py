"""Checks that the training data has targets for each head, and samples of each class."""

from __future__ import annotations

import warnings

from gvt.data_info import DataInfo
from gvt.errors import DataError
from gvt.heads.multihead import MultiHead
from gvt.interfaces import Head
from gvt.printable import printable
from gvt.task import Task

MOST_NAMES = 10
"""Largest number of classes that a warning names."""


def check_lessons(task: Task, info: DataInfo) -> None:
    """Check that the training data has the targets that each head needs.

    Raises:
        DataError: If a target that a head needs is empty in all samples.
    """
    vocabularies = task.vocabularies if isinstance(task, MultiHead) else {}
    for name, module in task.named_modules():
        words = vocabularies.get(name.removeprefix("heads."))
        lacks = (info if words is None else info.parts.get(words.part, info)).lacks
        learns = isinstance(module, Head) or (module is task and hasattr(task, "needs"))
        for key in module.needs if learns else ():
            if key in lacks:
                raise DataError(
                    f"data: {name or 'the task'} needs {key} to learn from, and no sample of the "
                    f"training split has any: {lacks[key]}"
                )


def warn_of_absent_classes(info: DataInfo) -> None:
    """Warn about classes without a training sample, which are learned as never occurring."""
    for part, of_part in (info.parts or {"": info}).items():
        counts = of_part.class_counts or of_part.object_counts or ()
        names = [name for name, count in zip(of_part.classes, counts, strict=False) if not count]
        if not names:
            continue
        where = f" of part {part}" if part else ""
        more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
        listed = ", ".join(map(printable, names[:MOST_NAMES])) + more
        are = "classes have" if len(names) > 1 else "class has"
        warnings.warn(f"data: {len(names)} {are} no training sample{where}: {listed}", stacklevel=2)
