"""Samples as sheets, with what is known of them."""

import numpy as np
import pytest
import torch
from PIL import Image

import gvt
from gvt.vision.drawing.palette import color_of
from gvt.vision.drawing.samples import LINE, SIDES, save_samples, words_of
from gvt.vision.drawing.tiles import PADDING

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
    save_samples(
        gvt.Batch({"image": image}, frame((10, 20)), targets=targets), CLASSES, tmp_path / "s.png"
    )
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
    save_samples(
        gvt.Batch({"image": images}, frame((700, 900), (700, 350))), [], tmp_path / "s.png"
    )
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
    save_samples(
        gvt.Batch({"image": image}, frame(size), targets=box), CLASSES, tmp_path / "box.png"
    )
    drawn = pixels(tmp_path / "box.png")[PADDING:, PADDING:]
    scale = SIDES[0] // 60
    on_edge, inside = drawn[20 * scale, 25 * scale], drawn[35 * scale, 25 * scale]
    assert len(set(on_edge.tolist())) > 1  # coloured
    assert inside.tolist() == [128] * 3

    semantic = torch.full(size, 255)
    semantic[:30] = 1
    dense = gvt.Targets({"semantic": semantic[None]})
    save_samples(
        gvt.Batch({"image": image}, frame(size), targets=dense), CLASSES, tmp_path / "sem.png"
    )
    drawn = pixels(tmp_path / "sem.png")[PADDING:, PADDING:]
    assert len(set(drawn[10, 10].tolist())) > 1
    assert drawn[50, 10].tolist() == [128] * 3  # to be ignored

    masks = gvt.Targets({}, {"masks": [(semantic == 1)[None]], "labels": [torch.tensor([0])]})
    save_samples(
        gvt.Batch({"image": image}, frame(size), targets=masks), CLASSES, tmp_path / "mask.png"
    )
    assert len(set(pixels(tmp_path / "mask.png")[PADDING + 10, PADDING + 10].tolist())) > 1


@pytest.mark.parametrize("targets", [None, gvt.Targets({}, {"boxes": [torch.zeros(0, 4)]})])
def test_a_picture_without_anything_on_it_is_only_a_picture(tmp_path, targets):
    batch = gvt.Batch({"image": torch.full((1, 1, 28, 28), 0.25)}, frame((28, 28)), targets=targets)
    save_samples(batch, CLASSES, tmp_path / "s.png")
    drawn = pixels(tmp_path / "s.png")[PADDING:-PADDING, PADDING:-PADDING]
    assert (drawn == 64).all()


def test_masks_are_outlined_on_pixels_that_are_painted_and_boxes_lie_over_both(tmp_path):
    semantic = torch.full((1, 60, 60), len(CLASSES))
    semantic[0, 10:40, 10:40] = 1
    mask = torch.zeros(1, 60, 60, dtype=torch.uint8)
    mask[0, 15:35, 15:35] = 1
    found = {"boxes": [torch.tensor([[15.0, 5, 45, 55]])], "labels": [torch.tensor([0])],
             "masks": [mask]}  # fmt: skip
    targets = gvt.Targets({"class": torch.tensor([1]), "semantic": semantic}, found)
    batch = gvt.Batch({"image": torch.full((1, 1, 60, 60), 0.5)}, frame((60, 60)), targets=targets)
    save_samples(batch, CLASSES, tmp_path / "s.png")
    drawn = pixels(tmp_path / "s.png")[PADDING:, PADDING:].astype(int)
    assert (drawn[15:35, [15, 34]] == color_of(0)).all()
    assert (drawn[[15, 34], 16:34] == color_of(0)).all()
    assert np.abs(drawn[16:34, 16:34] - tinted(1)).max() <= 1  # within the outline
    assert (drawn[5, 15:45] == color_of(0)).all()
    assert drawn[50, 30].tolist() == [128] * 3


def test_the_shares_of_mixed_pictures_are_told():
    shares = {"class": torch.tensor([0.25, 0.75])}
    assert words_of(shares, CLASSES) == "cat (25%), dog (75%)"
    assert words_of({"class": torch.tensor([0.0, 1.0])}, CLASSES) == "dog (100%)"


def tinted(number):
    return [round(64 + value / 2) for value in color_of(number)]


def test_padding_of_a_batch_is_not_drawn(tmp_path):
    semantic = torch.full((2, 60, 60), 1)
    semantic[1, :, 30:] = 0  # beside the second picture
    targets = gvt.Targets({"semantic": semantic})
    images = torch.full((2, 1, 60, 60), 0.5)
    batch = gvt.Batch({"image": images}, frame((60, 60), (60, 30)), targets=targets)
    save_samples(batch, CLASSES, tmp_path / "s.png")
    beside = pixels(tmp_path / "s.png").astype(int)[:, 2 * PADDING + 60 :]
    second = beside[PADDING : PADDING + 60, :30]
    assert np.abs(second - tinted(1)).max() <= 1
