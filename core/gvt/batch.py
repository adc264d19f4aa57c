"""What goes through a task: samples, their targets, and batches of them.

Images are float32 in [0, 1], NCHW. Boxes are (M, 4) xyxy in pixels. `class`, `labels` and
`semantic` count from 0 over the data set's class names, with no background entry; in `semantic`
255 is ignored and, where the data set has a background, `len(classes)` is a pixel of no class.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

IGNORED = 255
"""What `semantic` says of a pixel that counts nowhere."""

DENSE_KEYS = frozenset({"class", "semantic"})
"""Targets that stack to one tensor a batch; all others are ragged and stay lists."""


@dataclass(frozen=True)
class Record:
    """Where a sample came from and what was done to its geometry.

    Attributes:
        source: A file name, or the split and index in a data set: what an error message names.
        size: Height and width of the original image in pixels.
        geometry: (3, 3) float64 matrix from original to canvas pixel coordinates (x, y, 1).
            None where it is not known to be affine, as after random augmentation.
        mode: The file's own colour mode, as Pillow names it: `L`, `RGB`, `I;16`, `CMYK`.
        id: Its number among the images of a COCO file.
        part: Which data set it is of, where several are mixed.
        truth: Returns the targets in pixels of the original image, where those of the canvas say
            less: masks that were made smaller, what a crop lost, and objects that count neither
            way, which `ignored` (M,) bool marks. For evaluation only.
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
        targets: What is known of it, by torchvision's keys; a missing key is unlabelled.
        record: Its origin.
        inputs: What a network may see besides the image.
    """

    image: Tensor
    targets: Mapping[str, Any]
    record: Record
    inputs: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Frame:
    """Sizes in pixels: `sizes` unpadded (H, W) of each image, `canvas` padded (H, W) of all."""

    sizes: tuple[tuple[int, int], ...]
    canvas: tuple[int, int]


@dataclass(frozen=True)
class Targets:
    """The truth of a batch.

    Attributes:
        dense: Keys that stack: `class` (N,), `semantic` (N, H, W) with 255 for ignore. Rows of
            samples without the key hold a filler that nobody may read. Where training mixes
            pictures (MixUp, CutMix), `class` is their shares of the classes, (N, K) float32.
        ragged: Keys of varying length, one entry a sample: `boxes` (M, 4), `labels` (M,),
            `masks` (M, H, W). Empty is (0, 4); None means that the sample lacks the key.
        present: Of each key who has it, (N,) bool on the CPU; a key not listed all have.
    """

    dense: Mapping[str, Tensor]
    ragged: Mapping[str, Sequence[Tensor | None]] = field(default_factory=dict)
    present: Mapping[str, Tensor] = field(default_factory=dict)

    def __getitem__(self, key: str) -> Any:
        return self.dense[key] if key in self.dense else self.ragged[key]

    def __contains__(self, key: object) -> bool:
        return key in self.dense or key in self.ragged

    def rows_with(self, keys: Iterable[str], count: int) -> Tensor | None:
        """Return the rows, (K,) int64, of the samples that have all keys; None means all do."""
        has = torch.ones(count, dtype=torch.bool)
        for key in keys:
            if key not in self:
                return torch.zeros(0, dtype=torch.int64)
            has &= self.present.get(key, has)
        return None if bool(has.all()) else has.nonzero().flatten()

    def per_image(self, count: int) -> list[dict[str, Any]]:
        """Return one dict an image, with the keys that the image has."""
        images: list[dict[str, Any]] = [{} for _ in range(count)]
        for key in (*self.dense, *self.ragged):
            has = self.present.get(key)
            for index, value in enumerate(self[key]):
                if value is not None and (has is None or has[index]):
                    images[index][key] = value
        return images


@dataclass(frozen=True)
class Batch:
    """What a task is given.

    Attributes:
        images: (N, C, H, W) float32 in [0, 1], padded at the right and the bottom with zeros.
        frame: The sizes before and after padding.
        inputs: What a network may see besides the images: proposals, a question. Of samples
            without it the entry is None.
        targets: The truth; None at prediction time.
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
        """Return it with its images in page-locked memory; DataLoader asks for this on CUDA."""
        return replace(self, images=self.images.pin_memory())

    def select(self, rows: Tensor) -> Batch:
        """Return the batch of these rows, (K,) int64 on the CPU, in their order."""
        keep = rows.tolist()
        on_device = rows.to(self.images.device)

        def pick(value: Any) -> Any:
            if isinstance(value, Tensor):
                return value[rows.to(value.device)]
            return [value[i] for i in keep] if isinstance(value, Sequence) else value

        targets = self.targets and Targets(
            dense={k: pick(v) for k, v in self.targets.dense.items()},
            ragged={k: pick(v) for k, v in self.targets.ragged.items()},
            present={k: pick(v) for k, v in self.targets.present.items()},
        )
        return Batch(
            images=self.images[on_device],
            frame=Frame(tuple(self.frame.sizes[i] for i in keep), self.frame.canvas),
            inputs={k: pick(v) for k, v in self.inputs.items()},
            targets=targets,
            records=[self.records[i] for i in keep] if self.records else (),
        )
