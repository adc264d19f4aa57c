"""Sheets of mistakes: predictions and targets, drawn in their places."""

import numpy as np
import pytest
import torch
from PIL import Image

from gvt.loop.evaluation import Mistake
from gvt.vision.drawing.palette import color_of
from gvt.vision.drawing.samples import LINE, SIDES
from gvt.vision.drawing.tiles import PADDING
from gvt_report.mistakes import GAP, save_mistakes

CLASSES = ["cat", "dog"]


def pixels(path):
    return np.array(Image.open(path).convert("RGB"))


def test_mistakes_of_different_sizes_stand_in_equal_cells(tmp_path):
    mistakes = [
        Mistake(
            1.0,
            {"image": torch.rand(1, *size)},
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


def test_a_title_stands_above_and_is_not_cut(tmp_path):
    mistake = Mistake(1.0, {"image": torch.zeros(1, 28, 28)}, {"class": torch.tensor(0)}, {}, "")
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
        save_mistakes(
            [Mistake(1.0, {"image": image}, target, target, "")], classes, tmp_path / file
        )
    odd, plain = pixels(tmp_path / "odd.png"), pixels(tmp_path / "plain.png")
    assert odd.shape == plain.shape
    # "is " at the beginning of the second line: nothing of the first reaches into it.
    second = slice(PADDING + 28 * 4 + LINE, -PADDING)
    assert (odd[second, : PADDING + 10] == plain[second, : PADDING + 10]).all()


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_a_sample_has_any_number_of_channels(channels, tmp_path):
    image = torch.zeros(channels, 28, 28)
    image[0] = 1
    save_mistakes([Mistake(1.0, {"image": image}, {}, {}, "")], CLASSES, tmp_path / "m.png")
    shown = [255, 255, 255] if channels < 3 else [255, 0, 0]
    assert pixels(tmp_path / "m.png")[PADDING + 56, PADDING + 56].tolist() == shown


def dense(size=(60, 60), prediction=None):
    """Return a mistake of pixels: said is a cat everywhere, and right is a dog above."""
    truth = torch.full(size, 255)
    truth[: size[0] // 2] = 1
    said = prediction or {"semantic": torch.zeros(size, dtype=torch.int64)}
    target = {"semantic": truth, "class": torch.tensor(1)}
    return Mistake(1.0, {"image": torch.full((1, *size), 0.5)}, said, target, "")


def tinted(number):
    return [round(64 + value / 2) for value in color_of(number)]


def test_what_was_said_of_pixels_stands_beside_the_truth_and_a_key_below(tmp_path):
    save_mistakes([dense()], CLASSES, tmp_path / "m.png")
    drawn = pixels(tmp_path / "m.png").astype(int)
    side = 112 // 60 * 60
    assert drawn.shape[0] > side + LINE + 2 * PADDING + LINE
    assert drawn.shape[1:] == (2 * side + GAP + 2 * PADDING, 3)
    left, right = PADDING + 10, PADDING + side + GAP + 10
    above, below = PADDING + 10, PADDING + side - 10
    assert np.abs(drawn[[above, below], left] - tinted(0)).max() <= 1
    assert np.abs(drawn[above, right] - tinted(1)).max() <= 1
    assert drawn[below, right].tolist() == [128] * 3  # to be ignored
    key = drawn[side + LINE + 2 * PADDING :].reshape(-1, 3).tolist()
    assert all(list(color_of(number)) in key for number in (0, 1))
    assert list(color_of(2)) not in key


def test_a_pixel_of_no_class_is_left_as_it_is(tmp_path):
    nothing = {"semantic": torch.full((60, 60), len(CLASSES))}
    save_mistakes([dense(prediction=nothing)], CLASSES, tmp_path / "m.png")
    drawn = pixels(tmp_path / "m.png")
    assert (drawn[PADDING : PADDING + 60, PADDING : PADDING + 60] == 128).all()


def boxed(score, label=0, box=(10.0, 20, 40, 50), size=(60, 60)):
    """Return a mistake of boxes: the truth is one of the other class in the same place."""
    said = {"boxes": torch.tensor([box]), "labels": torch.tensor([label])}
    truth = {"boxes": torch.tensor([box]), "labels": torch.tensor([1 - label])}
    image = torch.full((1, *size), 0.5)
    return Mistake(1.0, {"image": image}, said | {"scores": torch.tensor([score])}, truth, "")


def test_predicted_boxes_stand_beside_the_truth_with_their_scores(tmp_path):
    save_mistakes([boxed(0.87)], CLASSES, tmp_path / "m.png")
    drawn = pixels(tmp_path / "m.png")
    predicted = drawn[PADDING : PADDING + 60, PADDING : PADDING + 60]
    true = drawn[PADDING : PADDING + 60, PADDING + 60 + GAP : PADDING + 120 + GAP]
    for picture, label in ((predicted, 0), (true, 1)):
        coloured = (picture == color_of(label)).all(axis=-1)
        assert coloured[20, 11:40].all()
        assert coloured[49, 11:40].all()
        assert not coloured[22:49, 12:39].any()  # thin
    above = slice(20 - 10, 20), slice(10, 24)
    assert (predicted[above] == color_of(0)).all(axis=-1).mean() > 0.3  # the score's ground
    assert (true[above] == 128).all()
    other = tmp_path / "other.png"
    save_mistakes([boxed(0.51)], CLASSES, other)
    assert (pixels(other)[PADDING:][above] != drawn[PADDING:][above]).any()
    key = drawn[-LINE:].reshape(-1, 3).tolist()
    assert all(list(color_of(number)) in key for number in (0, 1))


@pytest.mark.parametrize("box", [(0.0, 0, 60, 60), (50.0, 2, 60, 10), (0.0, 55, 4, 60)])
def test_a_score_stands_within_the_picture(box, tmp_path):
    save_mistakes([boxed(1.0, box=box)], CLASSES, tmp_path / "m.png")
    save_mistakes([boxed(0.52, box=box)], CLASSES, tmp_path / "n.png")
    one, other = (pixels(tmp_path / name) for name in ("m.png", "n.png"))
    inside = slice(PADDING, PADDING + 60)
    assert (one[inside, inside] != other[inside, inside]).any()
    rows, columns = (one != other).any(axis=-1).nonzero()
    assert PADDING <= rows.min() <= rows.max() < PADDING + 60
    assert PADDING <= columns.min() <= columns.max() < PADDING + 60


def test_boxes_that_are_none_are_left_out(tmp_path):
    nan, inf = float("nan"), float("inf")
    boxes = [[10.0, 10, 30, 30], [nan, 0, 9, 9], [-inf, 2, 3, inf], [30, 30, 20, 40],
             [-1e30, 40, 1e30, 50]]  # fmt: skip
    said = {"boxes": torch.tensor(boxes), "labels": torch.tensor([0, 1, 1, 1, 1]),
            "scores": torch.tensor([0.9, 0.8, nan, 0.7, 0.6])}  # fmt: skip
    plain = {key: value[[0, 4]] for key, value in said.items()}
    for name, known in (("all", said), ("plain", plain)):
        mistake = Mistake(1.0, {"image": torch.zeros(1, 60, 60)}, known, plain, "")
        save_mistakes([mistake], CLASSES, tmp_path / f"{name}.png")
    everything, expected = pixels(tmp_path / "all.png"), pixels(tmp_path / "plain.png")
    side = SIDES[0] // 60 * 60
    assert (everything[:side] == expected[:side]).all()
    assert (expected[PADDING + 40, PADDING + 30] != 0).any()  # the wide one's upper edge


def test_mistakes_without_images_are_lines_with_the_inputs_that_are_texts(tmp_path):
    cat, dog = ({"class": torch.tensor(n)} for n in (0, 1))
    said = dog | {"scores": torch.tensor([0.2, 0.8])}
    mistakes = [
        Mistake(2.0, {"text": "a line\nand one"}, said, cat, "a\n.txt"),
        Mistake(1.0, {"text": "meow"}, {"value": torch.tensor(1.0)}, {}, "b.txt"),
    ]
    save_mistakes(mistakes, CLASSES, tmp_path / "v1.m.png", title="val: mistakes")
    (path,) = tmp_path.iterdir()
    assert path.name == "v1.m.txt"
    assert path.read_text().splitlines() == [
        "val: mistakes",
        "",
        r"1  a\n.txt: predicted dog (80%), is cat  a line and one",
        "2  b.txt: predicted ?, is ?  meow",
    ]
