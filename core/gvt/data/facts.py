"""What a run has to know of its data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

import torch

from gvt.config import RunConfig
from gvt.errors import ConfigError, DataError
from gvt.interfaces import Dataset


@dataclass(frozen=True)
class PartFacts:
    """What a head has to know of the one part of mixed data that it learns from.

    Attributes:
        classes: Names of its classes, which are among those of all parts.
        background: Whether pixels of no class are numbered in its `semantic`.
        class_counts: Samples of each class to train on, where it has `labels`.
    """

    classes: tuple[str, ...]
    background: bool = False
    class_counts: tuple[int, ...] | None = None

    @property
    def injected(self) -> dict[str, Any]:
        """The facts by the names that constructors ask for them."""
        return {
            "num_classes": len(self.classes),
            "background": self.background,
            "class_counts": self.class_counts,
        }


@dataclass(frozen=True)
class DataFacts:
    """What networks have to know of the data; saved in checkpoints, so that they load without it.

    Attributes:
        classes: Names of the classes.
        image_shape: (C, H, W), None where sizes differ.
        data_range: What real images are mapped to before a discriminator.
        samples: How many there are to train on; None in checkpoints that do not say.
        fingerprint: Of the data set's own, where it has one.
        background: Whether pixels of no class are numbered `len(classes)` in `semantic`.
        class_counts: Samples of each class to train on, where the data set has `labels`.
        reader: How picture files become images, where the data set has a reader; a document of
            `PictureReader`.
        category_ids: Of each class its number in COCO files, where the data set has such.
        parts: Of mixed data those of each part, by name.
        channels: Of all images, where their sizes differ and the data set says it.
        hint: What the data set says to do if one class is too few; not kept in checkpoints.
    """

    classes: tuple[str, ...]
    image_shape: tuple[int, int, int] | None
    data_range: tuple[float, float] | None = None
    samples: int | None = None
    fingerprint: str | None = None
    background: bool = False
    class_counts: tuple[int, ...] | None = None
    reader: Mapping[str, Any] | None = None
    category_ids: tuple[int, ...] | None = None
    parts: Mapping[str, PartFacts] = field(default_factory=dict)
    channels: int | None = None
    hint: str = field(default="", compare=False)

    @classmethod
    def of(cls, dataset: Dataset, config: RunConfig) -> DataFacts:
        """Return the facts of an opened data set.

        Raises:
            DataError: If the name of a class is no text that a checkpoint can hold.
        """
        classes = tuple(str(c) for c in dataset.classes)
        for name in classes:
            if not _is_text(name):
                raise DataError(f"data: class {name!r} is no valid text (UTF-8); rename it")
        shape = dataset.image_shape
        parts: Mapping[str, Dataset] = getattr(dataset, "parts", {})
        return cls(
            classes,
            shape and (shape[0], shape[1], shape[2]),
            config.data.range,
            len(dataset),
            getattr(dataset, "fingerprint", None),
            bool(getattr(dataset, "background", False)),
            _class_counts(dataset),
            None if (reader := getattr(dataset, "reader", None)) is None else reader.document(),
            None if (ids := getattr(dataset, "category_ids", None)) is None else tuple(ids),
            {name: _facts_of_part(part) for name, part in parts.items()},
            getattr(dataset, "channels", None),
            getattr(dataset, "hint", ""),
        )

    def check_same(self, before: DataFacts) -> None:
        """Check that a run goes on with the data that it began with.

        Raises:
            ConfigError: If it is other data; says in what.
        """
        known = before.document()
        for name, now in self.document().items():
            then = known[name]
            if name != "reader" and then is not None and now != then:
                raise ConfigError(
                    f"data: is no longer what the run began with: {_difference(name, then, now)}; "
                    "bring it back, or start a new run with init_from=CHECKPOINT"
                )

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> DataFacts:
        """Return the facts that a checkpoint holds; what a later version added is left out."""
        parts = {
            name: PartFacts(**_fields_of(PartFacts, part))
            for name, part in document.get("parts", {}).items()
        }
        return cls(**{**_fields_of(cls, document), "parts": parts})

    def document(self) -> dict[str, Any]:
        """Return the facts as plain data."""
        return {name: value for name, value in asdict(self).items() if name != "hint"}

    @property
    def image_channels(self) -> int | None:
        """How many channels all images have, also where sizes differ; None if nobody says."""
        if self.image_shape is not None:
            return self.image_shape[0]
        if self.reader is None or self.channels is not None:
            return self.channels
        return int(self.reader["channels"])

    @property
    def injected(self) -> dict[str, Any]:
        """The facts by the names that constructors ask for them."""
        return {
            "image_shape": self.image_shape,
            "image_channels": self.image_channels,
            "num_classes": len(self.classes),
            "data_range": self.data_range,
            "background": self.background,
            "class_counts": self.class_counts,
        }


def classes_without_samples(dataset: Dataset) -> dict[str, list[str]]:
    """Return which classes occur in no sample of a data set, where it tells without being read.

    Returns:
        Names of classes by the part of mixed data that has them, that of other data being empty.
    """
    parts: Mapping[str, Dataset] = getattr(dataset, "parts", {}) or {"": dataset}
    absent = {}
    for name, part in parts.items():
        counts = _class_counts(part) or getattr(part, "object_counts", None) or ()
        absent[name] = [str(c) for c, n in zip(part.classes, counts, strict=False) if not n]
    return {name: classes for name, classes in absent.items() if classes}


def _facts_of_part(dataset: Dataset) -> PartFacts:
    background = bool(getattr(dataset, "background", False))
    return PartFacts(tuple(map(str, dataset.classes)), background, _class_counts(dataset))


def _fields_of(facts: type[Any], document: Mapping[str, Any]) -> dict[str, Any]:
    values = {f.name: document[f.name] for f in fields(facts) if f.name in document}
    return {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}


def _class_counts(dataset: Dataset) -> tuple[int, ...] | None:
    return _counts(getattr(dataset, "labels", None), len(dataset.classes))


def _counts(labels: Any, classes: int) -> tuple[int, ...] | None:
    """Return how many samples each class has.

    Raises:
        DataError: If a label is no class.
    """
    if labels is None:
        return None
    numbers = torch.as_tensor(labels, dtype=torch.int64)
    if len(numbers) and not 0 <= int(numbers.min()) <= int(numbers.max()) < classes:
        raise DataError(
            f"data: its labels run from {int(numbers.min())} to {int(numbers.max())}, and there "
            f"are {classes} classes from 0"
        )
    return tuple(torch.bincount(numbers, minlength=classes).tolist())


def _is_text(name: str) -> bool:
    """Return whether a name can be written: that of a file may hold bytes that cannot."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _difference(name: str, then: Any, now: Any) -> str:
    """Say in a few words how a fact of the data differs."""
    if name == "classes":
        gone, new = (", ".join(sorted({*a} - {*b})) for a, b in ((then, now), (now, then)))
        found = [f"without {gone}" if gone else "", f"with {new}" if new else ""]
        return "its classes are " + (" and ".join(filter(None, found)) or "in another order")
    if name == "samples":
        return f"{now:,} samples, and it was {then:,}"
    if name == "fingerprint":
        return "its files have other names or another order"
    return f"its {name.replace('_', ' ')} is {now}, and it was {then}"
