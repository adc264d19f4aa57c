"""Which files stand below a folder, and what tells two listings apart."""

import re
import unicodedata
from hashlib import sha256
from pathlib import PurePosixPath

import pytest

import gvt
from gvt_data.listing import composed, files_below, fingerprint, pictures_below

COMPOSED, DECOMPOSED = "caf\u00e9", "cafe\u0301"


@pytest.fixture
def make(tmp_path):
    def add(*names):
        for name in names:
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        return tmp_path

    return add


@pytest.mark.parametrize(
    "junk",
    [
        *("@eaDir/1.png", "cat/@eaDir/1.png/SYNOPHOTO_THUMB.jpg", "$RECYCLE.BIN/a/1.png"),
        *("System Volume Information/1.png", "lost+found/1.png", "__MACOSX/cat/._1.png"),
        *("__MACOSX/cat/1.png", ".hidden/1.png", "cat/.1.png", "#recycle/1.png"),
    ],
)
def test_system_files_are_not_images(make, junk):
    assert pictures_below(make("cat/1.png", junk)) == [PurePosixPath("cat/1.png")]


def test_system_files_are_left_out_for_all_suffixes(make):
    root = make("Thumbs.db", "desktop.ini", ".DS_Store", "a.db", "b.ini")
    assert [str(name) for name in files_below(root, {".db", ".ini", ""})] == ["a.db", "b.ini"]


def test_system_folders_are_not_opened(make, monkeypatch):
    root = make("cat/1.png", "lost+found/2.png")
    listed = []
    iterdir = type(root).iterdir
    monkeypatch.setattr(
        type(root), "iterdir", lambda self: (listed.append(self.name), iterdir(self))[1]
    )
    pictures_below(root)
    assert listed == [root.name, "cat"]


def test_names_keep_their_spelling_and_are_sorted_as_composed(make):
    # Decomposed, `e` and its accent would come before `f`; composed, after.
    root = make("cafe\u0301.png", "caff.png")
    assert [str(name) for name in pictures_below(root)] == ["caff.png", "cafe\u0301.png"]
    assert all((root / name).exists() for name in pictures_below(root))


def test_names_that_differ_only_in_composition_are_one_line(make):
    root = make(f"{COMPOSED}/1.png", f"{DECOMPOSED}/2.png")
    if len(list(root.iterdir())) == 1:
        pytest.skip("this file system takes both for one")
    assert len(pictures_below(root)) == 2
    make(f"{DECOMPOSED}/1.png")
    message = rf"{re.escape(ascii(COMPOSED)[1:-1])}/1.png' and .*u0301/1.png': .*rename one"
    with pytest.raises(gvt.DataError, match=message):
        pictures_below(root)


def test_a_fingerprint_is_that_of_composed_names():
    names = ["cat/1.png", "cat/2.png"]
    plain = sha256(b"cat/1.png\ncat/2.png\n").hexdigest()[:16]
    assert fingerprint(names) == plain != fingerprint(names[::-1])
    assert fingerprint([COMPOSED]) == fingerprint([DECOMPOSED]) != fingerprint(["cafe"])
    assert composed(DECOMPOSED) == COMPOSED == unicodedata.normalize("NFC", COMPOSED)
