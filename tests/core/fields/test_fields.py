"""How keys of samples are batched, moved and shown, each by its field."""

import io

import pytest
import torch
from PIL import Image

import gvt
from gvt.data.collate import collate
from gvt.fields import field_of
from gvt_registry import Registry
from gvt_registry.target import Target

CPU = gvt.Placement(torch.device("cpu"))


def sample(inputs, targets=None, source="a"):
    return gvt.Sample(inputs, targets or {}, gvt.Record(source, (0, 0)))


def tokens(*numbers, **targets):
    return sample({"notes": torch.tensor(numbers)}, targets)


class Padded(gvt.Field):
    """Sequences of one length for the whole batch, padded with 0."""

    is_dense = True

    def collate(self, values, frame, records):
        return torch.nn.utils.rnn.pad_sequence(list(values), batch_first=True)


@pytest.fixture
def plugin_field(monkeypatch):
    """Offer a field `tokens`, as a plugin does, in a registry that is otherwise empty."""
    registry = Registry()
    target = Target("field", "notes", ())
    monkeypatch.setattr(Target, "load", lambda self: Padded)
    monkeypatch.setattr(registry, "targets", lambda hook: {"notes": target})
    monkeypatch.setattr("gvt.fields.default_registry", lambda: registry)


def test_a_key_that_nobody_offers_is_a_list_that_moves_to_the_device():
    batch = collate([tokens(1, 2), tokens(3), sample({})])
    assert [None if t is None else t.tolist() for t in batch.inputs["notes"]] == [
        [1, 2],
        [3],
        None,
    ]
    moved = field_of("notes").on_device([torch.ones(1), {"a": torch.ones(2)}, "text", None], CPU)
    assert moved[1]["a"].tolist() == [1, 1] and moved[2:] == ["text", None]


def test_the_field_of_a_plugin_collates_its_key(plugin_field):
    batch = collate([tokens(1, 2), tokens(3)])
    assert batch.inputs["notes"].tolist() == [[1, 2], [3, 0]]


def test_the_length_of_a_batch_is_that_of_its_samples(plugin_field):
    batch = collate([tokens(1, label=0), tokens(2, label=1), tokens(3, label=1)])
    assert len(batch) == 3
    assert batch.frame == gvt.Frame()
    chosen = batch.select(torch.tensor([2, 0]))
    assert chosen.inputs["notes"].tolist() == [[3], [1]]
    assert chosen.targets["label"] == [1, 0]


def test_a_batch_or_a_sample_without_images_says_so():
    with pytest.raises(gvt.DataError, match="the batch has no image; its inputs are notes"):
        _ = collate([tokens(1)]).images
    with pytest.raises(gvt.DataError, match="a has no image; its inputs are none"):
        _ = sample({}).image


def test_a_dense_input_that_some_samples_lack_is_an_error_that_names_one(plugin_field):
    with pytest.raises(gvt.DataError, match="b has no notes, and other samples of its batch have"):
        collate([tokens(1), sample({}, source="b")])


@pytest.mark.parametrize(
    ("shape", "size"),
    [((1, 3, 4, 6), (6, 4)), ((4, 1, 4, 6), (18, 14)), ((1, 3, 3, 4, 6), (26, 8))],
)
def test_images_are_shown_as_one_sheet(shape, size):
    images = torch.full(shape, 0.25)
    ((suffix, content),) = gvt.Shown.of(images).files()
    sheet = Image.open(io.BytesIO(content))
    assert suffix == ".png" and sheet.size == size
    edge = 0 if shape[0] == 1 and len(shape) == 4 else 2
    assert sheet.getpixel((edge, edge)) == (64, 64, 64)


def test_texts_are_shown_as_lines_of_text():
    assert gvt.Shown("anything", ["one", "two"]).files() == [(".txt", b"one\ntwo\n")]
