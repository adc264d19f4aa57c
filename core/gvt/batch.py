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

from gvt.errors import DataError

IGNORED = 255
"""Value of ignored pixels in `semantic`."""


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
    """One item of a data set. Its keys are fields; see `gvt.fields`.

    Attributes:
        inputs: Inputs of the model by field, such as `image`, (C, H, W) uint8 or float in [0, 1].
        targets: Labels by field, with torchvision's keys; a missing key means unlabelled.
        record: Origin and geometry.
    """

    inputs: Mapping[str, Any]
    targets: Mapping[str, Any]
    record: Record

    @property
    def image(self) -> Tensor:
        """The input `image`, (C, H, W).

        Raises:
            DataError: If the sample has no image.
        """
        return _image(self.inputs, self.record.source)


@dataclass(frozen=True)
class Frame:
    """Sizes of the images of a batch in pixels.

    Attributes:
        sizes: (H, W) of each image without padding; empty for samples without images. A single
            size is that of all images in a deployed model, where their number is a symbol.
        canvas: (H, W) of all images with padding.
    """

    sizes: tuple[tuple[int, int], ...] = ()
    canvas: tuple[int, int] = (0, 0)

    @classmethod
    def of(cls, images: Tensor) -> Frame:
        """Return the sizes of images (N, C, H, W) without padding."""
        canvas = (int(images.shape[-2]), int(images.shape[-1]))
        return cls((canvas,) * len(images), canvas)


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
    """A batch, the input of a task. Its keys are fields; see `gvt.fields`.

    Attributes:
        inputs: Inputs of the model by field: `image`, (N, C, H, W) float32 in [0, 1], padded with
            zeros at the right and the bottom, `tokens`, `proposals`. In a list, the entry of a
            sample without the input is None.
        frame: Sizes of images without and with padding.
        targets: The targets; None for prediction.
        records: Origin and geometry of each sample.
    """

    inputs: Mapping[str, Any]
    frame: Frame = Frame()
    targets: Targets | None = None
    records: Sequence[Record] = ()

    @classmethod
    def of_images(cls, images: Tensor, targets: Targets | None = None) -> Batch:
        """Return a batch of images (N, C, H, W) without padding."""
        return cls({"image": images}, Frame.of(images), targets)

    def __len__(self) -> int:
        return len(next(iter(self.inputs.values()), self.records))

    @property
    def images(self) -> Tensor:
        """The input `image`, (N, C, H, W).

        Raises:
            DataError: If the batch has no images.
        """
        return _image(self.inputs, "the batch")

    def pin_memory(self) -> Batch:
        """Return the batch with its inputs in page-locked memory; DataLoader calls it for CUDA."""
        pinned = {k: v.pin_memory() if isinstance(v, Tensor) else v for k, v in self.inputs.items()}
        return replace(self, inputs=pinned)

    def select(self, rows: Tensor) -> Batch:
        """Return the batch of some rows, (K,) int64 on the CPU, in their order."""
        indices = rows.tolist()

        def pick(value: Any) -> Any:
            if isinstance(value, Mapping):
                return {key: pick(of_key) for key, of_key in value.items()}
            if isinstance(value, Tensor):
                return value[rows.to(value.device)]
            return [value[i] for i in indices] if isinstance(value, Sequence) and value else value

        return Batch(
            inputs=pick(self.inputs),
            frame=Frame(tuple(pick(self.frame.sizes)), self.frame.canvas),
            targets=self.targets and Targets(**pick(vars(self.targets))),
            records=pick(self.records),
        )


def _image(inputs: Mapping[str, Any], source: str) -> Tensor:
    if "image" not in inputs:
        raise DataError(f"{source} has no image; its inputs are {', '.join(inputs) or 'none'}")
    return inputs["image"]  # type: ignore[no-any-return]
