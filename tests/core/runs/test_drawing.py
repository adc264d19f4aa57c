"""Samples as sheets, with what is known of them."""

import numpy as np
import pytest
import torch
from PIL import Image

import gvt
from gvt.evaluation import Mistake
from gvt.runs.drawing import LINE, SIDES, save_mistakes, save_samples
from gvt.runs.pictures import PADDING

CLASSES = ["cat", "dog"]


def frame(*sizes):
    canvas = (max(h for h, _ in sizes), max(w for _, w in sizes))
    return gvt.Frame(tuple(sizes), canvas)


def pixels(path):
    return np.array(Image.open(path).convert("RGB"))


def test_small_pictures_are_enlarged_by_a_whole_number_and_captioned(tmp_path):
    image = torch.zeros(1, 1, 10, 20)
    image[0, 0, 0, 0] = 1
    targets = gvt.Targets({"class": torch.tensor([1])})
    save_samples(gvt.Batch(image, frame((10, 20)), targets=targets), CLASSES, tmp_path / "s.png")
    drawn = pixels(tmp_path / "s.png")
    scale = SIDES[0] // 20
    assert drawn.shape == (10 * scale + LINE + 2 * PADDING, 20 * scale + 2 * PADDING, 3)
    assert (drawn[PADDING : PADDING + scale, PADDING : PADDING + scale] == 255).all()
    assert (drawn[PADDING + scale, PADDING + scale] == 0).all()
    caption = drawn[PADDING + 10 * scale : -PADDING, PADDING:-PADDING]
    assert caption.min() < 100  # the class's name
    assert caption.max() == 255


def test_large_pictures_are_made_smaller_and_padding_is_not_shown(tmp_path):
    images = torch.ones(2, 3, 700, 900)
    images[1, :, :, 350:] = 0  # the padding of the second
    save_samples(gvt.Batch(images, frame((700, 900), (700, 350))), [], tmp_path / "s.png")
    drawn = pixels(tmp_path / "s.png")
    assert drawn.shape[1] <= 2 * (SIDES[1] + PADDING) + PADDING
    assert (drawn == 0).sum() == 0


def test_boxes_masks_and_classes_of_pixels_are_drawn_where_they_are(tmp_path):
    size = (60, 60)
    image = torch.full((1, 3, *size), 0.5)
    box = gvt.Targets(
        {},
        {"boxes": [torch.tensor([[10.0, 20, 40, 50]])], "labels": [torch.tensor([1])]},
    )
    save_samples(gvt.Batch(image, frame(size), targets=box), CLASSES, tmp_path / "box.png")
    drawn = pixels(tmp_path / "box.png")[PADDING:, PADDING:]
    scale = SIDES[0] // 60
    on_edge, inside = drawn[20 * scale, 25 * scale], drawn[35 * scale, 25 * scale]
    assert len(set(on_edge.tolist())) > 1  # coloured
    assert inside.tolist() == [128] * 3

    semantic = torch.full(size, 255)
    semantic[:30] = 1
    dense = gvt.Targets({"semantic": semantic[None]})
    save_samples(gvt.Batch(image, frame(size), targets=dense), CLASSES, tmp_path / "sem.png")
    drawn = pixels(tmp_path / "sem.png")[PADDING:, PADDING:]
    assert len(set(drawn[10, 10].tolist())) > 1
    assert drawn[50, 10].tolist() == [128] * 3  # to be ignored

    masks = gvt.Targets({}, {"masks": [(semantic == 1)[None]], "labels": [torch.tensor([0])]})
    save_samples(gvt.Batch(image, frame(size), targets=masks), CLASSES, tmp_path / "mask.png")
    assert len(set(pixels(tmp_path / "mask.png")[PADDING + 10, PADDING + 10].tolist())) > 1


@pytest.mark.parametrize("targets", [None, gvt.Targets({}, {"boxes": [torch.zeros(0, 4)]})])
def test_a_picture_without_anything_on_it_is_only_a_picture(tmp_path, targets):
    batch = gvt.Batch(torch.full((1, 1, 28, 28), 0.25), frame((28, 28)), targets=targets)
    save_samples(batch, CLASSES, tmp_path / "s.png")
    drawn = pixels(tmp_path / "s.png")[PADDING:-PADDING, PADDING:-PADDING]
    assert (drawn == 64).all()


def test_mistakes_of_different_sizes_stand_in_equal_cells(tmp_path):
    mistakes = [
        Mistake(
            1.0,
            torch.rand(1, *size),
            {"class": torch.tensor(0), "scores": torch.tensor([0.9, 0.1])},
            {"class": torch.tensor(1)},
            "somewhere",
        )
        for size in ((28, 28), (20, 28), (28, 14))
    ]
    save_mistakes(mistakes, CLASSES, tmp_path / "m.png")
    drawn = pixels(tmp_path / "m.png")
    side, height = 28 * 4, 28 * 4 + 2 * LINE
    assert drawn.shape == (2 * (height + PADDING) + PADDING, 2 * (side + PADDING) + PADDING, 3)


def test_what_several_heads_say_is_drawn_together(tmp_path):
    both = {
        "name": {"class": torch.tensor(1), "scores": torch.tensor([0.2, 0.8])},
        "where": {"boxes": torch.tensor([[2.0, 2, 20, 20]]), "labels": torch.tensor([0])},
    }
    mistake = Mistake(1.0, torch.zeros(1, 28, 28), both, {"class": torch.tensor(0)}, "")
    save_mistakes([mistake], CLASSES, tmp_path / "m.png")
    drawn = pixels(tmp_path / "m.png")
    assert len(set(drawn[PADDING + 8, PADDING + 20].tolist())) > 1  # the box's upper edge


def test_a_title_stands_above_and_is_not_cut(tmp_path):
    mistake = Mistake(1.0, torch.zeros(1, 28, 28), {"class": torch.tensor(0)}, {}, "")
    save_mistakes([mistake], CLASSES, tmp_path / "plain.png")
    save_mistakes([mistake], CLASSES, tmp_path / "titled.png", title="val, step 1,200: mistakes")
    plain, titled = pixels(tmp_path / "plain.png"), pixels(tmp_path / "titled.png")
    height, width, _ = plain.shape
    assert titled.shape[0] == height + LINE
    assert titled.shape[1] > width
    assert (titled[LINE:, :width] == plain).all()
    above = titled[:LINE]
    assert above.min() < 100
    assert (above[:, -1] == 255).all()  # the last letter ends before the edge


@pytest.mark.parametrize("name", ["dog\ncat\r", "\udc80\x00", "$\\nonsense{$", "long " * 60])
def test_a_name_neither_breaks_the_picture_nor_raises(name, tmp_path):
    image, target = torch.zeros(1, 28, 28), {"class": torch.tensor(1)}
    for file, classes in (("odd.png", ["cat", name]), ("plain.png", CLASSES)):
        save_mistakes([Mistake(1.0, image, target, target, "")], classes, tmp_path / file)
    odd, plain = pixels(tmp_path / "odd.png"), pixels(tmp_path / "plain.png")
    assert odd.shape == plain.shape
    # "is " at the beginning of the second line: nothing of the first reaches into it.
    second = slice(PADDING + 28 * 4 + LINE, -PADDING)
    assert (odd[second, : PADDING + 10] == plain[second, : PADDING + 10]).all()


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_a_sample_has_any_number_of_channels(channels, tmp_path):
    image = torch.zeros(channels, 28, 28)
    image[0] = 1
    save_mistakes([Mistake(1.0, image, {}, {}, "")], CLASSES, tmp_path / "m.png")
    shown = [255, 255, 255] if channels < 3 else [255, 0, 0]
    assert pixels(tmp_path / "m.png")[PADDING + 56, PADDING + 56].tolist() == shown
