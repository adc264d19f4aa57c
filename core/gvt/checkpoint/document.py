"""The header of a checkpoint, written and checked without torch.

A checkpoint is a safetensors file: the length of the header in eight bytes, the header in JSON, and
the data of the tensors. The header contains the document, as text under one key of the metadata,
and the tensor table. In format 2 the header is a function of the document and the table, so a
reader detects any changed byte by building the header again. The document contains two hashes:
`data_sha256` of the data, and `sha256` of the document, with the former hash, and the table.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Any

from gvt.checkpoint.bounded import check_cost, check_length, parse, shortened
from gvt.checkpoint.model import check_document, missing_section
from gvt.errors import CheckpointError
from gvt.files import open_regular

FORMAT_VERSION = 2
METADATA_KEY = "gvt"
UNKNOWN = "0" * 64
"""Placeholder for a hash until the data has been written."""

ITEM_BYTES = {
    "BOOL": 1, "U8": 1, "I8": 1, "I16": 2, "F16": 2, "BF16": 2, "I32": 4, "F32": 4, "I64": 8,
    "F64": 8, "C64": 8,
}  # fmt: skip

_LARGEST = 2**48
"""Limit of the bytes of a tensor, and of the size of a dimension."""

_MOST_DIMENSIONS = 64
_LONGEST_NAME = 1000
_NO_MATCH = "its header does not match its checksum"
_IS_HASH = re.compile(r"[0-9a-f]{64}").fullmatch

TensorTable = Mapping[str, tuple[str, tuple[int, ...]]]
"""Dtypes, as safetensors names them, and shapes by name of the tensor."""


@dataclass(frozen=True)
class Header:
    """The header of a checkpoint.

    Attributes:
        document: The document, without the hashes.
        tensors: Dtype and shape of each tensor, in the order of their data.
        data_sha256: Hash of the data; None in format 1.
    """

    document: Mapping[str, Any]
    tensors: TensorTable
    data_sha256: str | None


def nbytes(dtype: str, shape: Iterable[int]) -> int:
    """Return the size of a tensor in bytes."""
    return ITEM_BYTES[dtype] * math.prod(shape)


def in_file_order(tensors: TensorTable) -> list[str]:
    """Return the names in the order of their data: by size of an item, then by name.

    Each tensor then begins at a multiple of the size of its items, which memory mapping requires.
    """
    return sorted(tensors, key=lambda name: (-ITEM_BYTES[tensors[name][0]], name))


def header_bytes(
    document: Mapping[str, Any], tensors: TensorTable, data_sha256: str = UNKNOWN
) -> bytes:
    """Return the bytes before the data; their number does not depend on the hashes.

    Args:
        document: Plain data, with `format` and without hashes.
        tensors: The tensor table.
        data_sha256: Hash of the data.

    Raises:
        ValueError: If a reader would refuse it, such as for a string that is not valid UTF-8.
    """
    document = {**document, "data_sha256": data_sha256}
    document["sha256"] = _digest(document, tensors)
    entries: dict[str, Any] = {"__metadata__": {METADATA_KEY: _text(document)}}
    position = 0
    for name in in_file_order(tensors):
        dtype, shape = tensors[name]
        if name in entries or len(name) > _LONGEST_NAME:
            raise ValueError(f"{shortened(name)} is not a valid name of a tensor")
        end = position + nbytes(dtype, shape)
        entries[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [position, end]}
        position = end
    text = json.dumps(entries, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    check_cost(text)
    return len(text).to_bytes(8, "little") + text


def read_header(path: Path, *, of_run: bool = False) -> Header:
    """Read and check the header of a checkpoint.

    Args:
        path: The file.
        of_run: Whether it has to be the checkpoint of a recipe's run, not of weights alone.

    Raises:
        CheckpointError: If the file is missing, truncated, damaged, not a checkpoint of gvt, or of
            a newer format.
    """
    with open_checked(path, of_run=of_run) as (_, header):
        return header


def check_writable(document: Mapping[str, Any], tensors: TensorTable) -> None:
    """Check that a document can be written and read back.

    Raises:
        ValueError: If it does not fit the schema, or JSON cannot represent it.
        TypeError: If it is not plain data.
    """
    check_document(parse(_text(document)), tensors)


@contextmanager
def open_checked(path: Path, *, of_run: bool = False) -> Iterator[tuple[BufferedReader, Header]]:
    """Open a checkpoint and check its header; the file is at the beginning of the data.

    Raises:
        CheckpointError: As `read_header`, and if reading fails inside the context.
    """
    try:
        with open_regular(path) as file:
            try:
                header = _header(path, file)
                check_document(header.document, header.tensors)
            except ValueError as error:
                raise damage_error(path, error) from error
            if of_run and (section := missing_section(header.document)):
                raise CheckpointError(
                    f"{path}: has no section {section!r}, so it is not the checkpoint of a "
                    "recipe's run; load its weights with init_from or safetensors.torch.load_file"
                )
            yield file, header
    except FileNotFoundError as error:
        raise CheckpointError(f"no checkpoint {str(path)!r}") from error
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read: {error.strerror or error}") from error


def check_data(path: Path) -> bool:
    """Check the data of the tensors; return False if the format of the file has no hash of it.

    Raises:
        CheckpointError: If the data or the header is damaged.
    """
    with open_checked(path) as (file, header):
        if header.data_sha256 is None:
            return False
        digest = hashlib.file_digest(file, "sha256")
    check_hash(path, header, digest.hexdigest())
    return True


def check_hash(path: Path, header: Header, data_sha256: str) -> None:
    """Check the hash of the data against that in the header.

    Raises:
        CheckpointError: If they differ.
    """
    if header.data_sha256 not in (None, data_sha256):
        raise damage_error(path, "its tensors do not match their checksum")


def damage_error(path: Path, why: object) -> CheckpointError:
    """Return the error for a damaged file."""
    return CheckpointError(f"{path}: damaged: {why}")


def _header(path: Path, file: BufferedReader) -> Header:
    """Read the header of a file, up to the beginning of the data.

    Raises:
        CheckpointError: If the file is not a checkpoint of gvt, truncated, or of a newer format.
        ValueError: If the header is damaged.
    """
    try:
        text, data_bytes = _read_text(path, file)
        check_cost(text)
        entries = parse(text.decode())
    except UnicodeDecodeError as error:
        raise ValueError("its header is not text") from error
    except ValueError as error:
        raise ValueError(f"its header: {error}") from error
    metadata = entries.pop("__metadata__", None)
    if not isinstance(metadata, dict) or not isinstance(metadata.get(METADATA_KEY), str):
        raise CheckpointError(f"{path}: a safetensors file, but not a checkpoint of gvt")
    tensors = {name: _entry(name, value) for name, value in entries.items()}
    names = sorted(tensors, key=lambda name: entries[name]["data_offsets"])
    _check_tiling([entries[name]["data_offsets"] for name in names], data_bytes)
    document, data_sha256 = _document(path, metadata[METADATA_KEY], tensors)
    if data_sha256 is not None and text != header_bytes(document, tensors, data_sha256)[8:]:
        raise ValueError(_NO_MATCH)
    return Header(document, {name: tensors[name] for name in names}, data_sha256)


def _document(path: Path, text: str, tensors: TensorTable) -> tuple[dict[str, Any], str | None]:
    """Return the document without its hashes, and the hash of the data."""
    try:
        document = parse(text)
    except ValueError as error:
        raise ValueError(f"its document: {error}") from error
    # The text is compared, too, since JSON has two spellings of a character such as \u00fc.
    intact = text == _text(document)
    digest = document.pop("sha256", None)
    if not intact or digest != _digest(document, tensors):
        raise ValueError(_NO_MATCH)
    version = document.get("format")
    if type(version) is not int or version < 1:
        raise ValueError(f"its format is {shortened(version)}")
    if version > FORMAT_VERSION:  # its checksum is the same, its contents may differ
        raise CheckpointError(
            f"{path}: written in checkpoint format {version} by gvt "
            f"{shortened(document.get('gvt'))[1:-1]}; this version of gvt reads formats up to "
            f"{FORMAT_VERSION}: pip install -U gvt"
        )
    if version == 1:  # it has no hash of the data
        return document, None
    data_sha256 = document.pop("data_sha256", None)
    if not isinstance(data_sha256, str) or not _IS_HASH(data_sha256):
        raise ValueError("its data has no checksum")
    return document, data_sha256


def _read_text(path: Path, file: BufferedReader) -> tuple[bytes, int]:
    """Return the bytes of the header, and the number of bytes after it.

    Raises:
        CheckpointError: If the file is not a safetensors file, or truncated.
        ValueError: If the header is too long.
    """
    size = file.seek(0, 2)
    file.seek(0)
    length = int.from_bytes(file.read(8), "little")
    if size < 8 or length > size - 8:
        raise CheckpointError(
            f"{path}: not a checkpoint: not a safetensors file, or truncated ({size} bytes)"
        )
    check_length(length)
    return file.read(length), size - 8 - length


def _entry(name: str, value: Any) -> tuple[str, tuple[int, ...]]:
    try:
        dtype, shape = value["dtype"], tuple(value["shape"])
        begin, end = value["data_offsets"]
        item = ITEM_BYTES[dtype]
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"the entry of tensor {shortened(name)} is malformed") from error
    is_valid = len(shape) <= _MOST_DIMENSIONS and len(name) <= _LONGEST_NAME
    is_valid &= all(type(n) is int and 0 <= n <= _LARGEST for n in (*shape, begin, end))
    if not is_valid or item * math.prod(shape) != end - begin:
        raise ValueError(f"the size of tensor {shortened(name)} does not match its shape")
    return dtype, shape


def _check_tiling(offsets: Iterable[Any], data_bytes: int) -> None:
    """Check that tensors, in the order of their offsets, fill the data."""
    position = 0
    for begin, end in offsets:
        if begin != position:
            raise ValueError("its tensors overlap or leave a gap")
        position = end
    if position > data_bytes:
        raise ValueError(f"truncated, {position - data_bytes} bytes are missing at its end")
    if position < data_bytes:
        raise ValueError(f"{data_bytes - position} bytes too many at its end")


def _digest(document: Mapping[str, Any], tensors: TensorTable) -> str:
    """Return the hash of a document and the tensor table.

    It is the same in all formats, so a version of gvt that is too old for a file can tell that
    from damage.
    """
    table = sorted((name, dtype, list(shape)) for name, (dtype, shape) in tensors.items())
    text = json.dumps([document, table], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _text(document: Mapping[str, Any]) -> str:
    return json.dumps(document, ensure_ascii=False)
