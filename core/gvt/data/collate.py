"""Collation of samples to a batch, on the CPU."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from gvt.batch import Batch, Frame, Sample, Targets
from gvt.errors import DataError
from gvt.fields import field_of


def collate(samples: Sequence[Sample]) -> Batch:
    """Return a batch, each key collated by its field; images are padded to the largest sides.

    Raises:
        DataError: If a field cannot be collated, such as images that differ in their number of
            channels, or a dense input is missing from some samples.
    """
    frame, records = _frame(samples), [s.record for s in samples]
    inputs, dense, ragged, present = dict[str, Any](), dict[str, Tensor](), dict[str, Any](), {}
    for key, values in _by_key(s.inputs for s in samples):
        field = field_of(key)
        lacking = [r.source for r, v in zip(records, values, strict=True) if v is None]
        if lacking and field.is_dense:
            raise DataError(f"{lacking[0]} has no {key}, and other samples of its batch have one")
        inputs[key] = field.collate(values, frame, records)
    for key, values in _by_key(s.targets for s in samples):
        field = field_of(key)
        group = dense if field.is_dense else ragged
        group[key] = field.collate(values, frame, records)
        mask = torch.tensor([v is not None for v in values])
        if not mask.all():
            present[key] = mask
    return Batch(inputs, frame, Targets(dense, ragged, present), records)


def _frame(samples: Sequence[Sample]) -> Frame:
    """Return the sizes of the images of samples; none for samples without images."""
    images = [image for s in samples if (image := s.inputs.get("image")) is not None]
    sizes = tuple((int(image.shape[-2]), int(image.shape[-1])) for image in images)
    return Frame(sizes, (max(h for h, _ in sizes), max(w for _, w in sizes))) if sizes else Frame()


def _by_key(mappings: Iterable[Mapping[str, Any]]) -> Iterable[tuple[str, list[Any]]]:
    """Yield each key of several mappings, in the order of appearance, with all values."""
    rows = list(mappings)
    for key in dict.fromkeys(key for row in rows for key in row):
        yield key, [row.get(key) for row in rows]
