"""What is said of a picture does not depend on how it is cut, and stays where it belongs."""

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

import gvt
from gvt.config import compose
from gvt.data_info import DataInfo
from gvt.device.placement import Placement
from gvt.session.build import build_task
from gvt.session.opened import Opened
from gvt_predict.forms import Form, forms_of
from gvt_predict.predictor import Predictor
from gvt_predict.scoring import Scorer
from gvt_predict.settings import PredictConfig

SHARP = {"name": "shade", "weights": 500.0}


@pytest.fixture
def predictor(pixels):
    """Return what builds a predictor of heads by name."""

    def build(heads, *overrides, reader=None, shape=None, background=False, classes=None,
              stride=1):  # fmt: skip
        recipe = {**pixels.TRAINING, "data": pixels.SHADES, "heads": heads,
                  "backbone": {"name": "pixels", "stride": stride}}  # fmt: skip
        config = compose(recipe, [f"predict.{override}" for override in overrides])
        names = tuple(classes or [*pixels.NAMES][: 2 if background else 3])
        document = None if reader is None else reader.document()
        facts = DataInfo(names, shape, background=background, reader=document)
        torch.manual_seed(0)
        opened = Opened(config)
        opened.info, opened.placement = facts, Placement(torch.device("cpu"))
        opened.task = build_task(config, facts).eval()
        return Predictor(opened, config.section("predict", PredictConfig))

    return build


def picture(height, width, seed=0):
    values = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    return Image.fromarray(values)


def shades(image, count=3):
    """Return what the sharp head says of a picture: the shade of the mean of the colours."""
    mean = np.asarray(image).reshape(image.height, image.width, -1).mean(axis=2) / 255
    return np.minimum((mean * count).astype(int), count - 1)


def same(said, expected, share=0.99):
    """Whether maps agree but for pixels on the border between two shades."""
    return said.shape == expected.shape and (said == expected).mean() > share


@pytest.mark.parametrize("flips", ["false", "true"])
@pytest.mark.parametrize("size", [(50, 130), (33, 20), (1, 90), (5, 3)])
def test_tiles_and_flips_say_what_the_whole_says_where_pixels_decide(predictor, size, flips):
    image, reader = picture(*size), gvt.PictureReader()
    whole = predictor({"a": SHARP}, reader=reader)(image, "a picture")["a"]["semantic"]
    overrides = ("tile=32", "overlap=0.4", f"flips={flips}", "batch_size=3")
    tiled = predictor({"a": SHARP}, *overrides, reader=reader)(image, "it")["a"]["semantic"]
    assert (whole.dtype, tuple(whole.shape)) == (torch.uint8, size)
    assert same(tiled.numpy(), whole.numpy())
    assert same(whole.numpy(), shades(image), 0.95)


def test_a_picture_brought_to_a_size_comes_back_in_its_own(predictor):
    image = picture(3, 4).resize((120, 90), Image.Resampling.BICUBIC)
    reader = gvt.PictureReader(size=(45, 60), fit="stretch")
    said = predictor({"a": SHARP}, reader=reader)(image, "it")["a"]["semantic"].numpy()
    assert same(said, shades(image), 0.9)


def test_what_the_network_was_not_shown_is_255_or_in_no_mask(predictor):
    image, reader = picture(40, 100), gvt.PictureReader(size=(20, 20), fit="crop")
    heads = {"a": SHARP, "b": {"name": "at_least"}}
    said = predictor(heads, reader=reader)(image, "it")
    semantic, masks = said["a"]["semantic"], said["b"]["masks"]
    assert (semantic[:, :30] == 255).all()
    assert (semantic[:, 70:] == 255).all()
    assert (semantic[:, 30:70] < 3).all()
    assert masks.shape == (3, 40, 100)
    assert not masks[:, :, :30].any()
    assert masks[:, :, 30:70].any()


def test_without_a_reader_pixels_keep_the_pictures_size_and_whole_ones_the_trainings(predictor):
    shape = (1, 28, 28)
    of_pixels = predictor({"a": SHARP}, shape=shape)
    assert of_pixels.reader == gvt.PictureReader(1)
    assert of_pixels(picture(40, 30).convert("L"), "it")["a"]["semantic"].shape == (40, 30)
    whole = predictor({"a": {"name": "whole"}}, shape=shape)
    assert whole.reader == gvt.PictureReader(1, (28, 28), fit="pad")
    assert whole(picture(40, 30).convert("L"), "it")["a"]["scores"].shape == (3,)
    nothing = predictor({"a": {"name": "whole"}})
    assert nothing.reader == gvt.PictureReader(3)
    assert predictor({"a": {"name": "things"}}, shape=shape).reader == gvt.PictureReader(1)


def test_images_of_other_channels_are_no_pictures(predictor):
    with pytest.raises(gvt.UsageError, match="images of 4 channels, but image files have 1 or 3"):
        predictor({"a": SHARP}, shape=(4, 28, 28))


def test_a_class_does_not_depend_on_left_and_right_where_flips_are_wanted(predictor):
    image, head = picture(24, 24), {"a": {"name": "whole"}}
    mirrored = ImageOps.mirror(image)
    plain, flipped = (
        predictor(head, f"flips={flips}", reader=gvt.PictureReader()) for flips in ("false", "true")
    )
    scores = [one(of, "it")["a"]["scores"] for one in (plain, flipped) for of in (image, mirrored)]
    assert not torch.allclose(scores[0], scores[1])
    torch.testing.assert_close(scores[2], scores[3])
    torch.testing.assert_close(scores[2], (scores[0] + scores[1]) / 2)


def test_of_tiles_a_class_takes_the_mean_and_labels_whatever_is_in_one(predictor):
    heads = {"a": SHARP, "b": {"name": "whole"}, "c": {"name": "whole", "several": True}}
    tiled = predictor(heads, "tile=32", "overlap=0", reader=gvt.PictureReader())
    image = Image.new("RGB", (64, 32), "white")
    image.paste("black", (0, 0, 32, 32))
    halves = [tiled(image.crop((x, 0, x + 32, 32)), "half") for x in (0, 32)]
    said = tiled(image, "both")
    mean = (halves[0]["b"]["scores"] + halves[1]["b"]["scores"]) / 2
    torch.testing.assert_close(said["b"]["scores"], mean)
    assert said["b"]["class"] == mean.argmax()
    labels = {*halves[0]["c"]["labels"].tolist(), *halves[1]["c"]["labels"].tolist()}
    assert set(said["c"]["labels"].tolist()) == labels
    assert (said["a"]["semantic"][:, :32] == 0).all()
    assert (said["a"]["semantic"][:, 32:] == 2).all()


def test_a_picture_smaller_than_the_coarsest_feature_is_filled_up(predictor):
    image = picture(5, 40)
    said = predictor({"a": SHARP}, reader=gvt.PictureReader(), stride=16)(image, "it")["a"]
    assert same(said["semantic"].numpy(), shades(image), 0.95)


def test_predictions_of_neither_pictures_nor_pixels_are_refused(predictor):
    with pytest.raises(gvt.UsageError, match="predictions of boxes cannot be written"):
        predictor({"a": {"name": "anything"}}, reader=gvt.PictureReader())
    with pytest.raises(gvt.UsageError, match="head b: predictions of boxes"):
        predictor({"a": SHARP, "b": {"name": "anything"}}, reader=gvt.PictureReader())


def test_more_classes_than_a_png_holds_are_refused(predictor):
    many = [str(number) for number in range(255)]
    with pytest.raises(gvt.UsageError, match="255 classes of pixels, but the PNG"):
        predictor({"a": SHARP}, reader=gvt.PictureReader(), classes=many)


THINGS = {"name": "things"}


def things(boxes, size, shades=(255,)):
    """Return a black picture (H, W) with rectangles on it, in shades of grey by turns."""
    values = np.zeros((*size, 3), np.uint8)
    for number, (left, top, right, bottom) in enumerate(boxes):
        values[top:bottom, left:right] = shades[number % len(shades)]
    return Image.fromarray(values)


def boxes_of(found):
    return sorted(tuple(box) for box in found.boxes.tolist())


BOXES = [
    (3, 4, 20, 30),
    (40, 6, 150, 24),
    (90, 50, 100, 58),
    (10, 40, 60, 190),
    (120, 100, 179, 197),
]


@pytest.mark.parametrize("masks", [False, True])
@pytest.mark.parametrize("heads", [["things"], ["things", "shade", "whole"]])
def test_objects_are_found_in_tiles_as_in_the_whole(predictor, masks, heads):
    image, reader = things(BOXES, (200, 180), (255, 170, 85)), gvt.PictureReader()
    parts = {name: {"name": name} for name in heads} | {"things": {**THINGS, "masks": masks}}
    whole = predictor(parts, reader=reader)(image, "it")["things"]
    assert boxes_of(whole) == sorted(map(tuple, BOXES))
    overrides = ("tile=64", "batch_size=3", "flips=true")
    tiled = predictor(parts, *overrides, reader=reader)(image, "it")["things"]
    assert boxes_of(tiled) == boxes_of(whole)
    one, other = (
        sorted(zip(found.boxes.tolist(), found.labels.tolist(), strict=True))
        for found in (whole, tiled)
    )
    assert one == other
    if masks:
        order = [[*map(tuple, found.boxes.tolist())] for found in (whole, tiled)]
        pictures = [found.prediction((200, 180))["masks"] for found in (whole, tiled)]
        for row, box in enumerate(order[0]):
            assert torch.equal(pictures[0][row], pictures[1][order[1].index(box)])


def test_a_picture_no_larger_than_a_tile_is_predicted_as_a_whole(predictor):
    image, reader = things(BOXES, (200, 180)), gvt.PictureReader()
    tasks = [
        predictor({"a": THINGS}, f"tile={tile}", reader=reader) for tile in (200, 1000, "auto")
    ]
    found = [task(image, "it")["a"].prediction() for task in tasks]
    for other in found[1:]:
        for key, value in found[0].items():
            assert torch.equal(value, other[key])


@pytest.mark.parametrize("fit", ["pad", "stretch", "crop", "within"])
def test_objects_in_a_picture_that_was_brought_to_a_size_are_in_its_own_pixels(predictor, fit):
    reader = gvt.PictureReader(size=(60, 60), fit=fit)
    boxes = [(40, 10, 80, 50), (100, 60, 140, 100)]
    found = predictor({"a": {**THINGS, "masks": True}}, reader=reader)(
        things(boxes, (120, 180)), "it"
    )
    objects = found["a"]
    assert len(objects) == 2
    for box, expected in zip(boxes_of(objects), sorted(boxes), strict=True):
        assert np.abs(np.array(box) - expected).max() <= 4
    masks = objects.prediction((120, 180))["masks"]
    assert masks.shape == (2, 120, 180)
    for box, mask in zip(objects.boxes.int().tolist(), masks, strict=True):
        left, top, right, bottom = box
        assert mask.sum() == mask[top : bottom + 1, left : right + 1].sum() > 0.8 * 40 * 40


def test_a_large_picture_is_cut_into_parts_that_are_brought_to_the_size(predictor):
    """The size's proportions are the tiles', so that nothing is lost by `crop`."""
    reader = gvt.PictureReader(size=(30, 60))
    boxes = [(30, 20, 60, 50), (100, 100, 380, 130), (300, 10, 330, 90), (350, 160, 390, 190)]
    image = things(boxes, (200, 400))
    asked = []
    task = predictor({"a": THINGS}, "tile=120", reader=reader)
    scored = task._score
    task._score = lambda image, boxes, *rest: asked.extend(boxes) or scored(image, boxes, *rest)
    found = task(image, "it")["a"]
    assert {(box.bottom - box.top, box.right - box.left) for box in asked} == {(60, 120)}
    assert len(found) == len(boxes)
    for box, expected in zip(boxes_of(found), sorted(boxes), strict=True):
        assert np.abs(np.array(box) - expected).max() <= 4


def test_tiles_of_pictures_that_are_brought_to_a_size_are_for_objects_alone(predictor):
    reader = gvt.PictureReader(size=(30, 60))
    with pytest.raises(
        gvt.UsageError, match=r"predict\.tile=100: the model resizes images to 30 x 60"
    ):
        predictor({"a": SHARP, "b": THINGS}, "tile=100", reader=reader)
    said = predictor({"a": SHARP}, "tile=512", reader=reader)(picture(9, 9), "it")
    assert said["a"]["semantic"].shape == (9, 9)
    whole = predictor({"a": {"name": "whole"}}, "tile=16", reader=reader)(picture(99, 99), "it")
    assert whole["a"]["scores"].shape == (3,)


def test_a_picture_without_objects_has_none(predictor):
    found = predictor({"a": {**THINGS, "masks": True}}, "tile=32", reader=gvt.PictureReader())(
        Image.new("RGB", (70, 50)), "it"
    )["a"]
    assert {k: tuple(v.shape) for k, v in found.prediction((50, 70)).items()} == {
        "boxes": (0, 4), "labels": (0,), "scores": (0,), "masks": (0, 50, 70),
    }  # fmt: skip


LONG = [(4, 60, 44, 100), (300, 20, 360, 80), (900, 90, 960, 190), (1950, 8, 1996, 60)]


@pytest.mark.parametrize("fit", ["crop", "pad", "stretch", "within"])
@pytest.mark.parametrize("turned", [False, True])
def test_tiles_of_a_long_picture_lose_neither_its_ends_nor_proportions(predictor, fit, turned):
    """It is narrower than a tile, which so has other proportions than the reader's size."""
    boxes = [(top, left, bottom, right) for left, top, right, bottom in LONG] if turned else LONG
    image = things(boxes, (2000, 200) if turned else (200, 2000))
    reader = gvt.PictureReader(size=(240, 320), fit=fit)
    found = predictor({"a": THINGS}, "tile=640", reader=reader)(image, "it")["a"]
    assert len(found) == len(boxes)
    for box, expected in zip(boxes_of(found), sorted(boxes), strict=True):
        assert np.abs(np.array(box) - expected).max() <= 4


@pytest.mark.parametrize("fit", ["crop", "pad", "stretch", "within"])
def test_what_is_square_is_shown_so_in_tiles_though_they_are_narrower(predictor, fit):
    task = predictor({"a": THINGS}, "tile=640", reader=gvt.PictureReader(size=(240, 320), fit=fit))
    scorer, sides = task._scorer, []

    def watched(images, *rest):
        for image in images:
            lit = image.amax(dim=0) > 100
            sides.append((int(lit.any(dim=1).sum()), int(lit.any(dim=0).sum())))
        return scorer(images, *rest)

    task._scorer = watched
    task(things([(900, 50, 1000, 150)], (200, 2000)), "it")
    assert max(sides) == pytest.approx((50, 50), abs=2)


@pytest.mark.parametrize("fit", ["crop", "pad"])
def test_objects_at_the_edges_of_a_picture_are_shown_though_the_training_cropped(predictor, fit):
    boxes = [(0, 40, 40, 80), (460, 20, 500, 60)]
    task = predictor({"a": THINGS}, reader=gvt.PictureReader(size=(60, 60), fit=fit, share=0.875))
    found = task(things(boxes, (100, 500)), "it")["a"]
    assert len(found) == 2
    for box, expected in zip(boxes_of(found), sorted(boxes), strict=True):
        assert np.abs(np.array(box) - expected).max() <= 9


def test_heads_that_see_no_more_than_the_training_keep_its_crop(predictor):
    reader = gvt.PictureReader(size=(60, 60))
    assert predictor({"a": {"name": "whole"}}, reader=reader).reader == reader
    assert predictor({"a": SHARP, "b": THINGS}, reader=reader).reader == reader


def test_a_task_that_declares_what_it_predicts_is_not_tried_before(predictor, pixels, monkeypatch):
    monkeypatch.setattr(pixels.Shade, "predicts", ("semantic", "scores"), raising=False)
    monkeypatch.setattr(pixels.Whole, "predicts", ("class", "scores"), raising=False)
    monkeypatch.setattr(Scorer, "keys", None)
    heads = {"a": SHARP, "b": {"name": "whole"}}
    task = predictor(heads, reader=gvt.PictureReader())
    assert task.forms == {"a": Form("semantic", 3), "b": Form("class", 3)}
    said = task(picture(20, 30), "it")
    assert said["a"]["semantic"].shape == (20, 30)
    assert said["b"]["scores"].shape == (3,)


def test_forms_need_keys_and_the_number_of_classes_alone():
    info = DataInfo(("a", "b"), None, background=True)
    keys = {
        "semantic": ("semantic", "scores"),
        "boxes": ("boxes", "labels", "scores", "masks"),
        "masks": ("masks", "labels", "scores"),
        "class": ("class", "scores"),
        "labels": ("labels", "scores"),
    }
    forms = forms_of(keys, info)
    assert {name: form.key for name, form in forms.items()} == {name: name for name in keys}
    assert [form.channels for form in forms.values()] == [3, 1, 2, 2, 2]
    assert [name for name, form in forms.items() if form.is_dense] == ["semantic", "masks"]
    for without_scores in (("class",), ("boxes", "scores"), ()):
        with pytest.raises(gvt.UsageError, match="cannot be written"):
            forms_of({"": without_scores}, info)
