"""Tiles cover a picture, fade into each other, and need memory for themselves only."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gvt_predict import tiles
from gvt_predict.tiles import Side, blended


@settings(deadline=None)
@given(st.integers(1, 300), st.integers(16, 64), st.floats(0, 0.9))
def test_weights_sum_to_one_at_every_pixel(length, tile, overlap):
    side = Side.of(length, tile, overlap)
    total = torch.zeros(length)
    for start, weights in zip(side.starts, side.weights, strict=True):
        total[start : start + side.tile] += weights
    torch.testing.assert_close(total, torch.ones(length))
    assert (side.weights >= 0).all()
    gaps = [b - a for a, b in zip(side.starts, side.starts[1:], strict=False)]
    assert all(gap <= max(1, side.tile - overlap * side.tile) + 1 for gap in gaps)


def test_the_least_number_of_tiles_is_taken():
    assert Side.of(512, 512, 0.25).starts == (0,)
    assert Side.of(896, 512, 0.25).starts == (0, 384)
    assert Side.of(897, 512, 0.25).starts == (0, 192, 385)
    assert Side.of(100, 512, 0.25).tile == 100


def gather(size, tile, overlap, channels, predict, batch_size=3):
    """Return the scores of a whole picture, and of how many parts they were put together."""
    whole = torch.full((channels, *size), float("nan"))
    parts = 0
    for box, scores in blended(size, tile, overlap, channels, batch_size, predict):
        place = whole[:, box.top : box.bottom, box.left : box.right]
        assert place.isnan().all()  # each pixel once
        place.copy_(scores["head"])
        parts += 1
    return whole, parts


def cut(picture, asked=None):
    def predict(boxes):
        if asked is not None:
            asked.extend(boxes)
        return [{"head": picture[:, b.top : b.bottom, b.left : b.right].clone()} for b in boxes]

    return predict


@pytest.mark.parametrize("overlap", [0, 0.25, 0.5, 0.8])
@pytest.mark.parametrize("size", [(20, 20), (32, 100), (100, 31), (77, 203), (1, 70)])
def test_what_single_pixels_say_is_the_same_in_tiles_and_whole(size, overlap, monkeypatch):
    picture = torch.rand(3, *size)
    asked = []
    whole, _ = gather(size, 32, overlap, 3, cut(picture, asked))
    torch.testing.assert_close(whole, picture)
    assert len(set(asked)) == len(asked)
    rows = Side.of(size[0], 32, overlap)
    monkeypatch.setattr(tiles, "SCORES_BYTES", 4 * 3 * rows.tile * 40)  # stripes of 40 pixels
    narrow, parts = gather(size, 32, overlap, 3, cut(picture))
    torch.testing.assert_close(narrow, picture)
    assert (parts == len(rows.starts)) is (size[1] <= 40)
    assert parts % len(rows.starts) == 0


def test_tiles_that_disagree_fade_into_each_other_without_a_seam():
    def predict(boxes):  # each says another constant, as a network on other contexts may
        return [{"head": torch.full((1, 64, 64), float(hash(b) % 7))} for b in boxes]

    whole, _ = gather((200, 300), 64, 0.5, 1, predict)
    steps = [whole.diff(dim=dim).abs().max().item() for dim in (1, 2)]
    # Hann's windows with half in common go from one tile to the next in 32 steps, the steepest of
    # which is pi / 64 of the way; a seam would be a whole one.
    assert max(steps) < 6 * 1.5 * torch.pi / 64


def test_scores_are_gathered_in_a_strip_and_never_of_the_whole_picture(monkeypatch):
    held = []
    add = tiles._add

    def watched(gathered, *rest):
        add(gathered, *rest)
        held.append(sum(scores.numel() * 4 for scores in gathered.values()))

    monkeypatch.setattr(tiles, "_add", watched)
    monkeypatch.setattr(tiles, "SCORES_BYTES", 1 << 16)

    def predict(boxes):
        return [{"head": torch.zeros(5, 32, 32)} for _ in boxes]

    for side in (100, 400):
        for _ in blended((side, side), 32, 0.25, 5, 4, predict):
            pass
    assert max(held) <= 1 << 16
    assert max(held) > 1 << 14  # the limit is made use of
