"""Reading and writing checkpoints, so that there is always a whole one."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from io import BufferedRandom
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gvt.checkpoint.document import (
    FORMAT_VERSION,
    TensorTable,
    check_hash,
    check_writable,
    damaged,
    header_bytes,
    in_file_order,
    opened,
)
from gvt.errors import CheckpointError
from gvt.files import NotSyncedError, open_regular, replacing

_DTYPES = {
    "BOOL": torch.bool, "U8": torch.uint8, "I8": torch.int8, "I16": torch.int16,
    "I32": torch.int32, "I64": torch.int64, "F16": torch.float16, "BF16": torch.bfloat16,
    "F32": torch.float32, "F64": torch.float64, "C64": torch.complex64,
}  # fmt: skip
_DTYPE_NAMES = {dtype: name for name, dtype in _DTYPES.items()}


def save(path: Path, tensors: Mapping[str, Tensor], document: Mapping[str, Any]) -> None:
    """Write a checkpoint; until it is on disk, complete, the previous one stays.

    Args:
        path: Where to; its folder exists.
        tensors: By readable name. Tensors that share memory are written once.
        document: Plain data; `format`, `gvt` and `aliases` are added.

    Raises:
        CheckpointError: If it cannot be written, as on a full disk.
    """
    unique, aliases = _without_twins(tensors)
    table = {name: (_dtype(name, t), tuple(t.shape)) for name, t in unique.items()}
    write(path, table, unique.__getitem__, {**document, "aliases": aliases})


def write(
    path: Path,
    table: TensorTable,
    produce: Callable[[str], Tensor],
    document: Mapping[str, Any],
) -> None:
    """Write a checkpoint whose tensors are handed out one at a time, each once.

    No tensor is kept, so the memory needed besides the model's own is that of the largest one.

    Args:
        path: Where to; its folder exists.
        table: Dtype and shape of each tensor.
        produce: Returns the tensor of a name, on any device.
        document: Plain data; `format` and `gvt` are added.

    Raises:
        CheckpointError: If it cannot be written, or a tensor is not what the table says.
    """
    document = {**document, "format": FORMAT_VERSION, "gvt": version("gvt")}
    digest = hashlib.sha256()
    with _replacing(path) as file:
        try:
            check_writable(document, table)
            file.write(header_bytes(document, table))
        except (TypeError, ValueError) as error:
            raise CheckpointError(f"{path}: cannot be written: {error}") from error
        for name in in_file_order(table):
            tensor = produce(name).detach()
            if (_dtype(name, tensor), tuple(tensor.shape)) != table[name]:
                raise CheckpointError(
                    f"{path}: cannot be written: tensor {name!r} is {tensor.dtype} "
                    f"{tuple(tensor.shape)}, and was announced as {table[name]}"
                )
            data = _data(tensor.to("cpu", memory_format=torch.contiguous_format))
            digest.update(data)
            file.write(data)
        file.seek(0)
        file.write(header_bytes(document, table, digest.hexdigest()))


def load(path: Path, *, of_run: bool = False) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Return a checkpoint's document and its tensors, on the CPU.

    Args:
        path: The file.
        of_run: Whether it has to describe the run of a recipe, and not weights alone.

    Raises:
        CheckpointError: If it is missing, truncated, damaged, or of a newer format.
    """
    digest = hashlib.sha256()
    tensors: dict[str, Tensor] = {}
    with opened(path, of_run=of_run) as (file, header):
        for name, (dtype, shape) in header.tensors.items():
            try:
                tensor = torch.empty(shape, dtype=_DTYPES[dtype])
            except RuntimeError as error:  # more memory than there is, or than can be addressed
                raise CheckpointError(
                    f"{path}: tensor {name!r}, {dtype} {shape}: no memory for it"
                ) from error
            data = _data(tensor)
            if file.readinto(data) != len(data):
                raise damaged(path, "truncated while it was read")
            digest.update(data)
            tensors[name] = tensor
    check_hash(path, header, digest.hexdigest())
    document = dict(header.document)
    for alias, name in document.pop("aliases", {}).items():
        tensors[alias] = tensors[name]
    return document, tensors


def copy(source: Path, target: Path) -> None:
    """Copy a checkpoint, so that `target` is at every moment absent, the old one or the new one."""
    with _replacing(target) as file, open_regular(source) as content:
        shutil.copyfileobj(content, file, 1 << 20)


def _data(tensor: Tensor) -> memoryview:
    """Return the memory of a contiguous tensor on the CPU."""
    data: np.ndarray[Any, np.dtype[np.uint8]] = tensor.reshape(-1).view(torch.uint8).numpy()
    return data.data


def _without_twins(tensors: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Return tensors of distinct memory, and of each further name whose twin it is."""
    unique: dict[str, Tensor] = {}
    aliases: dict[str, str] = {}
    seen: dict[Any, str] = {}
    for name, tensor in tensors.items():
        memory = (tensor.data_ptr(), tensor.dtype, tensor.shape, tensor.stride(), tensor.device)
        if tensor.numel() and memory in seen:
            aliases[name] = seen[memory]
        else:
            seen[memory] = name
            unique[name] = tensor
    return unique, aliases


@contextmanager
def _replacing(path: Path) -> Iterator[BufferedRandom]:
    try:
        with replacing(path) as file:
            yield file
    except NotSyncedError as error:
        raise CheckpointError(
            f"{path}: is written, and its folder could not be synced to the disk: "
            f"{error.strerror}; a power failure may still bring the previous one back"
        ) from error
    except OSError as error:
        reason = error.strerror or str(error)
        raise CheckpointError(
            f"{path}: cannot be written: {reason}; the previous checkpoint, if any, is untouched"
        ) from error


def _dtype(name: str, tensor: Tensor) -> str:
    if tensor.dtype not in _DTYPE_NAMES:
        raise CheckpointError(f"tensor {name!r} is {tensor.dtype}, which no checkpoint can hold")
    return _DTYPE_NAMES[tensor.dtype]
