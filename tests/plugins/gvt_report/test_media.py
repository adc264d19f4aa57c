"""Images, sounds and texts of a run folder, as a page has them."""

import base64
import io
import wave

import pytest
from PIL import Image

from gvt.runs.folder import RunFolder
from gvt_report.media import LONGEST_TEXT, pictures_of


def sound(frames=100):
    content = io.BytesIO()
    with wave.open(content, "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(bytes(2 * frames))
    return content.getvalue()


def drawn(suffix, count=1):
    content = io.BytesIO()
    pictures = [Image.new("RGB", (10, 5), (80 * n, 0, 0)) for n in range(count)]
    kind = suffix[1:].upper()
    more = {"save_all": True, "append_images": pictures[1:]} if count > 1 else {}
    pictures[0].save(content, kind, **more)
    return content.getvalue()


@pytest.fixture
def folder(tmp_path):
    for name in ("samples", "evaluation"):
        (tmp_path / name).mkdir()
    return RunFolder(tmp_path)


def test_what_has_one_name_is_one_picture_with_the_sound_first(folder):
    (folder.samples / "voice_00000001.wav").write_bytes(sound(1))
    for suffix, content in ((".png", drawn(".png")), (".wav", sound()), (".txt", b"said")):
        (folder.samples / f"voice_00000012{suffix}").write_bytes(content)
    [(title, [picture])], unreadable = pictures_of([folder])
    assert (title, picture.note, unreadable) == ("voice", "step 12", [])
    assert [medium.kind for medium in picture.media] == ["sound", "image", "text"]
    kind, _, content = picture.media[0].uri.partition(",")
    assert (kind, base64.b64decode(content)) == ("data:audio/wav;base64", sound())
    assert picture.media[1].size == (480, 240)
    assert picture.media[2].text == "said"


@pytest.mark.parametrize("suffix", [".gif", ".webp"])
def test_an_animation_is_in_the_page_as_it_is(folder, suffix):
    content = drawn(suffix, count=3)
    (folder.samples / f"moving_00000001{suffix}").write_bytes(content)
    [(_, [picture])], _ = pictures_of([folder])
    (medium,) = picture.media
    assert medium.kind == "image"
    assert base64.b64decode(medium.uri.partition(",")[2]) == content


def test_data_and_mistakes_are_pictures_of_several_files(folder):
    for name in ("data.txt", "data.wav", "data_echo.wav", "data.json", "database.txt"):
        (folder.path / name).write_bytes(sound() if name.endswith("wav") else b"1  cat")
    for name in ("val_mistakes.txt", "val.json", ".unfinished.val.txt"):
        (folder.evaluations / name).write_bytes(b"1  cat")
    pictures, _ = pictures_of([folder])
    kinds = {title: [m.kind for m in picture.media] for title, [picture] in pictures}
    assert kinds == {
        "val mistakes": ["text"],
        "training data": ["sound", "text"],
        "training data echo": ["sound"],
    }


def test_a_long_text_is_cut_and_says_so(folder):
    path = folder.samples / "story_00000001.txt"
    path.write_text("é" * (LONGEST_TEXT + 5))
    [(_, [picture])], _ = pictures_of([folder])
    text = picture.media[0].text
    assert text == "é" * LONGEST_TEXT + f"\n... 5 more characters in {path}"


def test_what_cannot_be_shown_is_named_with_the_reason(folder, monkeypatch):
    monkeypatch.setattr("gvt_report.media.LARGEST_FILE", 300)
    (folder.samples / "large_00000001.wav").write_bytes(sound(500))
    (folder.samples / "torn_00000001.gif").write_bytes(drawn(".gif")[:20])
    (folder.samples / "wrong_00000001.wav").write_bytes(b"an MP3")
    (folder.samples / "wrong_00000001.png").write_bytes(drawn(".png"))
    pictures, unreadable = pictures_of([folder])
    assert [title for title, _ in pictures] == ["wrong"]
    reasons = {path.rpartition("/")[2]: reason for path, reason in unreadable}
    assert reasons.keys() == {"large_00000001.wav", "torn_00000001.gif", "wrong_00000001.wav"}
    assert reasons["large_00000001.wav"] == "its 1,044 bytes are too many for the page"
    assert reasons["wrong_00000001.wav"] == "it is not a WAV file"
