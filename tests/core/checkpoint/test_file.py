"""Checkpoints: writing and reading back, and detection of damage."""

import errno
import gc
import json
import os
import subprocess
import sys
import time
import weakref
from textwrap import dedent

import pytest
import safetensors.torch
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import gvt
from gvt.checkpoint import file
from gvt.checkpoint.document import METADATA_KEY, check_data, read_header
from gvt.cli.inspection import inspection

DOCUMENT = {"note": 'a "quoted" ünïcode text', "values": [1e-3, None]}


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
    file.save(path, written, {"note": note})
    document, loaded = file.load(path)
    assert document["note"] == note
    assert loaded.keys() == written.keys()
    assert all(torch.equal(loaded[n], t) for n, t in written.items())


@pytest.mark.slow
def test_every_flipped_bit_is_detected(tmp_path):
    path = tmp_path / "small.safetensors"
    file.save(path, {"task/a": torch.zeros(2), "task/b": torch.zeros(1)}, {"x": "ü"})
    whole = path.read_bytes()
    unnoticed = []
    for position in range(len(whole)):
        for bit in range(8):
            damaged = bytearray(whole)
            damaged[position] ^= 1 << bit
            path.write_bytes(damaged)
            try:
                file.load(path)
            except gvt.CheckpointError:
                continue
            unnoticed.append((position, bit))
    assert not unnoticed


@settings(
    deadline=None, max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.data())
def test_changed_bytes_are_detected(checkpoint, data):
    whole = checkpoint.read_bytes()
    begin = data.draw(st.integers(0, len(whole) - 1))
    old = whole[begin : begin + data.draw(st.integers(1, 9))]
    new = data.draw(st.binary(min_size=len(old), max_size=len(old)).filter(lambda new: new != old))
    damaged = checkpoint.with_name("damaged.safetensors")
    damaged.write_bytes(whole[:begin] + new + whole[begin + len(old) :])
    with pytest.raises(gvt.CheckpointError):
        file.load(damaged)
    with pytest.raises(gvt.CheckpointError):
        check_data(damaged)


def test_exchanged_tensors_are_detected(tmp_path):
    path = tmp_path / "a.safetensors"
    file.save(path, {"task/a": torch.zeros(2), "task/b": torch.ones(2)}, DOCUMENT)

    def exchanged(header):
        one, other = header["task/a"], header["task/b"]
        one["data_offsets"], other["data_offsets"] = other["data_offsets"], one["data_offsets"]
        return header

    rewritten(path, exchanged)
    assert torch.equal(safetensors.torch.load_file(path)["task/a"], torch.ones(2))
    with pytest.raises(gvt.CheckpointError, match="damaged: its header does not match"):
        read_header(path)


def test_changed_header_padding_is_detected(checkpoint):
    whole = checkpoint.read_bytes()
    length = int.from_bytes(whole[:8], "little")
    text = whole[8 : 8 + length].rstrip() + b"\n" * 8
    checkpoint.write_bytes(len(text).to_bytes(8, "little") + text + whole[8 + length :])
    with pytest.raises(gvt.CheckpointError, match="checksum"):
        read_header(checkpoint)


def test_every_truncation_is_detected(checkpoint):
    whole = checkpoint.read_bytes()
    for length in range(len(whole)):
        checkpoint.write_bytes(whole[:length])
        with pytest.raises(gvt.CheckpointError):
            read_header(checkpoint)
    checkpoint.write_bytes(whole + b"\0")
    with pytest.raises(gvt.CheckpointError, match="too many"):
        read_header(checkpoint)


def test_format_1_still_loads(tmp_path, write_format_1):
    written = {"task/a": torch.randn(3, 2), "task/n": torch.tensor([4, 5])}
    document = {"note": "ünïcode", "aliases": {"task/tied": "task/a"}}
    path = write_format_1(tmp_path / "old.safetensors", written, document)
    document, loaded = file.load(path)
    assert document == {"format": 1, "gvt": "0.1.0", "note": "ünïcode"}
    assert loaded["task/tied"] is loaded["task/a"]
    assert all(torch.equal(loaded[n], t) for n, t in written.items())
    assert not check_data(path)
    assert "header (format 1 has no data hash), by SHA-256" in inspection(path)


def test_a_saved_copy_has_the_new_format(tmp_path, write_format_1):
    path = write_format_1(tmp_path / "old.safetensors", {"task/a": torch.ones(1)}, {})
    document, loaded = file.load(path)
    file.save(path, loaded, document)
    assert file.load(path)[0]["format"] == 2
    assert check_data(path)
    assert "header and tensors, by SHA-256" in inspection(path)


def test_tensors_are_produced_one_at_a_time(tmp_path):
    path = tmp_path / "a.safetensors"
    alive, most = weakref.WeakSet(), 0

    def produce(name):
        nonlocal most
        gc.collect()
        most = max(most, len(alive))
        tensor = torch.full((1000,), float(name.rpartition("/")[2]))
        alive.add(tensor)
        return tensor

    file.write(path, {f"task/{n}": ("F32", (1000,)) for n in range(6)}, produce, DOCUMENT)
    assert most <= 1  # the one before
    _, loaded = file.load(path)
    assert all(torch.equal(t, torch.full((1000,), float(n[5:]))) for n, t in loaded.items())
    safetensors.torch.load_file(path)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="needs the most memory that a process had")
def test_saving_and_loading_need_no_second_copy(tmp_path):
    code = """
        import resource, sys, torch
        from pathlib import Path
        from gvt.checkpoint import file
        def peak():
            return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        path = Path(sys.argv[1])
        file.save(path, {"task/a": torch.zeros(1)}, {})
        file.load(path)
        tensors = {f"task/{n}": torch.ones(2**20) for n in range(64)}  # 256 MB
        before = peak()
        file.save(path, tensors, {})
        file.copy(path, path.with_name("copy"))
        saved = peak()
        del tensors
        tensors = file.load(path)[1]
        assert len(tensors) == 64
        print(saved - before, peak() - before)
    """
    command = [sys.executable, "-c", dedent(code), str(tmp_path / "a.safetensors")]
    ended = subprocess.run(command, check=True, capture_output=True, text=True)
    saving, loading = map(int, ended.stdout.split())
    assert saving < 40
    assert loading < 40


def test_a_tensor_that_differs_from_the_table_is_one_line(tmp_path):
    table = {"task/a": ("F32", (2,))}
    with pytest.raises(gvt.CheckpointError, match=r"'task/a' is torch.float64 \(2,\)"):
        file.write(tmp_path / "a", table, lambda name: torch.zeros(2).double(), {})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "document", [{"x": {1, 2}}, {"x": "\ud800"}, {1: 2, "1": 3}, {"x": 10**99}]
)
def test_a_document_that_cannot_be_read_back_is_not_written(tmp_path, document):
    with pytest.raises(gvt.CheckpointError, match="cannot be written"):
        file.save(tmp_path / "a", {}, document)
    assert list(tmp_path.iterdir()) == []


def rewritten(path, change):
    """Rewrite the header of a checkpoint without updating checksums."""
    whole = path.read_bytes()
    length = int.from_bytes(whole[:8], "little")
    header = change(json.loads(whole[8 : 8 + length]))
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + whole[8 + length :])


LONG = "9" * 4000


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda h: b"[" * 100_000, "at most|nested too deeply"),
        (lambda h: b"[]", "not a JSON object"),
        (lambda h: b"{", "not JSON"),
        (lambda h: b'{"a": 1, "a": 1}', "a key occurs twice"),
        (lambda h: b"\xff\xfe", "not text"),
        (lambda h: {**h, "__metadata__": {METADATA_KEY: "nothing"}}, "not JSON"),
        (lambda h: {**h, "__metadata__": {METADATA_KEY: "{}"}}, "checksum"),
        (lambda h: {**h, "__metadata__": {METADATA_KEY: 1}}, "not a checkpoint of gvt"),
        (lambda h: {**h, "__metadata__": {}}, "not a checkpoint of gvt"),
        (lambda h: {**h, "x": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}}, "size"),
        (lambda h: {**h, "x": {"dtype": "F99", "shape": [1], "data_offsets": [0, 4]}}, "malformed"),
        (lambda h: {**h, "x": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}, "overlap"),
        (lambda h: {**h, "x": {"dtype": "F32", "shape": [0] * 99, "data_offsets": [0, 0]}}, "size"),
        (lambda h: {**h, "x": {"dtype": "F32", "shape": 1, "data_offsets": [0, 4]}}, "malformed"),
        (lambda h: {**h, "x": {"dtype": [], "shape": [1], "data_offsets": [0, 4]}}, "malformed"),
        (lambda h: {**h, "x": {"dtype": "F32", "shape": [1], "data_offsets": [0, [4]]}}, "size"),
        (lambda h: {**h, "x": [1, 2]}, "malformed"),
        (lambda h: {**h, "x" * 4_000_000: [1, 2]}, r"malformed"),
        (lambda h: {**h, "\x1b[31m": [1, 2]}, r"'\\x1b\[31m' is malformed"),
        (lambda h: b'{"a": [' + b",".join([LONG.encode()] * 1000) + b"]}", "4,000 digits"),
        (lambda h: b'{"a": 0.' + LONG.encode() + b"}", "4,002 digits"),
        (lambda h: b'{"a": [' + b"{}," * 3_000_000 + b"{}]}", "values; at most"),
        (lambda h: b" " * 40_000_000, "bytes; at most"),
    ],
)
def test_a_hostile_header_is_refused_in_one_short_line(checkpoint, change, says):
    rewritten(checkpoint, change)
    started = time.process_time()
    with pytest.raises(gvt.CheckpointError, match=says) as caught:
        file.load(checkpoint)
    assert time.process_time() - started < 1
    message = str(caught.value)
    assert message.startswith(str(checkpoint))
    assert len(message) - len(str(checkpoint)) < 200
    assert message.isprintable()


def test_a_newer_format_says_what_to_do(tmp_path, resign):
    path = tmp_path / "new.safetensors"
    file.save(path, {}, DOCUMENT)
    resign(path, {**DOCUMENT, "format": 3, "gvt": "9.0"})
    with pytest.raises(gvt.CheckpointError, match=r"format 3 by gvt 9\.0;.*pip install -U gvt"):
        file.load(path)


@pytest.mark.parametrize("version", [None, "2", 0, -1, 2.0, True])
def test_an_invalid_format_version_is_damage(tmp_path, resign, version):
    path = tmp_path / "new.safetensors"
    file.save(path, {}, DOCUMENT)
    resign(path, {**DOCUMENT, "format": version, "gvt": "9.0"})
    with pytest.raises(gvt.CheckpointError, match="damaged: its format is"):
        file.load(path)


def test_a_missing_file_is_one_line(tmp_path):
    with pytest.raises(gvt.CheckpointError, match="no checkpoint"):
        file.load(tmp_path / "absent.safetensors")


def test_a_folder_that_could_not_be_synced_does_not_promise_the_previous_one(
    checkpoint, monkeypatch
):
    def fail(folder):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr("gvt.files.sync_folder", fail)
    with pytest.raises(gvt.CheckpointError, match="written, but its folder could not") as caught:
        file.save(checkpoint, {"task/a": torch.ones(3)}, DOCUMENT)
    assert "unchanged" not in str(caught.value)
    assert torch.equal(file.load(checkpoint)[1]["task/a"], torch.ones(3))


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on file sizes")
def test_a_full_disk_keeps_the_previous_checkpoint(checkpoint):
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
