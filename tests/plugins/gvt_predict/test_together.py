"""Several heads: one overlay of all that they say, and files of each."""

import numpy as np
import pytest
from PIL import Image

import gvt
from gvt.vision.drawing.palette import color_of

SHARP = "heads.where.weights=500"
MASKS = "heads.what.masks=true"


def half_light():
    """Return a picture that is light above and dark below."""
    values = np.zeros((30, 40, 3), np.uint8)
    values[:15] = 250
    return Image.fromarray(values)


def two_things(size=(60, 80)):
    """Return a picture with a light and a dark rectangle on black."""
    values = np.zeros((*size, 3), np.uint8)
    values[5:35, 10:50], values[30:42, 55:65] = 255, 85
    return Image.fromarray(values)


def test_several_heads_are_drawn_together_and_each_has_its_files(pixels, tmp_path):
    two_things((120, 160)).save(tmp_path / "a.png")
    heads = ("heads.where.name=shade", SHARP, "heads.too.name=things", "heads.all.name=whole",
             "heads.all.weights=5", MASKS)  # fmt: skip
    (done,) = gvt.predict("pixels.things", tmp_path / "a.png", *heads, out=tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "a_overlay.png", "a_where.png", "predictions.jsonl", "predictions_too.json",
        "predictions_what.json",
    ]  # fmt: skip
    assert [path.name for path in done.files] == ["a_where.png", "a_overlay.png"]
    assert sorted(done.prediction) == ["all", "too", "what"]
    summary = done.summary
    assert list(summary) == ["file", "height", "width", "overlay", "heads"]
    assert summary["overlay"] == "a_overlay.png"
    assert summary["heads"]["where"]["mask"] == "a_where.png"
    assert not any("overlay" in part for part in summary["heads"].values())
    drawn = np.array(Image.open(tmp_path / "out" / "a_overlay.png")).astype(int)
    assert drawn.shape[0] > 120 + 30  # of the class, of lines, and of colours
    assert drawn.shape[1] == 160
    dark, light = (np.array(color_of(number)) for number in (0, 2))
    assert (np.abs(drawn[50:120, :50] - dark / 2) <= 1).all()  # painted, of no object
    assert (np.abs(drawn[15:25, 20:40] - (255 + light) / 2) <= 1).all()  # once, not once more
    assert (drawn[34, 12:48] == light).all()  # the box
    assert (drawn[120:] == light).all(axis=-1).any()  # explained


def test_masks_are_outlined_on_pixels_that_are_painted(pixels, tmp_path):
    two_things().save(tmp_path / "a.png")
    heads = ("heads.where.name=shade", SHARP, MASKS, "predict.score=0.6")
    gvt.predict("pixels.things", tmp_path / "a.png", *heads, out=tmp_path / "out")
    drawn = np.array(Image.open(tmp_path / "out" / "a_overlay.png"))
    inside = drawn[16:34, 12:48].reshape(-1, 3)
    assert len(np.unique(inside, axis=0)) == 1  # the same colour once, as where nothing is found


def test_two_maps_of_pixels_are_told_apart(pixels, tmp_path):
    """The classes of the second are outlined on the colours of the first."""
    half_light().save(tmp_path / "a.png")
    heads = (SHARP, "heads.two.name=shade", "heads.two.weights=500")
    gvt.predict("pixels.shade", tmp_path / "a.png", *heads, out=tmp_path / "out")
    drawn = np.array(Image.open(tmp_path / "out" / "a_overlay.png")).astype(int)
    dark, light = (np.array(color_of(number)) for number in (0, 2))
    assert (drawn[14, :40] == light).all()
    assert (drawn[15, :40] == dark).all()
    assert (np.abs(drawn[16:30, :40] - dark / 2) <= 1).all()
    assert {path.name for path in (tmp_path / "out").glob("*.png")} == {
        "a_overlay.png", "a_two.png", "a_where.png",
    }  # fmt: skip


def test_a_head_whose_mask_would_be_the_overlay_is_refused(pixels, tmp_path):
    half_light().save(tmp_path / "a.png")
    heads = (SHARP, "heads.Overlay.name=shade", "heads.Overlay.weights=500")
    with pytest.raises(gvt.UsageError, match=r"its mask would be IMAGE_Overlay\.png"):
        gvt.predict("pixels.shade", tmp_path / "a.png", *heads, out=tmp_path / "out")


def test_heads_that_say_nothing_of_places_draw_nothing(pixels, tmp_path):
    half_light().save(tmp_path / "a.png")
    heads = ("heads.what.weights=5", "heads.two.name=whole", "heads.two.weights=5")
    (done,) = gvt.predict("pixels.whole", tmp_path / "a.png", *heads, out=tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["predictions.jsonl"]
    assert list(done.summary) == ["file", "height", "width", "heads"]
