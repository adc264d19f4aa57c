"""A file of JSON lines: what a kill or a full disk cuts off spoils one line only."""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from gvt.runs.lines import append_lines
from gvt_report.log import read_log

LIMITED = """
    import resource, signal, sys
    from pathlib import Path
    from gvt.runs.lines import append_lines

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
