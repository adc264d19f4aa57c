"""Scores come back from a canvas to the picture that was brought to it."""

import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from gvt.vision.pictures.fitting import fitted
from gvt_predict import resampled as module
from gvt_predict.resampled import resampled


def back(scores, geometry, size):
    whole = torch.full((len(scores), *size), float("nan"))
    seen = torch.zeros(size, dtype=torch.bool)
    for box, parts, inside in resampled({"head": scores}, geometry, size):
        place = (..., slice(box.top, box.bottom), slice(box.left, box.right))
        assert whole[place].isnan().all()
        whole[place] = parts["head"]
        seen[place] = inside
    return whole, seen


@pytest.mark.parametrize("parts", [1, 7])
@pytest.mark.parametrize("canvas", [(16, 16), (40, 24), (90, 130)])
def test_a_stretched_picture_is_interpolated_as_torch_does(canvas, parts, monkeypatch):
    size = (37, 53)
    monkeypatch.setattr(module, "SCORES_BYTES", 16 * 3 * max(53, canvas[1]) * 37 // parts)
    scores = torch.rand(3, *canvas)
    _, geometry = fitted(Image.new("L", size[::-1]), canvas, "stretch")
    whole, seen = back(scores, geometry, size)
    expected = F.interpolate(scores[None], size, mode="bilinear", align_corners=False)[0]
    torch.testing.assert_close(whole, expected)
    assert seen.all()


def test_what_a_crop_lost_was_not_seen():
    _, geometry = fitted(Image.new("L", (80, 40)), (20, 20), "crop")
    _, seen = back(torch.rand(1, 20, 20), geometry, (40, 80))
    assert seen[:, 20:60].all()
    assert not seen[:, :20].any()
    assert not seen[:, 60:].any()


def test_padding_stays_outside():
    scores = torch.zeros(1, 32, 32)
    scores[:, 16:] = 1  # below the picture
    _, geometry = fitted(Image.new("L", (64, 30)), (32, 32), "pad")
    whole, seen = back(scores, geometry, (30, 64))
    assert seen.all()
    assert whole.max() < 0.51
