"""How fields show values, one by one and samples of a data set."""

import pytest
import torch
from torch import Tensor

import gvt
from gvt.fields import MOST_PLAYED, field_of, files_of_samples


def text(value, **about):
    [(suffix, content)] = gvt.Shown("nobody_offers_it", value, about).files()
    assert suffix == ".txt"
    return content.decode()


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("one text", "one text\n"),
        (["one", "two"], "one\ntwo\n"),
        (["one\nline more", "two"], "one\nline more\n\ntwo\n"),
        (torch.tensor([[1, 2], [3, 4]]), "[1, 2]\n[3, 4]\n"),
        ([torch.tensor([1, 2]), torch.tensor(3.5)], "[1, 2]\n3.5\n"),
        (7, "7\n"),
        (["Köter \udc80"], "Köter \\udc80\n"),
        ([], "\n"),
    ],
)
def test_a_plain_field_is_shown_as_text(value, shown):
    assert text(value) == shown


class Recorded(gvt.Field):
    """Returns the files that it is made with, and records what it was asked to show."""

    def __init__(self, *suffixes, is_dense=False):
        self.is_dense, self.asked = is_dense, []
        self.suffixes = suffixes

    def files(self, value, **about):
        self.asked.append(value)
        return [(suffix, suffix.encode()) for suffix in self.suffixes]


@pytest.fixture
def offer(monkeypatch):
    """Return what offers fields, as plugins do."""
    fields = {}
    monkeypatch.setattr("gvt.fields.field_of", lambda key: fields.get(key) or field_of(key))
    return fields.update


@pytest.mark.parametrize(
    ("suffixes", "message"),
    [
        ((), "field 'odd' shows [], not each one of ('.wav', "),
        ((".mp3",), "field 'odd' shows ['.mp3'], not"),
        ((".png", ".png"), "field 'odd' shows ['.png', '.png'], not"),
    ],
)
def test_a_field_that_shows_other_files_is_an_error(offer, suffixes, message):
    offer({"odd": Recorded(*suffixes)})
    with pytest.raises(ValueError) as raised:
        gvt.Shown("odd", [1]).files()
    assert message in str(raised.value)


def test_samples_are_numbered_lines_and_files_by_suffix(offer):
    voice, echo = Recorded(".wav", ".png", is_dense=True), Recorded(".wav")
    offer({"voice": voice, "echo": echo})
    texts, numbers = [f"a  {n}\nb" for n in range(20)], [*range(20)]
    texts[1] = numbers[1] = None
    values = {"voice": torch.rand(20, 3), "text": texts, "echo": numbers}
    files = files_of_samples(values, ["cat", "", *["dog"] * 18])
    assert [end for end, _ in files] == [".txt", ".wav", ".png", "_echo.wav"]
    lines = files[0][1].decode().splitlines()
    assert lines[:3] == ["1  cat  a 0 b", "2", "3  dog  a 2 b"]
    assert len(lines) == 20
    (voices,), (echoes,) = voice.asked, echo.asked
    assert isinstance(voices, Tensor)
    assert voices.shape == (MOST_PLAYED, 3)
    assert echoes == [0, *range(2, MOST_PLAYED + 1)]  # the first ones that have it
