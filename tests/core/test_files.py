"""Atomic replacement of files, links, and failed writes.

In a file of JSON lines, what a kill or a full disk cuts off damages one line only.
"""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from gvt.files import (
    NotSyncedError,
    append_lines,
    attempting,
    create,
    make_folder,
    make_folder_inside,
    open_to_append,
    remove_unfinished,
    replacing,
)
from gvt_report.log import read_log

LIMITED = """
    import resource, signal, sys
    from pathlib import Path
    from gvt.files import append_lines

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    path = Path(sys.argv[1])
    row = {"step": 1, "train/a": 0.5}
    append_lines(path, [row])
    limit = path.stat().st_size + 10
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    try:
        append_lines(path, [{"step": 2, "train/a": 0.5}])
    except OSError as error:
        print(error.filename, error.strerror)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    append_lines(path, [{"step": 3, "train/a": 0.25}])
"""

needs_links = pytest.mark.skipif(sys.platform == "win32", reason="links need special rights there")


def test_an_error_names_the_target_file(tmp_path):
    path = tmp_path / "absent" / "a.txt"
    with pytest.raises(FileNotFoundError) as caught, replacing(path) as file:
        file.write(b"x")
    assert caught.value.filename == str(path)

    blocked = tmp_path / "folder.txt"
    (blocked / "inside").mkdir(parents=True)
    with pytest.raises(OSError) as caught, replacing(blocked) as file:
        file.write(b"x")
    assert caught.value.filename == str(blocked)
    assert [p.name for p in tmp_path.iterdir()] == ["folder.txt"]


@pytest.mark.parametrize(
    ("raised", "named"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "a.txt"),  # of a write, without a name
        (FileNotFoundError(errno.ENOENT, "No such file", "other.png"), "other.png"),
        (OSError("cannot identify image file 'other.png'"), None),
    ],
)
def test_an_error_of_another_file_keeps_its_name(raised, named, tmp_path):
    with pytest.raises(type(raised)) as caught, replacing(tmp_path / "a.txt") as file:
        file.write(b"half")
        raise raised
    found = caught.value.filename
    assert (found and found.rpartition("/")[2]) == named
    assert caught.value.strerror == raised.strerror
    assert list(tmp_path.iterdir()) == []


def test_a_failed_attempt_is_a_warning_with_the_file(tmp_path):
    path = tmp_path / "absent" / "a.txt"
    with pytest.warns(UserWarning) as caught, attempting(path), replacing(path) as file:
        file.write(b"x")
    assert [str(w.message) for w in caught] == [f"{path}: not written: No such file or directory"]
    assert caught[0].filename == __file__


def test_a_bug_is_not_hidden(tmp_path):
    with pytest.raises(ZeroDivisionError), attempting(tmp_path / "a.txt"):
        1 / 0  # noqa: B018


@needs_links
def test_a_link_is_replaced_and_its_target_unchanged(tmp_path):
    outside = tmp_path / "outside.txt"
    outside.write_text("mine")
    path = tmp_path / "run" / "a.txt"
    path.parent.mkdir()
    path.symlink_to(outside)
    (path.parent / ".unfinished.a.txt").symlink_to(outside)  # where the temporary file goes
    with replacing(path) as file:
        file.write(b"new")
    assert (path.read_text(), outside.read_text()) == ("new", "mine")
    assert [p.name for p in path.parent.iterdir()] == ["a.txt"]
    assert not path.is_symlink()


@needs_links
def test_a_temporary_file_that_becomes_a_link_is_not_followed(tmp_path):
    outside = tmp_path / "outside.txt"
    outside.write_text("mine")
    path = tmp_path / "a.txt"
    with replacing(path) as file:
        planted = tmp_path / ".unfinished.a.txt"
        planted.unlink()
        planted.symlink_to(outside)
        file.write(b"new")
    assert outside.read_text() == "mine"


@needs_links
def test_created_and_appended_files_follow_no_link(tmp_path):
    outside = tmp_path / "outside.txt"
    outside.write_text("mine")
    path = tmp_path / "a.txt"
    path.symlink_to(outside)
    with pytest.raises(OSError, match="symbolic link"):
        open_to_append(path)
    with create(path) as file:
        file.write(b"new")
    with open_to_append(path) as file:
        file.write(b" and more")
    assert (path.read_text(), outside.read_text()) == ("new and more", "mine")
    with open_to_append(tmp_path / "absent.txt") as file:
        file.write(b"first")
    assert (tmp_path / "absent.txt").read_text() == "first"


@needs_links
def test_no_folder_is_made_through_a_link_inside_another(tmp_path):
    (tmp_path / "outside").mkdir()
    (tmp_path / "top").mkdir()
    linked = tmp_path / "linked"
    linked.symlink_to(tmp_path / "top")  # which somebody chose
    make_folder_inside(linked, linked / "a" / "b")
    assert (tmp_path / "top" / "a" / "b").is_dir()
    (linked / "c").symlink_to(tmp_path / "outside")
    with pytest.raises(OSError, match="symbolic link"):
        make_folder_inside(linked, linked / "c" / "d")
    assert not any((tmp_path / "outside").iterdir())


def test_folders_are_synced_where_they_are_made(tmp_path, monkeypatch):
    synced = []
    monkeypatch.setattr("gvt.files.sync_folder", synced.append)
    make_folder(tmp_path / "a" / "b" / "c")
    assert synced == [tmp_path, tmp_path / "a", tmp_path / "a" / "b"]
    make_folder(tmp_path / "a" / "b" / "c")
    assert len(synced) == 3


def test_an_unsynced_folder_is_distinguished_from_an_unwritten_file(tmp_path, monkeypatch):
    def fail(folder):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr("gvt.files.sync_folder", fail)
    path = tmp_path / "a.txt"
    with pytest.raises(NotSyncedError) as caught, replacing(path) as file:
        file.write(b"new")
    assert (caught.value.filename, path.read_text()) == (str(path), "new")


def test_unfinished_files_are_removed_and_others_stay(tmp_path):
    (tmp_path / "checkpoints").mkdir()
    for name in (".unfinished.report.html", "checkpoints/.unfinished.last.safetensors", "a.txt"):
        (tmp_path / name).write_text("x")
    remove_unfinished(tmp_path)
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["a.txt", "checkpoints"]


def test_a_file_has_default_permissions(tmp_path):
    (tmp_path / "plain").write_text("x")
    with replacing(tmp_path / "a.txt") as file:
        file.write(b"x")
    assert (tmp_path / "a.txt").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_lines_are_appended_whole(tmp_path):
    path = tmp_path / "metrics.jsonl"
    append_lines(path, [{"a": 1}, {"a": "é\n"}])
    append_lines(path, [{"a": 3}])
    assert [json.loads(line)["a"] for line in path.read_text().splitlines()] == [1, "é\n", 3]


@pytest.mark.skipif(os.name == "nt", reason="limits of POSIX")
def test_a_line_that_a_full_disk_cut_off_does_not_swallow_the_next_one(tmp_path):
    path = tmp_path / "metrics.jsonl"
    done = subprocess.run(
        [sys.executable, "-c", dedent(LIMITED), path], capture_output=True, text=True, check=True
    )
    assert done.stdout == f"{path} File too large\n"
    assert path.read_text().splitlines()[1] == '{"step": 2'
    assert read_log(path).curves == {"train/a": [(1, 0.5), (3, 0.25)]}


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no full device")
def test_an_error_of_the_disk_names_the_file(monkeypatch, tmp_path):
    path = tmp_path / "metrics.jsonl"
    full = os.open("/dev/full", os.O_RDWR)
    try:
        monkeypatch.setattr(os, "open", lambda *_: os.dup(full))
        with pytest.raises(OSError) as caught:
            append_lines(path, [{"a": 1}])
    finally:
        os.close(full)
    assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, str(path))


@pytest.mark.skipif(not hasattr(os, "O_NOFOLLOW"), reason="links can be followed only")
def test_nothing_is_written_through_a_link(tmp_path):
    victim, path = tmp_path / "victim", tmp_path / "metrics.jsonl"
    victim.write_text("its own")
    path.symlink_to(victim)
    with pytest.raises(OSError, match="is a symbolic link") as caught:
        append_lines(path, [{"a": 1}])
    assert caught.value.filename == str(path)
    assert victim.read_text() == "its own"
