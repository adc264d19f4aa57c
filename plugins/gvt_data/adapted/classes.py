"""The names of classes, and the class index of each label."""

from __future__ import annotations

import operator
import warnings
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from gvt import IGNORED, DataError, UsageError
from gvt.printable import printable, quoted
from gvt_registry import nearest

from ..masks.values import UNKNOWN

Label = int | str
"""A label as the data has it: a number or a name."""

Names = Sequence[str] | Mapping[Any, str]
"""Names of the classes in the order of their indices, or the name of each label."""

MOST_NUMBERED = 100_000
"""Largest number of classes that are named by their numbers."""

_BACKGROUNDS = ("background", "__background__", "_background_")


@dataclass(frozen=True)
class ClassTable:
    """The classes of a data set, and the index of each label.

    Attributes:
        classes: Names of the classes.
        indices: Class index of each label.
        numbers: The numbers of the classes, if they were named by number, such as those of COCO.
    """

    classes: tuple[str, ...]
    indices: Mapping[Label, int]
    numbers: tuple[int, ...] | None = None

    def index(self, label: Label | None, where: str) -> int:
        """Return the class index of a label; None is the only class.

        Raises:
            DataError: If it is not a class.
        """
        if label is None:
            if len(self.classes) == 1:
                return 0
            raise DataError(f"{where}: have no labels; give them, or classes=[NAME] for one class")
        if label in self.indices:
            return self.indices[label]
        if isinstance(label, str):
            names = [name for name in self.indices if isinstance(name, str)]
            hint = nearest(label, names) or f"; the classes are {', '.join(self.classes)}"
            raise DataError(f"{where}: {quoted(label)} is not a class{printable(hint)}")
        numbers = [number for number in self.indices if isinstance(number, int)]
        run = f"from {min(numbers)} to {max(numbers)}" if numbers else "from 0"
        raise DataError(
            f"{where}: {label} is not a class, which are numbered {run}; correct it, or give all "
            "names as classes=[...], and the number of the first one as first_label"
        )

    def of_pixels(self, background: bool, is_black_and_white: bool) -> np.ndarray:
        """Return the table from each value of a pixel to its class index, (256,) uint8.

        Args:
            background: Whether the value after the last class is the background.
            is_black_and_white: Whether 255 is the second class. It is ignored otherwise, unless
                it is a label.

        Raises:
            DataError: If it is the second class, and there is only one.
        """
        table = np.full(256, UNKNOWN, np.uint8)
        table[IGNORED] = IGNORED
        for label, index in self.indices.items():
            if isinstance(label, int) and 0 <= label <= IGNORED:
                table[label] = index
        if background:
            table[len(self.classes)] = len(self.classes)
        if is_black_and_white and IGNORED not in self.indices:
            if len(self.classes) < 2:
                raise DataError(
                    "semantic: has the values 0 and 255, which are two classes; name both, such as "
                    f"classes=['background', {self.classes[0]!r}]"
                )
            table[IGNORED] = 1
        return table


def class_table(
    labels: Collection[Label | None], names: Names | None, first: int = 0
) -> ClassTable:
    """Return the classes of labels.

    Without names, the classes of labels that are names are these, sorted; those of numbers are
    named by their numbers, from the first one to the largest.

    Args:
        labels: All labels that occur, each at least once, also those of pixels.
        names: Names of the classes.
        first: Label of the first class, for labels that are numbers.

    Raises:
        DataError: If there are numbers and names, and nothing says which is which.
        UsageError: If two classes have one name, or there are none.
    """
    if isinstance(names, Mapping):
        by_label = {checked_label(label, "classes"): str(name) for label, name in names.items()}
        order = {name: index for index, name in enumerate(dict.fromkeys(by_label.values()))}
        numbers = tuple(label for label in by_label if isinstance(label, int))
        return ClassTable(
            tuple(order),
            {label: order[name] for label, name in by_label.items()},
            numbers if len(numbers) == len(order) == len(by_label) else None,
        )
    if names is not None:
        classes = tuple(str(name) for name in names)
        if isinstance(names, str) or not classes or len({*classes}) < len(classes):
            raise UsageError(f"classes {quoted(names)}: give the name of each class, each once")
        by_name: dict[Label, int] = {name: index for index, name in enumerate(classes)}
        return ClassTable(classes, by_name | {first + i: i for i in range(len(classes))})
    integers = [label for label in labels if isinstance(label, int)]
    texts = sorted(label for label in labels if isinstance(label, str))
    if texts and integers:
        raise DataError(
            f"labels: some are names ({quoted(texts[0])}), some numbers ({min(integers)}); give "
            "classes=[...], whose numbers count from 0"
        )
    if texts:
        return ClassTable(tuple(texts), {name: index for index, name in enumerate(texts)})
    run = range(first, max(integers, default=first - 1) + 1)
    if len(run) > MOST_NUMBERED:
        raise DataError(
            f"labels: run to {run[-1]}; for so many classes give their names, as classes=[...] or "
            "classes={NUMBER: NAME}"
        )
    return ClassTable(tuple(map(str, run)), {label: label - first for label in run})


def checked_label(value: Any, where: str) -> Label:
    """Return a label as a number or a name.

    Args:
        value: A name, an integer, or an array or a tensor with one integer.
        where: Where it is, for messages.

    Raises:
        DataError: If it is neither.
    """
    if isinstance(value, str):
        return str(value)
    try:
        is_array = isinstance(value, np.ndarray | Tensor)
        return operator.index(value.item() if is_array else value)
    except (TypeError, ValueError, RuntimeError) as error:
        raise DataError(
            f"{where}: {quoted(value)} is not a label; give a class by its number or its name"
        ) from error


def first_of_objects(
    labels: Collection[Label | None], names: Names | None, first: int | None, *, is_whole: bool
) -> tuple[Names | None, int]:
    """Return the names of the classes and the label of the first one, for objects of a data set.

    The detectors of torchvision count labels from 1, since 0 is their background; other data counts
    from 0. If 0 occurs, labels count from 0, and otherwise from 1, with a warning unless the last
    name can only be meant so. A first name such as `background` is left out if 0 does not occur.

    Args:
        labels: The labels of the samples that were read.
        names: Names of the classes.
        first: The label of the first class, if it was given.
        is_whole: Whether all samples were read.

    Raises:
        DataError: If nothing says where labels begin.
    """
    numbers = [label for label in labels if isinstance(label, int)]
    if first is not None or isinstance(names, Mapping) or not numbers or min(numbers) < 1:
        return names, first or 0
    if names and names[0].lower() in _BACKGROUNDS:
        return names[1:], 1
    if names and max(numbers) == len(names):
        return names, 1
    if not is_whole:
        raise DataError(
            "data: the labels of its objects may count from 0 or from 1; say which by "
            "first_label=0 or first_label=1 of gvt.dataset"
        )
    warnings.warn(
        f"data: no object has the label 0, so that labels count from 1, as for torchvision's "
        f"detectors: {min(numbers)} to {max(numbers)}; first_label=1 of gvt.dataset says so, and "
        "first_label=0 that class 0 does not occur",
        stacklevel=5,
    )
    return names, 1
