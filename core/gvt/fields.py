"""Fields: how each key of a sample is batched, moved, transformed, mapped back and shown."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor

from gvt.batch import Frame, Record
from gvt_registry import Registry, default_registry
from gvt_registry.target import load_target

__all__ = ["SUFFIXES", "Destination", "Field", "Shown", "field_of", "files_of_samples"]

SUFFIXES = (".wav", ".gif", ".webp", ".png", ".txt")
"""Suffixes of the files that fields show values in, in the order of a page."""

MOST_PLAYED = 8
"""Largest number of samples of a data set that are played or drawn by a field."""

_OF_IMAGES = ("image", "class", "semantic", "boxes", "masks")
"""The fields of images, `Image`, `Class` and so on in `gvt.data.image_fields`; all other keys of
gvt itself are plain fields."""


class Destination(Protocol):
    """Where tensors are moved to; a `gvt.Placement` is one."""

    @property
    def device(self) -> torch.device:
        """The device."""

    def images(self, images: Tensor) -> Tensor:
        """Return images (N, C, H, W) on the device, float32 in [0, 1], in its memory format."""


class Field:
    """One key of samples, among their inputs or their targets.

    This class is a plain field, and the base class of all others: a list with one value for each
    sample, moved to the device, not in pixels of an image, and shown as text.

    Attributes:
        is_dense: Whether the values of a batch are one tensor, and otherwise a list.
        is_spatial: Whether the value is in pixels of the image, so that it is transformed with the
            image, and mapped back to the original image.
        varying: The axes of a batch of inputs, besides the first, whose lengths differ from batch
            to batch, each with a name such as `height`; the same name stands for the same length.
    """

    is_dense: ClassVar[bool] = False
    is_spatial: ClassVar[bool] = False
    varying: ClassVar[Mapping[int, str]] = {}

    def collate(self, values: Sequence[Any], frame: Frame, records: Sequence[Record]) -> Any:
        """Return the values of a batch: a tensor if the field is dense, and otherwise a list.

        Args:
            values: One for each sample; None if a sample lacks the key, and never all of them.
            frame: Sizes of the images of the batch.
            records: Origin of each sample, for messages.
        """
        return torch.stack([torch.as_tensor(v) for v in values]) if self.is_dense else list(values)

    def on_device(self, value: Any, place: Destination) -> Any:
        """Return the values of a batch on the device."""
        if isinstance(value, Tensor):
            return value.to(place.device, non_blocking=True)
        if isinstance(value, Mapping):
            return {k: self.on_device(v, place) for k, v in value.items()}
        return [self.on_device(v, place) for v in value] if isinstance(value, list) else value

    def wrapped(self, value: Any, size: tuple[int, int]) -> Any:
        """Return a spatial value as a `tv_tensors` type, for torchvision's transforms.

        Args:
            value: The value of one sample.
            size: (H, W) of its image.
        """
        raise NotImplementedError(f"{type(self).__name__} cannot be transformed")

    def unwrapped(self, value: Any, size: tuple[int, int]) -> Any:
        """Return a transformed value of an image that now is (H, W)."""
        return value.as_subclass(Tensor)

    def to_original(self, value: Any, record: Record) -> Any:
        """Return a spatial value of the canvas in pixels of the original image.

        `record.geometry` is not None.
        """
        raise NotImplementedError(f"{type(self).__name__} cannot be mapped back")

    def read(self, arguments: Sequence[str], reader: Mapping[str, Any]) -> list[tuple[str, Any]]:
        """Return the values that arguments of the command line stand for, each with its name.

        It is called for predictions if the reader of the training data names this field.

        Args:
            arguments: Such as texts, and paths of files and folders.
            reader: The document of the reader; see `gvt.DataInfo`.

        Raises:
            UsageError: If an argument is wrong.
            DataError: If a file cannot be read.
        """
        raise NotImplementedError(f"{type(self).__name__} is not read from the command line")

    def files(self, value: Any, **about: Any) -> list[tuple[str, bytes]]:
        """Return files that show a value to people, each as its suffix and its content.

        The suffixes are different ones of `.png`, `.gif`, `.webp`, `.wav` and `.txt`. The first
        file is the main one. The others, such as the spectrogram of a sound, are shown beside it.

        Args:
            value: The `value` of a `gvt.Shown`: of several samples, on any device.
            about: Its `about`.
        """
        several = isinstance(value, Sequence | Tensor) and not isinstance(value, str)
        texts = [str(v.tolist() if isinstance(v, Tensor) else v) for v in ([value], value)[several]]
        gap = "\n\n" if any("\n" in text for text in texts) else "\n"
        return [(".txt", f"{gap.join(texts)}\n".encode(errors="backslashreplace"))]


@dataclass(frozen=True)
class Shown:
    """Something to look at, to read or to listen to, such as a sheet of samples.

    Attributes:
        field: Name of the field that shows it.
        value: The value, of several samples: (N, C, H, W) in [0, 1] or (rows, columns, C, H, W)
            for `image`, a list of texts for a plain field.
        about: What the field needs besides, such as a sample rate.
    """

    field: str
    value: Any
    about: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @classmethod
    def of(cls, value: Tensor | Shown) -> Shown:
        """Return a value as it is, and a tensor as a sheet of images."""
        return value if isinstance(value, Shown) else cls("image", value)

    def files(self) -> list[tuple[str, bytes]]:
        """Return the files that show it, each as its suffix and its content, the main one first.

        Raises:
            ValueError: If the field returns no file, another suffix, or one of them twice.
        """
        files = field_of(self.field).files(self.value, **self.about)
        suffixes = [suffix for suffix, _ in files]
        if not files or len({*suffixes} & {*SUFFIXES}) < len(files):
            raise ValueError(
                f"field {self.field!r} shows {suffixes}, not each one of {SUFFIXES} once"
            )
        return files


def files_of_samples(
    values: Mapping[str, Sequence[Any]], words: Sequence[str]
) -> list[tuple[str, bytes]]:
    """Return files that show samples by their fields, each as the end of its name and its content.

    `.txt` has a numbered line for each sample, with the fields that are texts. The other files, of
    the first samples, end in their suffix, and in `_FIELD.SUFFIX` if an earlier field has it.

    Args:
        values: Values by field, one for each sample; None if a sample lacks it.
        words: Text about each sample, such as its class.
    """
    lines = [[str(number), *filter(None, [text])] for number, text in enumerate(words, 1)]
    files = {".txt": b""}
    for key, of_samples in values.items():
        rows = [row for row, value in enumerate(of_samples) if value is not None]
        main, *others = _shown(key, [of_samples[row] for row in rows[:MOST_PLAYED]])
        if main[0] == ".txt":
            for row in rows:
                lines[row].append(" ".join(_shown(key, [of_samples[row]])[0][1].decode().split()))
        for suffix, content in others if main[0] == ".txt" else (main, *others):
            files[f"_{key}{suffix}" if suffix in files else suffix] = content
    files[".txt"] = "".join("  ".join(line) + "\n" for line in lines).encode()
    return list(files.items())


def _shown(key: str, values: Sequence[Any]) -> list[tuple[str, bytes]]:
    return Shown(key, field_of(key).collate(values, Frame(), ())).files()


def field_of(name: str) -> Field:
    """Return the field of a key; a plain one if no plugin offers it.

    Raises:
        AmbiguousComponent: If two plugins offer it.
        BrokenComponent: If its code cannot be imported.
    """
    return _field_of(name, default_registry())


@cache
def _field_of(name: str, registry: Registry) -> Field:
    field = Field()
    if name in _OF_IMAGES:
        field = load_target(f"gvt.data.image_fields:{name.title()}", f"field {name!r}")()
    elif target := registry.targets("gvt_fields").get(name):
        field = target.load()()
    return field
