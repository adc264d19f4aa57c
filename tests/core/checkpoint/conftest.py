"""Fixtures that write forged and older checkpoints."""

import hashlib
import json

import pytest
import safetensors.torch

from gvt.checkpoint.document import METADATA_KEY, header_bytes, read_header

DTYPES = {"torch.float32": "F32", "torch.int64": "I64"}


@pytest.fixture
def resign():
    """Return a function that writes another document into a checkpoint, with valid checksums."""

    def write(path, document, to=None):
        whole, header = path.read_bytes(), read_header(path)
        data = whole[8 + int.from_bytes(whole[:8], "little") :]
        table = header.tensors
        target = to or path
        target.write_bytes(header_bytes(document, table, hashlib.sha256(data).hexdigest()) + data)
        return target

    return write


@pytest.fixture
def write_format_1():
    """Return a function that writes a checkpoint in format 1."""

    def write(path, tensors, document):
        document = {"format": 1, "gvt": "0.1.0", **document}
        rows = sorted((n, DTYPES[str(t.dtype)], list(t.shape)) for n, t in tensors.items())
        text = json.dumps([document, rows], sort_keys=True, separators=(",", ":"))
        document["sha256"] = hashlib.sha256(text.encode()).hexdigest()
        metadata = {METADATA_KEY: json.dumps(document, ensure_ascii=False)}
        path.write_bytes(safetensors.torch.save(tensors, metadata))
        return path

    return write
