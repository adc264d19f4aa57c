"""Checkpoints: what was written comes back, and what was damaged does not."""

import errno
import json
import os
import sys

import pytest
import safetensors.torch
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import gvt
from gvt.checkpoint import file
from gvt.checkpoint.document import METADATA_KEY, read_header

DOCUMENT = {"format": 1, "gvt": "0.1.0", "note": 'a "quoted" ünïcode text', "values": [1e-3, None]}


def tensors():
    weight = torch.arange(24.0).reshape(2, 3, 2, 2).to(memory_format=torch.channels_last)
    return {
        "task/weight": weight,
        "task/tied": weight,
        "task/slice": torch.arange(10)[2:5],
        "task/half": torch.ones(3, dtype=torch.bfloat16),
        "task/empty": torch.zeros(0, 4),
        "task/flag": torch.tensor(True),
    }


@pytest.fixture
def checkpoint(tmp_path):
    path = tmp_path / "last.safetensors"
    file.save(path, tensors(), DOCUMENT)
    return path


def test_everything_comes_back(checkpoint):
    document, loaded = file.load(checkpoint)
    assert {k: document[k] for k in DOCUMENT} == DOCUMENT
    for name, tensor in tensors().items():
        assert loaded[name].dtype == tensor.dtype
        assert torch.equal(loaded[name], tensor)


def test_tied_tensors_are_written_once_and_come_back_tied(checkpoint):
    assert "task/tied" not in safetensors.torch.load_file(checkpoint)
    _, loaded = file.load(checkpoint)
    assert loaded["task/tied"] is loaded["task/weight"]


def test_safetensors_alone_reads_the_weights(checkpoint):
    weights = safetensors.torch.load_file(checkpoint)
    assert torch.equal(weights["task/weight"], tensors()["task/weight"])


@settings(deadline=None, max_examples=30)
@given(
    st.dictionaries(
        st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), min_size=1, max_size=9),
        st.lists(st.integers(0, 3), max_size=3),
        max_size=5,
    ),
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False)
        | st.text(max_size=9),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
        max_leaves=9,
    ),
)
def test_any_names_shapes_and_documents_come_back(tmp_path_factory, shapes, note):
    path = tmp_path_factory.mktemp("any") / "a.safetensors"
    written = {f"task/{n}": torch.randn(shape) for n, shape in shapes.items()}
    file.save(path, written, {"format": 1, "gvt": "0", "note": note})
    document, loaded = file.load(path)
    assert document["note"] == note
    assert loaded.keys() == written.keys()
    assert all(torch.equal(loaded[n], t) for n, t in written.items())


def test_every_single_flipped_bit_of_the_header_is_noticed(tmp_path):
    path = tmp_path / "small.safetensors"
    file.save(path, {"task/a": torch.zeros(2), "task/b": torch.zeros(2)}, DOCUMENT)
    whole = path.read_bytes()
    header_end = 8 + int.from_bytes(whole[:8], "little")
    unnoticed = []
    for position in range(header_end):
        for bit in range(8):
            damaged = bytearray(whole)
            damaged[position] ^= 1 << bit
            path.write_bytes(damaged)
            try:
                read_header(path)
            except gvt.CheckpointError:
                continue
            unnoticed.append((position, bit))
    assert not unnoticed


def test_every_truncation_is_noticed(checkpoint):
    whole = checkpoint.read_bytes()
    for length in range(len(whole)):
        checkpoint.write_bytes(whole[:length])
        with pytest.raises(gvt.CheckpointError):
            read_header(checkpoint)
    checkpoint.write_bytes(whole + b"\0")
    with pytest.raises(gvt.CheckpointError, match="too many"):
        read_header(checkpoint)


def rewritten(path, change):
    """Rewrite a checkpoint's header, checksum and all, as a forger would."""
    whole = path.read_bytes()
    length = int.from_bytes(whole[:8], "little")
    header = change(json.loads(whole[8 : 8 + length]))
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + whole[8 + length :])


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda h: b"[" * 100_000, "no JSON"),
        (lambda h: b"[]", "no JSON object"),
        (lambda h: b'{"a": 1, "a": 1}', "no JSON"),
        (lambda h: b"\xff\xfe", "no text"),
        (lambda h: {**h, "__metadata__": {METADATA_KEY: "nothing"}}, "no JSON"),
        (lambda h: {**h, "__metadata__": {METADATA_KEY: "{}"}}, "checksum"),
        (lambda h: {**h, "__metadata__": {}}, "no checkpoint of gvt"),
        (lambda h: {**h, "x": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}}, "size"),
        (lambda h: {**h, "x": {"dtype": "F99", "shape": [1], "data_offsets": [0, 4]}}, "malformed"),
        (lambda h: {**h, "x": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}, "overlap"),
        (lambda h: {**h, "x": [1, 2]}, "malformed"),
    ],
)
def test_a_hostile_header_is_refused_in_one_line(checkpoint, change, says):
    rewritten(checkpoint, change)
    with pytest.raises(gvt.CheckpointError, match=says) as caught:
        file.load(checkpoint)
    assert str(checkpoint) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_newer_format_says_what_to_do(tmp_path):
    path = tmp_path / "new.safetensors"
    file.save(path, {}, {**DOCUMENT, "format": 2, "gvt": "9.0"})
    with pytest.raises(gvt.CheckpointError, match=r"format 2 by gvt 9\.0.*pip install -U gvt"):
        file.load(path)


def test_no_file_is_one_line(tmp_path):
    with pytest.raises(gvt.CheckpointError, match="no checkpoint"):
        file.load(tmp_path / "absent.safetensors")


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on file sizes")
def test_when_the_disk_is_full_the_previous_checkpoint_stays(checkpoint):
    resource = pytest.importorskip("resource")
    before = checkpoint.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before), limits[1]))
    try:
        with pytest.raises(gvt.CheckpointError, match="previous checkpoint"):
            file.save(checkpoint, {"task/large": torch.zeros(100_000)}, DOCUMENT)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert checkpoint.read_bytes() == before
    assert [p.name for p in checkpoint.parent.iterdir()] == [checkpoint.name]


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    with pytest.raises(gvt.CheckpointError, match=os.strerror(errno.ENOENT)):
        file.save(tmp_path / "absent" / "a.safetensors", {}, DOCUMENT)
