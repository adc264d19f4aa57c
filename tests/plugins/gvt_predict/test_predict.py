"""`gvt.predict`: pictures of every kind in, masks and lines out."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import gvt
from gvt.vision.drawing.palette import color_of
from gvt_predict.coco_results import Results

PIXELS = Path(__file__).with_name("pixels.py")
SHARP = "heads.where.weights=500"


def half_light(height=30, width=40):
    """Return a picture that is light above and dark below."""
    values = np.zeros((height, width, 3), np.uint8)
    values[: height // 2] = 250
    return Image.fromarray(values)


def sixteen_bit(image):
    return Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257)


def turned(image):
    return image.transpose(Image.Transpose.ROTATE_90)


def exif(orientation):
    tags = Image.Exif()
    tags[0x0112] = orientation
    return {"exif": tags}


@pytest.mark.parametrize(
    ("name", "change", "options"),
    [
        ("rgb.png", lambda image: image, {}),
        ("rgba.png", lambda image: image.convert("RGBA"), {}),
        ("la.png", lambda image: image.convert("LA"), {}),
        ("palette.gif", lambda image: image.convert("P"), {}),
        ("sixteen.png", sixteen_bit, {}),
        ("cmyk.jpg", lambda image: image.convert("CMYK"), {}),
        ("turned.jpg", turned, exif(6)),
        ("turned.tif", turned, exif(6)),
    ],
)
def test_a_mask_has_the_size_and_orientation_that_people_see(
    pixels, tmp_path, name, change, options
):
    change(half_light()).save(tmp_path / name, **options)
    (done,) = gvt.predict("pixels.shade", tmp_path / name, SHARP, out=tmp_path / "out")
    assert (done.error, done.size) == ("", (30, 40))
    stem = Path(name).stem
    with Image.open(tmp_path / "out" / f"{stem}.png") as mask:
        assert (mask.mode, mask.size) == ("P", (40, 30))
        values = np.array(mask)
    assert (values[:14] == 2).all()
    assert (values[16:] == 0).all()
    with Image.open(tmp_path / "out" / f"{stem}_overlay.png") as overlay:
        assert (overlay.mode, overlay.size) == ("RGB", (40, 30))
        below = np.array(overlay)[20, 20]
    assert np.abs(below.astype(int) - np.array(color_of(0)) / 2).max() <= 2


def test_without_a_folder_masks_are_returned_and_nothing_is_written(pixels, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    half_light().save("a.png")
    (done,) = gvt.predict("pixels.shade", "a.png", SHARP)
    semantic = done.prediction["semantic"]
    assert (semantic.dtype, tuple(semantic.shape)) == (torch.uint8, (30, 40))
    assert done.files == ()
    shares = {entry["class"]: entry["share"] for entry in done.summary["classes"]}
    assert shares == {"light": 0.5, "dark": 0.5}
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_with_a_background_it_is_0_as_in_voc_and_transparent(pixels, tmp_path):
    half_light().save(tmp_path / "a.png")
    overrides = (SHARP, "data.background=true")
    gvt.predict("pixels.shade", tmp_path / "a.png", *overrides, out=tmp_path / "out")
    with Image.open(tmp_path / "out" / "a.png") as mask:
        values, colors = np.array(mask), np.array(mask.getpalette()).reshape(-1, 3)
    assert np.unique(values[:14]).tolist() == [0]  # light, which is no class
    assert np.unique(values[16:]).tolist() == [1]  # dark
    assert colors[0].tolist() == [0, 0, 0]
    assert tuple(colors[1].tolist()) == color_of(0)
    overlay = np.array(Image.open(tmp_path / "out" / "a_overlay.png"))
    assert (overlay[:14] == 250).all()
    (line,) = (tmp_path / "out" / "predictions.jsonl").read_text().splitlines()
    assert {e["class"]: e["value"] for e in json.loads(line)["classes"]} == {
        "background": 0, "dark": 1,
    }  # fmt: skip


def test_what_the_network_was_not_shown_is_255_and_transparent(pixels, tmp_path):
    Image.new("RGB", (90, 30), "white").save(tmp_path / "a.png")
    overrides = (SHARP, "data.size=24")
    (done,) = gvt.predict("pixels.shade", tmp_path / "a.png", *overrides, out=tmp_path / "out")
    values = np.array(Image.open(tmp_path / "out" / "a.png"))
    assert (values[:, :30] == 255).all()
    assert (values[:, 30:60] == 2).all()
    overlay = np.array(Image.open(tmp_path / "out" / "a_overlay.png"))
    assert (overlay[:, :30] == 255).all()
    entries = {entry["value"]: entry["class"] for entry in done.summary["classes"]}
    assert entries == {255: None, 2: "light"}


@pytest.mark.parametrize("name", ["a.png", "below/a.png"])
def test_lines_and_files_of_a_folder_lie_as_the_pictures_do(pixels, tmp_path, name):
    (tmp_path / "in" / name).parent.mkdir(parents=True)
    half_light().save(tmp_path / "in" / name)
    (done,) = gvt.predict("pixels.shade", [tmp_path / "in"], SHARP, out=tmp_path / "out")
    mask, overlay = name, name.replace(".png", "_overlay.png")
    assert [path.relative_to(tmp_path / "out").as_posix() for path in done.files] == [mask, overlay]
    (line,) = (tmp_path / "out" / "predictions.jsonl").read_text().splitlines()
    assert json.loads(line) == done.summary
    assert (done.summary["mask"], done.summary["overlay"]) == (mask, overlay)
    assert (done.summary["height"], done.summary["width"]) == (30, 40)
    assert done.prediction == {}  # it is in the files


def test_a_file_that_is_no_picture_stops_nobody(pixels, tmp_path):
    for name in ("a.png", "c.png"):
        half_light().save(tmp_path / name)
    (tmp_path / "b.png").write_bytes((tmp_path / "a.png").read_bytes()[:60])
    done = gvt.predict("pixels.shade", tmp_path, SHARP, out=tmp_path / "out")
    assert [bool(one.error) for one in done] == [False, True, False]
    assert "b.png: cannot be read as a picture" in done[1].error
    assert "mend" not in done[1].error  # which is for data sets
    assert len((tmp_path / "out" / "predictions.jsonl").read_text().splitlines()) == 2


def test_predictions_replace_earlier_ones_and_nothing_else(pixels, tmp_path):
    half_light().save(tmp_path / "a.png")
    out = tmp_path / "out"
    for _ in range(2):
        gvt.predict("pixels.shade", tmp_path / "a.png", SHARP, out=out)
    assert len((out / "predictions.jsonl").read_text().splitlines()) == 1
    with pytest.raises(gvt.UsageError, match=r"out.a\.png: is one of the images"):
        gvt.predict("pixels.shade", out / "a.png", SHARP, out=out)
    (out / "predictions.jsonl").unlink()
    with pytest.raises(gvt.UsageError, match=r"has files, but no predictions\.jsonl"):
        gvt.predict("pixels.shade", tmp_path / "a.png", SHARP, out=out)


def test_several_labels_a_pixel_are_a_mask_each(pixels, tmp_path):
    half_light().save(tmp_path / "a.png")
    run = gvt.run(
        "pixels.at_least", "train.steps=2", f"run.root={tmp_path / 'runs'}", quiet=True
    )  # fmt: skip
    (done,) = gvt.predict(run.folder, tmp_path / "a.png", out=tmp_path / "out")
    names = [path.name for path in done.files]
    assert names == ["a_dark.png", "a_grey.png", "a_light.png", "a_overlay.png"]
    (returned,) = gvt.predict(run.checkpoint, tmp_path / "a.png")
    for mask, path in zip(returned.prediction["masks"], done.files, strict=False):
        values = np.array(Image.open(path).convert("L"))
        assert (values == 255 * mask.numpy()).all()


def test_only_how_it_is_predicted_can_be_set_for_a_checkpoint(pixels, tmp_path):
    half_light().save(tmp_path / "a.png")
    root = f"run.root={tmp_path / 'runs'}"
    run = gvt.run("pixels.whole", "train.steps=2", root, quiet=True)
    (plain,) = gvt.predict(run.folder, tmp_path / "a.png", "device=cpu")
    (flipped,) = gvt.predict(run.folder, tmp_path / "a.png", "predict.flips=true")
    torch.testing.assert_close(plain.prediction["scores"], flipped.prediction["scores"])
    problem = r"data: the networks are those of .* only predict and device can be set"
    with pytest.raises(gvt.UsageError, match=problem):
        gvt.predict(run.folder, tmp_path / "a.png", "data.size=12")
    with pytest.raises(gvt.ConfigError, match=r"predict\.til.*did you mean 'tile'"):
        gvt.predict(run.folder, tmp_path / "a.png", "predict.til=12")


def test_networks_that_nobody_trained_are_refused(pixels, tmp_path):
    half_light().save(tmp_path / "a.png")
    with pytest.raises(gvt.UsageError, match=r"heads\.where\.layer\.weight is drawn at random"):
        gvt.predict("pixels.shade", tmp_path / "a.png")


def two_things(size=(60, 80)):
    """Return a picture with a light and a dark rectangle on black, and where they are."""
    values = np.zeros((*size, 3), np.uint8)
    boxes = [[10.0, 5, 50, 35], [55.0, 30, 65, 42]]
    for (left, top, right, bottom), value in zip(boxes, (255, 85), strict=True):
        values[int(top) : int(bottom), int(left) : int(right)] = value
    return Image.fromarray(values), boxes


MASKS = "heads.what.masks=true"


def test_objects_are_drawn_and_written_as_results_of_coco(pixels, tmp_path):
    image, boxes = two_things()
    (tmp_path / "in" / "below").mkdir(parents=True)
    for name in ("a.png", "below/b.png"):
        image.save(tmp_path / "in" / name)
    Image.new("RGB", (9, 9)).save(tmp_path / "in" / "nothing.png")
    out = tmp_path / "out"
    done = gvt.predict("pixels.things", tmp_path / "in", MASKS, "predict.score=0.6", out=out)
    assert [path.relative_to(out).as_posix() for one in done for path in one.files] == [
        "a_overlay.png", "below/b_overlay.png", "nothing_overlay.png",
    ]  # fmt: skip
    entries = json.loads((out / "predictions.json").read_text())
    assert [(e["image_id"], e["file_name"]) for e in entries] == [
        (1, "a.png"), (1, "a.png"), (2, "below/b.png"), (2, "below/b.png"),
    ]  # fmt: skip
    assert [(e["category_id"], e["category_name"]) for e in entries[:2]] == [
        (3, "light"), (1, "dark"),
    ]  # fmt: skip
    assert entries[0]["bbox"] == [10, 5, 40, 30]
    results = Results.read(out / "predictions.json", ("dark", "grey", "light"))
    for name in ("a.png", "below/b.png"):
        found = results.of(gvt.Record(str(tmp_path / "in" / name), (60, 80)))
        assert found["boxes"].tolist() == boxes
        assert found["masks"].sum(dim=(1, 2)).tolist() == [1200, 120]
    assert results.unused() == []
    assert {k: tuple(v.shape) for k, v in done[0].prediction.items()} == {
        "boxes": (2, 4), "labels": (2,), "scores": (2,),
    }  # fmt: skip
    lines = [json.loads(line) for line in (out / "predictions.jsonl").read_text().splitlines()]
    assert lines == [one.summary for one in done]
    (first,) = lines[0]["objects"]  # the other one has a score of 0.545
    assert (first["class"], first["box"]) == ("light", boxes[0])
    assert lines[0]["overlay"] == "a_overlay.png"
    assert lines[2]["objects"] == []
    overlay = np.array(Image.open(out / "a_overlay.png"))
    assert overlay.shape == (60, 80, 3)
    # Half transparent, the masks.
    assert np.abs(overlay[33, 40] - (255 + np.array(color_of(2))) / 2).max() <= 1
    assert (overlay[31:41, 56:64] == 85).all()  # below the score
    again = np.array(Image.open(out / "nothing_overlay.png"))
    assert (again == 0).all()


def test_the_numbers_of_classes_in_results_are_the_data_sets(pixels, tmp_path, monkeypatch):
    monkeypatch.setattr(pixels.Shades, "category_ids", (7, 3, 90), raising=False)
    two_things()[0].save(tmp_path / "a.png")
    gvt.predict("pixels.things", tmp_path / "a.png", out=tmp_path / "out")
    entries = json.loads((tmp_path / "out" / "predictions.json").read_text())
    assert [(e["category_id"], e["category_name"]) for e in entries] == [(90, "light"), (7, "dark")]
    assert "segmentation" not in entries[0]


def test_without_a_folder_objects_are_returned_with_their_masks(pixels, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    two_things()[0].save("a.png")
    (done,) = gvt.predict("pixels.things", "a.png", MASKS)
    assert {k: tuple(v.shape) for k, v in done.prediction.items()} == {
        "boxes": (2, 4), "labels": (2,), "scores": (2,), "masks": (2, 60, 80),
    }  # fmt: skip
    assert done.prediction["masks"].dtype == torch.bool
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_a_head_that_says_no_numbers_is_told_of_each_picture(pixels, tmp_path):
    for name in ("a.png", "b.png"):
        two_things()[0].save(tmp_path / name)
    Image.new("RGB", (20, 20)).save(tmp_path / "c.png")  # of which it says nothing
    done = gvt.predict("pixels.things", tmp_path, "heads.what.broken=true", out=tmp_path / "out")
    assert [bool(one.error) for one in done] == [True, True, False]
    assert "a.png: a predicted box or score is not finite" in done[0].error
    assert json.loads((tmp_path / "out" / "predictions.json").read_text()) == []


MEASURED = """
import resource, sys
import numpy as np
from PIL import Image
import gvt
from gvt_predict import resampled, tiles
from gvt_registry import default_registry

tiles.SCORES_BYTES = resampled.SCORES_BYTES = 1 << 22
default_registry().plugins.load_file(__import__("pathlib").Path(sys.argv[1]))
overrides = ["heads.where.weights=500", "device=cpu", "data.classes=8"]
overrides += sys.argv[2:]
peaks = []
for side in (1000, 3000):
    Image.new("RGB", (side, side), (90, 90, 90)).save("picture.png", compress_level=1)
    (done,) = gvt.predict("pixels.shade", "picture.png", *overrides, out=f"out{side}")
    assert done.size == (side, side), done.error
    peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
print(*peaks)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the unit of ru_maxrss")
@pytest.mark.parametrize("overrides", [["predict.tile=256", "predict.overlap=0"], ["data.size=64"]])
def test_memory_grows_by_the_picture_and_its_mask_alone(overrides, tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, str(PIXELS), *overrides],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    small, large = (int(word) * 1024 for word in done.stdout.split())
    # Pillow keeps 4 bytes of a pixel, and the mask is another one; a float copy of the picture
    # would be 12, and the scores of all its pixels 32.
    assert large - small < 9 * (3000**2 - 1000**2)


def test_heads_whose_files_have_one_name_are_refused(pixels, tmp_path):
    two_things()[0].save(tmp_path / "a.png")
    heads = {"a b": {"name": "things"}, "a_B": {"name": "things"}}
    recipe = {**pixels.TRAINING, "data": pixels.SHADES, "heads": heads}
    config = tmp_path / "two.yaml"
    config.write_text(json.dumps(recipe))
    with pytest.raises(gvt.UsageError, match=r"heads 'a b' and 'a_B': both would write \S+a_B"):
        gvt.predict(config, tmp_path / "a.png", out=tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert set(gvt.predict(config, tmp_path / "a.png")[0].prediction) == {"a b", "a_B"}


def test_lists_of_an_earlier_job_do_not_stay_beside_those_of_another(pixels, tmp_path):
    two_things()[0].save(tmp_path / "a.png")
    out = tmp_path / "out"
    gvt.predict("pixels.things", tmp_path / "a.png", "heads.too.name=things", out=out)
    assert sorted(path.name for path in out.glob("*.json")) == [
        "predictions_too.json", "predictions_what.json",
    ]  # fmt: skip
    (out / "predictions_mine.json").write_text('[{"image_id": 1}]')
    gvt.predict("pixels.things", tmp_path / "a.png", out=out)
    assert sorted(path.name for path in out.glob("*.json")) == [
        "predictions.json", "predictions_mine.json",
    ]  # fmt: skip
    gvt.predict("pixels.shade", tmp_path / "a.png", SHARP, out=out)
    assert [path.name for path in out.glob("*.json")] == ["predictions_mine.json"]


def test_a_job_whose_pictures_all_fail_leaves_nothing_of_an_earlier_one(pixels, tmp_path):
    two_things()[0].save(tmp_path / "a.png")
    out = tmp_path / "out"
    gvt.predict("pixels.things", tmp_path / "a.png", out=out)
    (tmp_path / "b.png").write_bytes(b"nothing of the kind")
    (done,) = gvt.predict("pixels.things", tmp_path / "b.png", out=out)
    assert done.error
    assert (out / "predictions.jsonl").read_text() == ""
    assert json.loads((out / "predictions.json").read_text()) == []
