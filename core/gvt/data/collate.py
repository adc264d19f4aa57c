"""Collation of samples to a batch, on the CPU."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from gvt.batch import DENSE_KEYS, IGNORED, Batch, Frame, Sample, Targets
from gvt.errors import DataError

FILLERS = {"class": 0, "semantic": IGNORED}


def collate(samples: Sequence[Sample]) -> Batch:
    """Return a batch whose images are padded to the largest height and width.

    Images keep their dtype: copying uint8 to the device costs a quarter of copying float32.

    Raises:
        DataError: If images differ in their number of channels; the message names two of them.
    """
    images = alike(samples)
    sizes = tuple((int(i.shape[-2]), int(i.shape[-1])) for i in images)
    canvas = (max(h for h, _ in sizes), max(w for _, w in sizes))
    return Batch(
        images=torch.stack([_padded(i, canvas, 0) for i in images]),
        frame=Frame(sizes, canvas),
        inputs={k: [s.inputs.get(k) for s in samples] for k in _keys(s.inputs for s in samples)},
        targets=_targets(samples, canvas),
        records=[s.record for s in samples],
    )


def alike(samples: Sequence[Sample]) -> list[Tensor]:
    """Return the images of samples in a common dtype; float32 if their dtypes differ.

    Raises:
        DataError: If images differ in their number of channels; the message names two of them.
    """
    images, first = [s.image for s in samples], samples[0]
    for sample in samples:
        if sample.image.shape[0] != first.image.shape[0]:
            raise DataError(
                f"{sample.record.source} has {sample.image.shape[0]} channels, "
                f"{first.record.source} has {first.image.shape[0]}"
            )
    if len({i.dtype for i in images}) > 1:
        images = [i.float() / 255 if i.dtype == torch.uint8 else i for i in images]
    return images


def _targets(samples: Sequence[Sample], canvas: tuple[int, int]) -> Targets:
    dense: dict[str, Tensor] = {}
    ragged: dict[str, list[Any]] = {}
    present: dict[str, Tensor] = {}
    for key in _keys(s.targets for s in samples):
        values = [s.targets.get(key) for s in samples]
        mask = torch.tensor([v is not None for v in values])
        if not mask.all():
            present[key] = mask
        if key in DENSE_KEYS:
            dense[key] = torch.stack([_dense(key, v, canvas) for v in values])
        else:
            ragged[key] = [_ragged(key, v, canvas) for v in values]
    return Targets(dense, ragged, present)


def _keys(mappings: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the union of the keys of several mappings, in the order of their appearance."""
    return list(dict.fromkeys(key for mapping in mappings for key in mapping))


def _dense(key: str, value: Any, canvas: tuple[int, int]) -> Tensor:
    filler = FILLERS[key]
    if key == "semantic":
        if value is None:
            return torch.full(canvas, filler, dtype=torch.int64)
        return _padded(torch.as_tensor(value).long(), canvas, filler)
    return torch.as_tensor(filler if value is None else value, dtype=torch.int64)


def _ragged(key: str, value: Any, canvas: tuple[int, int]) -> Any:
    return _padded(value, canvas, 0) if key == "masks" and value is not None else value


def _padded(tensor: Tensor, canvas: tuple[int, int], filler: int) -> Tensor:
    """Return (..., H, W) padded at the bottom and the right."""
    bottom, right = canvas[0] - tensor.shape[-2], canvas[1] - tensor.shape[-1]
    return F.pad(tensor, (0, right, 0, bottom), value=filler) if bottom or right else tensor
