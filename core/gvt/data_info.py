"""The information about a data set that models and checkpoints need."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields, replace
from typing import Any

import torch
from torch import Tensor

from gvt.errors import ConfigError, DataError
from gvt.interfaces import Dataset

_FILLED_IN = frozenset({"data_range", "samples", "class_counts"})
"""Fields that gvt fills in; no attribute of a data set is read for them."""


@dataclass(frozen=True)
class DataInfo:
    """Information about a data set, from which models are built.

    A data set has one as `info`, or has plain attributes with the names of these fields.
    Checkpoints hold the fields that models need, so that they load without their data.

    Attributes:
        classes: Names of the classes, in the order of their numbers.
        image_shape: (C, H, W) of every image; None if sizes differ, or there are no images.
        data_range: Range that real images are mapped to before a discriminator; filled in from the
            recipe.
        samples: Number of samples; filled in. None in checkpoints without it.
        fingerprint: A short text that changes with the samples or their order. A run can only be
            resumed with the same one.
        background: Whether pixels of no class are `len(classes)` in `semantic`. Otherwise every
            pixel is of a class, or 255.
        class_counts: Samples of each class, counted from `labels`.
        reader: How files become inputs, as plain data: the document of the `gvt.PictureReader`, or
            a document with `field`, the name of the field that reads it, and what was fitted on the
            training data, such as a vocabulary. Other files are read the same way for predictions.
            Data sets and networks with a parameter `reader` get the one of the training data.
        category_ids: The number of each class in COCO files; 1 and on without it.
        parts: For mixed data, the information about each part by its name. `classes` has those of
            all parts, samples are numbered by it, and each record names its `part`.
        channels: Number of channels of all images, if their sizes differ.
        labels: The class of each sample, (N,) int64, by which samples are balanced and classes
            weighted without reading them. Neither saved nor compared, like everything below.
        weights: How often each sample is drawn for training relative to the others, (N,) float64.
            An epoch has as many samples as before, drawn with replacement.
        object_counts: Number of objects of each class; a run warns about a class without any.
        hint: What to do if one class is too few, as a clause that ends an error message.
        problems: Places of bad annotations that are corrected or left out, by kind; `gvt data
            check` counts and names them. None for a data set that does not look for any.
        left_out: Number of objects that are left out on purpose, by what they are.
        lacks: Targets that are empty in all samples, such as `boxes`, each with the reason. Heads
            that need one cannot be trained on this split.
        passed_over: Number of files of each suffix that are beside the images and not read, as
            {".heic": 12, "": 1}; `gvt data check` reports them.

    Raises:
        DataError: If the name of a class is not valid UTF-8, a label is not a class, or
            `category_ids` does not have a different number for each class.
    """

    classes: tuple[str, ...]
    image_shape: tuple[int, int, int] | None = None
    data_range: tuple[float, float] | None = None
    samples: int | None = None
    fingerprint: str | None = None
    background: bool = False
    class_counts: tuple[int, ...] | None = None
    reader: Mapping[str, Any] | None = None
    category_ids: tuple[int, ...] | None = None
    parts: Mapping[str, DataInfo] = field(default_factory=dict)
    channels: int | None = None
    labels: Tensor | None = field(default=None, compare=False)
    weights: Tensor | None = field(default=None, compare=False)
    object_counts: tuple[int, ...] | None = field(default=None, compare=False)
    hint: str = field(default="", compare=False)
    problems: Mapping[str, Sequence[str]] | None = field(default=None, compare=False)
    left_out: Mapping[str, int] = field(default_factory=dict, compare=False)
    lacks: Mapping[str, str] = field(default_factory=dict, compare=False)
    passed_over: Mapping[str, int] = field(default_factory=dict, compare=False)

    def __post_init__(self) -> None:
        values: dict[str, Any] = {
            name: tuple(value)
            for name, value in vars(self).items()
            if isinstance(value, Sequence) and not isinstance(value, str)
        }
        values["classes"] = tuple(map(str, self.classes))
        values["background"] = bool(self.background)
        if self.labels is not None:
            values["labels"] = torch.as_tensor(self.labels, dtype=torch.int64, device="cpu")
            values["class_counts"] = _counts(values["labels"], len(self.classes))
        if self.weights is not None:
            values["weights"] = torch.as_tensor(self.weights, dtype=torch.float64, device="cpu")
        for name, value in values.items():
            object.__setattr__(self, name, value)
        for name in self.classes:
            if name.encode(errors="replace").decode() != name:  # that of a file may hold any bytes
                raise DataError(f"data: class {name!r} is not valid UTF-8; rename it")
        ids, count = self.category_ids, len(self.classes)
        if ids is not None and not len(ids) == len({*ids}) == count:
            raise DataError(
                f"data: category_ids has {len({*ids})} different numbers for {count} classes"
            )

    @classmethod
    def of(cls, dataset: Dataset, data_range: tuple[float, float] | None = None) -> DataInfo:
        """Return the information about a data set: its `info`, or its plain attributes.

        Args:
            dataset: The data set.
            data_range: Range that real images are mapped to before a discriminator.

        Raises:
            DataError: If the data set lacks `classes` or `image_shape`, or one of its values is
                wrong.
        """
        info = getattr(dataset, "info", None)
        if not isinstance(info, cls):
            info = cls._of_attributes(dataset)
        return replace(info, samples=len(dataset), data_range=data_range)

    @classmethod
    def _of_attributes(cls, dataset: Dataset) -> DataInfo:
        declared = [f.name for f in fields(cls) if f.name not in _FILLED_IN]
        values: dict[str, Any] = {name: getattr(dataset, name, MISSING) for name in declared}
        if lacking := [name for name in ("classes", "image_shape") if values[name] is MISSING]:
            raise DataError(
                f"data: {type(dataset).__name__} lacks {' and '.join(lacking)}; see gvt.DataInfo"
            )
        values = {n: v for n, v in values.items() if v is not MISSING and v is not None}
        if "reader" in values:
            values["reader"] = values["reader"].document()
        if "parts" in values:
            values["parts"] = {name: cls.of(part) for name, part in values["parts"].items()}
        return cls(**values)

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> DataInfo:
        """Return the information that a checkpoint holds; fields of later versions are dropped."""
        parts = {name: cls.from_document(of) for name, of in document.get("parts", {}).items()}
        values = {name: document[name] for name in _SAVED if name in document}
        return cls(**{**values, "parts": parts})

    def document(self) -> dict[str, Any]:
        """Return what checkpoints hold, as plain data."""
        parts = {name: part.document() for name, part in self.parts.items()}
        return {name: getattr(self, name) for name in _SAVED} | {"parts": parts}

    def check_same(self, before: DataInfo) -> None:
        """Check that a run is resumed with the data that it started with.

        Raises:
            ConfigError: If the data differs. The message says in what.
        """
        for name in _SAVED:
            now, then = getattr(self, name), getattr(before, name)
            if name == "parts":
                for part in (part for part in now if part in then):
                    now[part].check_same(then[part])
                now, then = [*now], [*then]
            if name != "reader" and then is not None and now != then:
                raise ConfigError(
                    f"data: differs from what the run started with: {_difference(name, then, now)}"
                    "; bring it back, or start a new run with init_from=CHECKPOINT"
                )

    @property
    def image_channels(self) -> int | None:
        """Number of channels of all images, also if sizes differ; None if it is not known."""
        if self.image_shape is not None:
            return self.image_shape[0]
        if self.reader is None or self.channels is not None:
            return self.channels
        return self.reader.get("channels")

    @property
    def injected(self) -> dict[str, Any]:
        """The values that constructors get by the names of their parameters."""
        of_images = {"image_shape": self.image_shape, "image_channels": self.image_channels}
        more = {"data_range": self.data_range, "reader": self.reader}
        return {**of_images, **more, **self.injected_classes}

    @property
    def injected_classes(self) -> dict[str, Any]:
        """The values of `injected` that a head gets from the part that it learns from."""
        return {
            "num_classes": len(self.classes),
            "background": self.background,
            "class_counts": self.class_counts,
        }


_SAVED = tuple(f.name for f in fields(DataInfo) if f.compare)
"""Fields that checkpoints hold; the others stay with the data."""


def _counts(labels: Tensor, classes: int) -> tuple[int, ...]:
    """Return the number of samples of each class.

    Raises:
        DataError: If a label is not a class.
    """
    if len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < classes:
        raise DataError(
            f"data: its labels run from {int(labels.min())} to {int(labels.max())}, and there "
            f"are {classes} classes from 0"
        )
    return tuple(torch.bincount(labels, minlength=classes).tolist())


def _difference(name: str, then: Any, now: Any) -> str:
    """Return how a field differs, as a clause."""
    if name == "classes":
        gone, new = (", ".join(sorted({*a} - {*b})) for a, b in ((then, now), (now, then)))
        changes = [f"without {gone}" if gone else "", f"with {new}" if new else ""]
        return "its classes are " + (" and ".join(filter(None, changes)) or "in another order")
    if name == "samples":
        return f"{now:,} samples, and it was {then:,}"
    if name == "fingerprint":
        return "its files or samples are other ones, or in another order"
    return f"its {name.replace('_', ' ')} is {now}, and it was {then}"
