"""The convolution over words, and the field `tokens`."""

import pytest
import torch
import torch.nn.functional as F

import gvt
from gvt.data_info import DataInfo
from gvt.fields import field_of
from gvt.session.build import build_task

BOOK = {"field": "tokens", "words": [f"w{n}" for n in range(9_998)], "length": 200}


def imdb(monkeypatch):
    monkeypatch.setenv("GVT_DATA", "absent")
    info = DataInfo(("neg", "pos"), None, reader=BOOK)
    return build_task(gvt.compose("text.imdb"), info).eval()


def test_it_is_the_textbooks_network(monkeypatch):
    task = imdb(monkeypatch)
    sizes = [2_560_000, 196_608, 256, 32_768, 128, 128, 1]
    assert [p.numel() for p in task.parameters()] == sizes
    assert sum(sizes) == 2_789_889
    tokens = torch.randint(0, 10_000, (3, 200))
    embedding, filters, bias, *dense = task.parameters()
    maps = F.conv1d(embedding[tokens].transpose(1, 2), filters, bias).relu()
    assert maps.shape == (3, 256, 198)
    hidden = (maps.amax(-1) @ dense[0].T + dense[1]).relu()
    positive = (hidden @ dense[2].T + dense[3]).sigmoid()[:, 0]
    predictions = [p["sentiment"] for p in task.predict(gvt.Batch({"tokens": tokens}))]
    scores = torch.stack([p["scores"] for p in predictions])
    torch.testing.assert_close(scores, torch.stack([1 - positive, positive], dim=1))
    assert [int(p["class"]) for p in predictions] == (positive > 0.5).long().tolist()


@torch.no_grad()
def test_its_weights_begin_as_in_keras(monkeypatch):
    embedding, filters, bias, *_ = imdb(monkeypatch).parameters()
    limit = (6 / (256 * 3 + 256 * 3)) ** 0.5
    for weights, most in ((embedding, 0.05), (filters, limit)):
        assert most * 0.99 < weights.abs().max() <= most
        assert abs(float(weights.std()) - most / 3**0.5) < 0.01 * most
    assert not bias.any()


def test_the_map_of_a_text_is_a_row():
    reader = {"field": "tokens", "words": ["a", "b"], "length": 9}
    backbone = gvt.create("backbone", "text_cnn", reader=reader, embedding=4, filters=5, width=3)
    assert backbone.feature_info == {"words": (5, 1)} and backbone.embedding.num_embeddings == 4
    assert backbone(torch.zeros(2, 9, dtype=torch.int64))["words"].shape == (2, 5, 1, 7)


def test_what_it_cannot_be_built_for_is_one_line():
    short = {"field": "tokens", "words": [], "length": 2}
    with pytest.raises(gvt.ConfigError, match="width 3: texts of 2 words are too short"):
        gvt.create("backbone", "text_cnn", reader=short)
    monochrome = DataInfo(("a", "b"), (1, 28, 28))
    with pytest.raises(gvt.GvtError, match="has no texts"):
        build_task(gvt.compose("text.folder", ["data.root=x"]), monochrome)


def test_sequences_are_padded_at_the_front():
    values = [torch.tensor([5]), torch.tensor([6, 7, 8], dtype=torch.int32)]
    tokens = field_of("tokens").collate(values, gvt.Frame(), [])
    assert tokens.tolist() == [[0, 0, 5], [6, 7, 8]] and tokens.dtype == torch.int64
    assert gvt.Shown("tokens", tokens).files() == [(".txt", b"1 words\n3 words\n")]
