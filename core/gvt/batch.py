"""Samples, targets and batches.

Images are float32 in [0, 1], NCHW. Boxes are (M, 4) xyxy in pixels. `class`, `labels` and
`semantic` are indices of the class names of the data set, which do not include a background. In
`semantic`, 255 is ignored and, if the data set has a background, `len(classes)` is background.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

IGNORED = 255
"""Value of ignored pixels in `semantic`."""

DENSE_KEYS = frozenset({"class", "semantic"})
"""Targets that are stacked to one tensor per batch; all others are ragged, and lists."""


@dataclass(frozen=True)
class Record:
    """Origin and geometry of a sample.

    Attributes:
        source: File name, or split and index in a data set, for error messages.
        size: Height and width of the original image in pixels.
        geometry: (3, 3) float64 matrix from original to canvas pixel coordinates (x, y, 1);
            None if it may not be affine, such as after random augmentation.
        mode: Colour mode of the file, as Pillow names it: `L`, `RGB`, `I;16`, `CMYK`.
        id: Image ID in a COCO file.
        part: Name of its data set among mixed ones.
        truth: Returns the targets in pixels of the original image, for evaluation, if those of the
            canvas are incomplete: masks that were reduced, objects that a crop lost, and objects
            that are not evaluated, which `ignored` (M,) bool marks.
    """

    source: str
    size: tuple[int, int]
    geometry: Tensor | None = field(default_factory=lambda: torch.eye(3, dtype=torch.float64))
    mode: str | None = None
    id: int | None = None
    part: str | None = None
    truth: Callable[[], Mapping[str, Any]] | None = None


@dataclass(frozen=True)
class Sample:
    """One item of a data set.

    Attributes:
        image: (C, H, W), uint8 or float in [0, 1].
        targets: Labels, by torchvision's keys; a missing key means unlabelled.
        record: Origin and geometry.
        inputs: Inputs of the model besides the image.
    """

    image: Tensor
    targets: Mapping[str, Any]
    record: Record
    inputs: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Frame:
    """Sizes of the images of a batch in pixels.

    Attributes:
        sizes: (H, W) of each image without padding.
        canvas: (H, W) of all images with padding.
    """

    sizes: tuple[tuple[int, int], ...]
    canvas: tuple[int, int]


@dataclass(frozen=True)
class Targets:
    """The targets of a batch.

    Attributes:
        dense: Stacked targets: `class` (N,), `semantic` (N, H, W) with 255 for ignored pixels.
            Rows of samples without the key are fillers and must not be read. With MixUp and
            CutMix, `class` is (N, K) float32, the shares of the classes.
        ragged: Targets of varying length, one entry per sample: `boxes` (M, 4), `labels` (M,),
            `masks` (M, H, W). No boxes are (0, 4); None means that the sample lacks the key.
        present: Whether each sample has a key, (N,) bool on the CPU, by key. All samples have a
            key that is not listed.
    """

    dense: Mapping[str, Tensor]
    ragged: Mapping[str, Sequence[Tensor | None]] = field(default_factory=dict)
    present: Mapping[str, Tensor] = field(default_factory=dict)

    def __getitem__(self, key: str) -> Any:
        return self.dense[key] if key in self.dense else self.ragged[key]

    def __contains__(self, key: object) -> bool:
        return key in self.dense or key in self.ragged

    def rows_with(self, keys: Iterable[str], count: int) -> Tensor | None:
        """Return the rows, (K,) int64, of the samples that have all keys; None if all have them."""
        has = torch.ones(count, dtype=torch.bool)
        for key in keys:
            if key not in self:
                return torch.zeros(0, dtype=torch.int64)
            has &= self.present.get(key, has)
        return None if bool(has.all()) else has.nonzero().flatten()

    def per_image(self, count: int) -> list[dict[str, Any]]:
        """Return one dict per image, with the keys that the image has."""
        images: list[dict[str, Any]] = [{} for _ in range(count)]
        for key in (*self.dense, *self.ragged):
            has = self.present.get(key)
            for index, value in enumerate(self[key]):
                if value is not None and (has is None or has[index]):
                    images[index][key] = value
        return images


@dataclass(frozen=True)
class Batch:
    """A batch, the input of a task.

    Attributes:
        images: (N, C, H, W) float32 in [0, 1], padded with zeros at the right and the bottom.
        frame: Sizes without and with padding.
        inputs: Inputs of the model besides the images, such as proposals or a question. The
            entry of a sample without the input is None.
        targets: The targets; None for prediction.
        records: Origin and geometry of each image.
    """

    images: Tensor
    frame: Frame
    inputs: Mapping[str, Any] = field(default_factory=dict)
    targets: Targets | None = None
    records: Sequence[Record] = ()

    def __len__(self) -> int:
        return self.images.shape[0]

    def pin_memory(self) -> Batch:
        """Return the batch with its images in page-locked memory; called by DataLoader for CUDA."""
        return replace(self, images=self.images.pin_memory())

    def select(self, rows: Tensor) -> Batch:
        """Return the batch of some rows, (K,) int64 on the CPU, in their order."""
        indices = rows.tolist()

        def pick(value: Any) -> Any:
            if isinstance(value, Mapping):
                return {key: pick(of_key) for key, of_key in value.items()}
            if isinstance(value, Tensor):
                return value[rows.to(value.device)]
            return [value[i] for i in indices] if isinstance(value, Sequence) else value

        return Batch(
            images=pick(self.images),
            frame=Frame(tuple(pick(self.frame.sizes)), self.frame.canvas),
            inputs=pick(self.inputs),
            targets=self.targets and Targets(**pick(vars(self.targets))),
            records=pick(self.records) if self.records else (),
        )
