"""Reading and writing checkpoints, so that there is always a whole one."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_bytes
from safetensors.torch import save_file
from torch import Tensor

from gvt.atomic import replacing
from gvt.checkpoint.document import FORMAT_VERSION, TensorTable, read_header, to_metadata
from gvt.errors import CheckpointError

_DTYPE_NAMES = {
    torch.bool: "BOOL", torch.uint8: "U8", torch.int8: "I8", torch.int16: "I16",
    torch.int32: "I32", torch.int64: "I64", torch.float16: "F16", torch.bfloat16: "BF16",
    torch.float32: "F32", torch.float64: "F64", torch.complex64: "C64",
}  # fmt: skip


def save(path: Path, tensors: Mapping[str, Tensor], document: Mapping[str, Any]) -> None:
    """Write a checkpoint; until it stands on disk, whole, the previous one stays.

    Args:
        path: Where to; its folder exists.
        tensors: By readable name. Tensors that share memory are written once.
        document: Plain data; `format`, `gvt` and `aliases` are added.

    Raises:
        CheckpointError: If it cannot be written, as on a full disk.
    """
    unique, aliases = _without_twins(tensors)
    copies = {
        name: tensor.detach().to("cpu", copy=True, memory_format=torch.contiguous_format)
        for name, tensor in unique.items()
    }
    table: TensorTable = {n: (_dtype(n, t), tuple(t.shape)) for n, t in copies.items()}
    written_by = {"format": FORMAT_VERSION, "gvt": version("gvt")}
    metadata = to_metadata({**written_by, **document, "aliases": aliases}, table)
    with _replacing(path) as temporary:
        save_file(copies, temporary, metadata)


def load(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Return a checkpoint's document and its tensors, on the CPU.

    Raises:
        CheckpointError: If it is missing, truncated, damaged, or of a newer format.
    """
    header = read_header(path)
    try:
        # Not load_file: its tensors map the file, which Windows then does not let be replaced.
        tensors = load_bytes(path.read_bytes())
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(f"{path}: damaged: {error}") from error
    document = dict(header.document)
    for alias, name in document.pop("aliases", {}).items():
        tensors[alias] = tensors[name]
    return document, tensors


def copy(source: Path, target: Path) -> None:
    """Copy a checkpoint, so that `target` is at every moment absent, the old one or the new one."""
    with _replacing(target) as temporary:
        shutil.copyfile(source, temporary)


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
def _replacing(path: Path) -> Iterator[Path]:
    try:
        with replacing(path) as temporary:
            yield temporary
    except (OSError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise CheckpointError(
            f"{path}: cannot be written: {reason}; the previous checkpoint, if any, is untouched"
        ) from error


def _dtype(name: str, tensor: Tensor) -> str:
    if tensor.dtype not in _DTYPE_NAMES:
        raise CheckpointError(f"tensor {name!r} is {tensor.dtype}, which no checkpoint can hold")
    return _DTYPE_NAMES[tensor.dtype]
