"""`gvt data check` on boxes: what a data set leaves out is counted, and the rest measured."""

import re
import warnings
from pathlib import Path
from types import MappingProxyType

import pytest
import torch

import gvt
from gvt_data.commands.check import check

RECIPE = """
task: {name: heads}
data: {name: orchard, on_error: skip}
backbone: {name: small_cnn}
heads: {picture: {name: classifier}}
optimizers: {model: {name: SGD, lr: 0.1}}
train: {steps: 1}
"""


@pytest.fixture
def recipe(tmp_path):
    """Return a recipe on three pictures to train on and one other, with two bad boxes."""

    @gvt.register("dataset", "orchard", summary="Pictures with boxes around apples and pears")
    class Orchard:
        splits = ("train", "val")
        classes = ("apple", "pear")
        image_shape = (3, 30, 40)
        problems = MappingProxyType({})
        left_out = MappingProxyType({})

        def __init__(self, split: str, on_error: str = "error") -> None:
            if on_error == "error":
                raise gvt.DataError("data: 2 boxes without area; mend them")
            self.split = split
            if split == "train":
                self.problems = {"box without area": ["3.xml: object 1 (pear)", "4.xml: object 2"]}
                self.left_out = {"crowd": 5}
                warnings.warn("split train: left out: 2 boxes without area", stacklevel=1)
                warnings.warn("split train: beware of wasps", FutureWarning, stacklevel=1)

        def __len__(self):
            return 3 if self.split == "train" else 1

        def __getitem__(self, index):
            boxes = torch.tensor([[0, 0, 10, 2.5], [1, 1, 5, 6]])[:index]
            targets = {"boxes": boxes, "labels": torch.tensor([0, 1])[:index]}
            image = torch.full((3, 30, 40), index, dtype=torch.uint8)
            return gvt.Sample(
                {"image": image}, targets, gvt.Record(f"{self.split} {index}", (30, 40))
            )

    path = tmp_path / "mine.yaml"
    path.write_text(RECIPE)
    return str(path)


def cells(table):
    """Return the cells of the table's rows by the rows' names."""
    rows = [re.split(r" {2,}", line) for line in table.splitlines() if line]
    return {name: rest for name, *rest in rows}


def test_left_out_objects_are_in_the_table(recipe):
    with pytest.warns() as records:
        table = check(recipe, [])
    # The table says the one, and nothing else says the other.
    assert [str(warning.message) for warning in records] == ["split train: beware of wasps"]
    rows = cells(table)
    assert rows["box without area"] == ["2", "0"]
    assert rows["left out: crowd"] == ["5", "0"]
    lines = table.splitlines()
    assert "train: box without area: 3.xml: object 1 (pear)" in lines
    assert "train: box without area: 4.xml: object 2" in lines


@pytest.mark.filterwarnings("ignore:split train")
def test_boxes_are_counted_and_measured(recipe):
    rows = cells(check(recipe, []))
    assert rows["boxes"] == ["3", "0"]
    assert rows["images without"] == ["1", "1"]
    assert rows["smallest box"] == ["4x5", "none"]
    assert rows["largest box"] == ["10x2.5", "none"]
    assert rows["class apple"] == ["2", "0"]
    assert rows["class pear"] == ["1", "0"]


@pytest.mark.filterwarnings("ignore:split train")
@pytest.mark.parametrize("on_error", ["", ", on_error: error"])
def test_it_fails_where_training_would_stop(recipe, on_error):
    Path(recipe).write_text(RECIPE.replace(", on_error: skip", on_error))
    with pytest.raises(
        gvt.DataError, match=r"^orchard: bad annotations or images: 2; data\.on_error is error$"
    ) as caught:
        check(recipe, [])
    assert cells(caught.value.details)["box without area"] == ["2", "0"]
