"""Only regular files are read; pipes do not block."""

import os
import socket
import sys
import threading

import pytest

import gvt
from gvt.checkpoint import file
from gvt.checkpoint.document import check_data, read_header
from gvt.files import NotAFileError, open_regular
from gvt.vision.pictures.reading import read_picture

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="has no named pipes in folders")


@pytest.fixture
def pipe(tmp_path):
    path = tmp_path / "a.png"
    os.mkfifo(path)
    # Should something wait for the pipe, this lets it go and the test fail.
    rescue = threading.Timer(20, lambda: path.open("r+b").close())
    rescue.daemon = True
    rescue.start()
    yield path
    rescue.cancel()


def test_a_regular_file_is_opened(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    (tmp_path / "link").symlink_to("a")
    for name in ("a", "link"):
        with open_regular(tmp_path / name) as content:
            assert content.read() == b"abc"


def test_anything_else_is_refused(tmp_path, pipe, monkeypatch):
    with pytest.raises(NotAFileError, match="a named pipe, not a regular file"):
        open_regular(pipe)
    with pytest.raises(NotAFileError, match="a device"):
        open_regular(tmp_path / "/dev/zero")
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("s")
        with pytest.raises(NotAFileError, match="a socket"):
            open_regular(tmp_path / "s")
    with pytest.raises(IsADirectoryError):
        open_regular(tmp_path)
    with pytest.raises(FileNotFoundError):
        open_regular(tmp_path / "absent")


@pytest.mark.parametrize("read", [file.load, read_header, check_data])
def test_a_pipe_is_not_a_checkpoint(read, pipe):
    with pytest.raises(gvt.CheckpointError, match="it is a named pipe, not a regular file"):
        read(pipe)


def test_a_pipe_is_not_an_image(pipe):
    with pytest.raises(gvt.DataError, match=r"cannot be read as a picture: it is a named pipe"):
        read_picture(pipe, 3, (0, 0, 0))
