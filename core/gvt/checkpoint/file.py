"""Read and write checkpoints; a complete one exists at every moment."""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gvt.checkpoint.document import (
    FORMAT_VERSION,
    TensorTable,
    check_hash,
    check_writable,
    damage_error,
    header_bytes,
    in_file_order,
    open_checked,
)
from gvt.device.sharding import local, whole
from gvt.errors import CheckpointError
from gvt.files import NotSyncedError, open_regular, replacing

_DTYPES = {
    "BOOL": torch.bool, "U8": torch.uint8, "I8": torch.int8, "I16": torch.int16,
    "I32": torch.int32, "I64": torch.int64, "F16": torch.float16, "BF16": torch.bfloat16,
    "F32": torch.float32, "F64": torch.float64, "C64": torch.complex64,
}  # fmt: skip
_DTYPE_NAMES = {dtype: name for name, dtype in _DTYPES.items()}


def save(path: Path | None, tensors: Mapping[str, Tensor], document: Mapping[str, Any]) -> None:
    """Write a checkpoint. The previous file is kept until the new one is complete on disk.

    If tensors are sharded, all processes call it, and gather them one by one.

    Args:
        path: The file, in an existing folder; None in a process that only gathers.
        tensors: Tensors by name. Those that share memory are written once.
        document: Plain data; `format`, `gvt` and `aliases` are added.

    Raises:
        CheckpointError: If it cannot be written, such as on a full disk.
    """
    unique, aliases = _split_aliases(tensors)
    table = {name: (_dtype(name, t), tuple(t.shape)) for name, t in unique.items()}
    if path is not None:
        write(path, table, lambda n: whole(unique[n]), {**document, "aliases": aliases})
    else:
        for name in in_file_order(table):
            whole(unique[name])


def write(
    path: Path, table: TensorTable, produce: Callable[[str], Tensor], document: Mapping[str, Any]
) -> None:
    """Write a checkpoint whose tensors are produced one at a time, each once.

    Besides the memory of the model, that of the largest tensor is needed.

    Args:
        path: The file, in an existing folder.
        table: Dtype and shape of each tensor.
        produce: Returns the tensor of a name, on any device.
        document: Plain data; `format` and `gvt` are added.

    Raises:
        CheckpointError: If it cannot be written, or a tensor does not match the table.
    """
    document = {**document, "format": FORMAT_VERSION, "gvt": version("gvt")}
    digest = hashlib.sha256()
    with explained_errors(path), replacing(path) as file:
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
                    f"{tuple(tensor.shape)}, but should be {table[name]}"
                )
            data = _data(tensor.to("cpu", memory_format=torch.contiguous_format))
            digest.update(data)
            file.write(data)
        file.seek(0)
        file.write(header_bytes(document, table, digest.hexdigest()))


def load(path: Path, *, of_run: bool = False) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Return the document of a checkpoint, and its tensors on the CPU.

    Args:
        path: The file.
        of_run: Whether it has to be the checkpoint of a recipe's run, not of weights alone.

    Raises:
        CheckpointError: If it is missing, truncated, damaged, or of a newer format.
    """
    digest = hashlib.sha256()
    tensors: dict[str, Tensor] = {}
    with open_checked(path, of_run=of_run) as (file, header):
        for name, (dtype, shape) in header.tensors.items():
            try:
                tensor = torch.empty(shape, dtype=_DTYPES[dtype])
            except RuntimeError as error:  # there is not enough memory
                raise CheckpointError(
                    f"{path}: not enough memory for tensor {name!r}, {dtype} {shape}"
                ) from error
            data = _data(tensor)
            if file.readinto(data) != len(data):
                raise damage_error(path, "truncated while it was read")
            digest.update(data)
            tensors[name] = tensor
    check_hash(path, header, digest.hexdigest())
    document = dict(header.document)
    for alias, name in document.pop("aliases", {}).items():
        tensors[alias] = tensors[name]
    return document, _renamed(document, tensors)


def _renamed(document: Mapping[str, Any], tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors of a checkpoint by the names that they have today.

    Logarithms of variances belonged to the task `heads`, and belong to its weighting.
    """
    config = document.get("config")
    task = config.get("task") if isinstance(config, dict) else None
    if isinstance(task, dict) and task.get("name") == "heads":
        before = re.compile(r"^(task|ema|optimizer/[^/]+)/(log_variances\.)")
        return {before.sub(r"\1/weighting.\2", n): t for n, t in tensors.items()}
    return tensors


def copy(source: Path, target: Path) -> None:
    """Copy a checkpoint. At every moment `target` is absent, the old file, or the new one."""
    with explained_errors(target), replacing(target) as file, open_regular(source) as content:
        shutil.copyfileobj(content, file, 1 << 20)


def _data(tensor: Tensor) -> memoryview:
    """Return the memory of a contiguous tensor on the CPU."""
    return tensor.reshape(-1).view(torch.uint8).numpy().data


def _split_aliases(tensors: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Return tensors of distinct memory, and further names with the name of the same tensor."""
    aliases: dict[str, str] = {}
    names: dict[Any, str] = {}
    for name, tensor in tensors.items():
        part = local(tensor)
        # Not `data_ptr`, which is 0 in a process whose part is empty.
        start = (part.untyped_storage().data_ptr(), part.storage_offset())
        memory = (start, tensor.dtype, tensor.shape, tensor.stride(), tensor.device)
        first = names.setdefault(memory, name) if start[0] else name
        if first != name:
            aliases[name] = first
    return {n: t for n, t in tensors.items() if n not in aliases}, aliases


@contextmanager
def explained_errors(path: Path) -> Iterator[None]:
    """Raise a CheckpointError instead of an OSError inside, for writing at a path."""
    try:
        yield
    except NotSyncedError as error:
        raise CheckpointError(
            f"{path}: written, but its folder could not be synced to the disk: {error.strerror}; "
            "after a power failure the previous file may be back"
        ) from error
    except OSError as error:
        where = "" if error.filename in (None, str(path)) else f"{error.filename}: "
        raise CheckpointError(
            f"{path}: cannot be written: {where}{error.strerror or error}; the previous "
            "checkpoint, if any, is unchanged"
        ) from error


def _dtype(name: str, tensor: Tensor) -> str:
    if tensor.dtype not in _DTYPE_NAMES:
        raise CheckpointError(
            f"tensor {name!r} is {tensor.dtype}, which checkpoints do not support"
        )
    return _DTYPE_NAMES[tensor.dtype]
