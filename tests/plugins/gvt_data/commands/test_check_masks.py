"""`gvt data check` on maps of classes: shares of pixels, classes that never occur, broken pairs."""

import re

import numpy as np
import pytest
import torch
from PIL import Image

import gvt
from gvt_data.commands.check import check

RECIPE = """
task: {name: heads}
data: {name: mask_folder, root: mine, classes: [sky, sea, land], background: 9, ignore: 255}
backbone: {name: small_cnn}
heads: {picture: {name: classifier}}
optimizers: {model: {name: SGD, lr: 0.1}}
train: {steps: 1}
"""


@pytest.fixture
def recipe(tmp_path, monkeypatch):
    """Return a recipe on twelve pictures, of 16 pixels each."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.yaml").write_text(RECIPE)
    for split, count in (("train", 8), ("val", 4)):
        for name in ("images", "masks"):
            (tmp_path / "mine" / split / name).mkdir(parents=True)
        for number in range(count):
            values = np.array([[0, 0, 1, 255]] * 3 + [[0, 9, 9, 0]], np.uint8)
            path = tmp_path / "mine" / split / "{}" / f"{number}.png"
            Image.new("RGB", (4, 4), (number, count, 0)).save(str(path).format("images"))
            Image.fromarray(values).save(str(path).format("masks"))
    return "mine.yaml"


def cells(table):
    """Return the cells of the table's rows by the rows' names."""
    rows = [re.split(r" {2,}", line) for line in table.splitlines() if line]
    return {name: rest for name, *rest in rows}


def test_each_class_has_a_share_of_the_pixels(recipe):
    table = check(recipe, [])
    found = cells(table)
    assert found["images"] == ["8", "4"]
    assert found["pixels of sky"] == ["50.0 %", "50.0 %"]
    assert found["pixels of sea"] == ["18.8 %", "18.8 %"]
    assert found["pixels of land"] == ["0 %", "0 %"]
    assert found["background"] == ["12.5 %", "12.5 %"]
    assert found["ignored"] == ["18.8 %", "18.8 %"]
    assert not [name for name in found if name.startswith("class ")]
    assert "train: class land never occurs" in table.splitlines()
    assert "val: class land never occurs" in table.splitlines()


def test_255_that_nobody_explains_is_in_no_table(recipe):
    with pytest.raises(gvt.DataError, match="12 samples cannot be read") as caught:
        check(recipe, ["data.ignore=null"])
    says = "0.png: has the values 0 (50.0 %), 1 (18.8 %), 9 (12.5 %), 255 (18.8 %), and the meaning"
    assert says in caught.value.details


def test_few_pixels_are_told_from_none(recipe, tmp_path):
    values = np.zeros((90, 90), np.uint8)
    values[3, 3] = 2
    Image.fromarray(values).save(tmp_path / "mine/train/masks/0.png")
    Image.new("RGB", (90, 90)).save(tmp_path / "mine/train/images/0.png")
    table = check(recipe, [])
    assert cells(table)["pixels of land"] == ["< 0.1 %", "0 %"]
    assert "train: class land never occurs" not in table


def test_pairs_that_do_not_go_together_are_named(recipe, tmp_path):
    for number in (2, 5):
        (tmp_path / f"mine/train/masks/{number}.png").unlink()
    with pytest.raises(gvt.DataError, match=r"^mask_folder: unreadable images in train$") as caught:
        check(recipe, ["data.on_error=skip"])
    details = caught.value.details
    assert details.count("has no mask") == 2
    assert "train: left out, data: 2 of 8 images" in details
    assert cells(details)["images"] == ["4"]


def test_a_value_that_is_no_class_is_named(recipe, tmp_path):
    Image.new("L", (4, 4), 7).save(tmp_path / "mine/val/masks/3.png")
    with pytest.raises(gvt.DataError, match="1 samples cannot be read") as caught:
        check(recipe, [])
    assert "masks/3.png: 7 at x=0, y=0 is not a class" in caught.value.details


def test_of_mixed_data_a_class_occurs_that_one_part_has(recipe, tmp_path):
    part = "{name: mask_folder, root: mine, classes: [sky, sea, land], background: 9, ignore: 255}"
    things = "{name: scenes, size: 48, count: 40, held_out: 12, targets: [class]}"
    mixed = f"data: {{name: mixed, parts: {{maps: {part}, things: {things}}}}}"
    (tmp_path / "mixed.yaml").write_text(RECIPE.replace(RECIPE.splitlines()[2], mixed))
    table = check("mixed.yaml", [])
    found = cells(table)
    assert found["pixels of sky"] == ["50.0 %", "50.0 %"]
    assert found["class sky"] == ["0", "0"]
    assert int(found["class 1"][0]) > 0
    missing = re.findall(r"^train: class (.+) never occurs$", table, re.MULTILINE)
    assert missing == ["land", *(n for n in "0123456789" if found[f"class {n}"][0] == "0")]


def test_of_things_every_one_counts(tmp_path):
    @gvt.register("dataset", "orchard", summary="Pictures with apples and a pear, and no plum")
    class Orchard:
        splits = ("train",)
        classes = ("apple", "pear", "plum")
        image_shape = (3, 4, 4)

        def __init__(self, split: str) -> None:
            pass

        def __len__(self):
            return 3

        def __getitem__(self, index):
            targets = {"class": torch.tensor(0), "labels": torch.tensor([0, 1, 0])}
            image = torch.full((3, 4, 4), index, dtype=torch.uint8)
            return gvt.Sample({"image": image}, targets, gvt.Record(str(index), (4, 4)))

    recipe = tmp_path / "mine.yaml"
    recipe.write_text(RECIPE.replace(RECIPE.splitlines()[2], "data: {name: orchard}"))
    lines = check(str(recipe), []).splitlines()
    assert [line.split() for line in lines if line.startswith("class ")] == [
        ["class", "apple", "6"],
        ["class", "pear", "3"],
        ["class", "plum", "0"],
    ]
    assert lines[-1] == "train: class plum never occurs"
