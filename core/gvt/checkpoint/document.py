"""What a checkpoint says of itself, read and checked without torch."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gvt.errors import CheckpointError

FORMAT_VERSION = 1
METADATA_KEY = "gvt"
MAX_HEADER_BYTES = 100_000_000  # safetensors' own limit
_ITEM_BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8, "I16": 16, "U16": 16, "F16": 16,
    "BF16": 16, "I32": 32, "U32": 32, "F32": 32, "I64": 64, "U64": 64, "F64": 64, "C64": 64,
}  # fmt: skip

TensorTable = Mapping[str, tuple[str, tuple[int, ...]]]
"""Of each tensor its dtype, as safetensors names it, and its shape."""


@dataclass(frozen=True)
class Header:
    """A checkpoint without its tensors' values."""

    document: Mapping[str, Any]
    tensors: TensorTable


def to_metadata(document: Mapping[str, Any], tensors: TensorTable) -> dict[str, str]:
    """Return the safetensors metadata: the document with a hash over itself and the table."""
    return {METADATA_KEY: _text({**document, "sha256": _digest(document, tensors)})}


def read_header(path: Path) -> Header:
    """Read and check everything but the tensors' values.

    Raises:
        CheckpointError: If the file is missing, truncated, damaged, no checkpoint of gvt, or of
            a newer format.
    """
    entries, data_bytes = _read_table(path)
    metadata = entries.pop("__metadata__", None)
    tensors = {name: _entry(path, name, value) for name, value in entries.items()}
    _check_tiling(path, (value["data_offsets"] for value in entries.values()), data_bytes)
    if not isinstance(metadata, dict) or METADATA_KEY not in metadata:
        raise CheckpointError(f"{path}: a safetensors file, but no checkpoint of gvt")
    document = _json(path, metadata[METADATA_KEY])
    # As text, too: an escape such as \u00fc has two spellings, and only one was written.
    intact = metadata[METADATA_KEY] == _text(document)
    digest = document.pop("sha256", None)
    if not intact or digest != _digest(document, tensors):
        raise _damaged(path, "its header does not match its checksum")
    version = document.get("format")
    if not isinstance(version, int) or version > FORMAT_VERSION:
        raise CheckpointError(
            f"{path}: written in checkpoint format {version} by gvt {document.get('gvt')}; this "
            f"gvt reads up to format {FORMAT_VERSION}: pip install -U gvt"
        )
    return Header(document, tensors)


def _read_table(path: Path) -> tuple[dict[str, Any], int]:
    """Return the safetensors header as it stands, and the number of bytes behind it."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if size < 8 or length > min(MAX_HEADER_BYTES, size - 8):
                raise CheckpointError(
                    f"{path}: no checkpoint: no safetensors file, or a truncated one ({size} bytes)"
                )
            text = file.read(length)
    except FileNotFoundError as error:
        raise CheckpointError(f"no checkpoint {str(path)!r}") from error
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read: {error.strerror}") from error
    try:
        entries = _json(path, text.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise _damaged(path, "its header is no text") from error
    return entries, size - 8 - length


def _entry(path: Path, name: str, value: Any) -> tuple[str, tuple[int, ...]]:
    try:
        dtype, shape = value["dtype"], tuple(value["shape"])
        begin, end = value["data_offsets"]
        bits = _ITEM_BITS[dtype] * math.prod(shape)
        sound = all(type(n) is int and n >= 0 for n in (*shape, begin, end))
    except (KeyError, TypeError, ValueError) as error:
        raise _damaged(path, f"the entry of tensor {name!r} is malformed") from error
    if not sound or bits != (end - begin) * 8:
        raise _damaged(path, f"the size of tensor {name!r} does not match its shape")
    return dtype, shape


def _check_tiling(path: Path, offsets: Iterable[Any], data_bytes: int) -> None:
    position = 0
    for begin, end in sorted(tuple(pair) for pair in offsets):
        if begin != position:
            raise _damaged(path, "its tensors overlap or leave a gap")
        position = end
    if position > data_bytes:
        raise _damaged(path, f"truncated, {position - data_bytes} bytes are missing at its end")
    if position < data_bytes:
        raise _damaged(path, f"{data_bytes - position} bytes too many at its end")


def _digest(document: Mapping[str, Any], tensors: TensorTable) -> str:
    # Offsets need no hash: they have to tile the data without a gap.
    table = sorted((name, dtype, list(shape)) for name, (dtype, shape) in tensors.items())
    text = json.dumps([document, table], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _text(document: Mapping[str, Any]) -> str:
    return json.dumps(document, ensure_ascii=False)


def _json(path: Path, text: Any) -> dict[str, Any]:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            raise ValueError("a key stands twice")
        return found

    try:
        value = json.loads(text, object_pairs_hook=unique)
    except (ValueError, TypeError, RecursionError) as error:
        raise _damaged(path, "its header is no JSON") from error
    if not isinstance(value, dict):
        raise _damaged(path, "its header is no JSON object")
    return value


def _damaged(path: Path, why: str) -> CheckpointError:
    return CheckpointError(f"{path}: damaged: {why}")
