"""Several data sets as one."""

import json
import pickle

import pytest
import torch

import gvt
from gvt.config.schema import TrainConfig
from gvt.data.loading import Loader
from gvt.data_info import DataInfo
from gvt.device.placement import Placement
from gvt_data.mixed import Mixed

SCENES = {"name": "scenes", "size": 48, "count": 12, "held_out": 4}


def mixed(split="train", shares=None, **parts):
    parts = parts or {
        "named": {**SCENES, "targets": ["class"], "seed": 1},
        "mapped": {**SCENES, "targets": ["semantic", "boxes", "labels"], "size": [48, 64]},
    }
    return gvt.create("dataset", "mixed", split=split, parts=parts, shares=shares)


class Cells:
    """Two kinds of cells, told apart in another order than they are mixed in."""

    splits = ("train", "val", "test")
    classes = ("white", "3", "red")
    image_shape = (3, 48, 48)
    fingerprint = "cells"

    def __init__(self, split: str) -> None:
        self.split = split
        self.problems = {"box without area": ["picture 7"]}

    def __len__(self):
        return 3

    def __getitem__(self, index):
        if not 0 <= index < 3:
            raise IndexError(index)
        labels = torch.tensor([index, 2])
        boxes = torch.tensor([[0.0, 0, 9, 9], [9, 9, 20, 20]])
        truth = Truth(labels)
        record = gvt.Record(f"cells {index}", (48, 48), truth=truth)
        image = torch.zeros(3, 48, 48, dtype=torch.uint8)
        return gvt.Sample({"image": image}, {"boxes": boxes, "labels": labels}, record)


class Twins(Cells):
    classes = ("3", "white", 3)


class Counted(Cells):
    """Cells of a known class each, with numbers and a reader of their own."""

    def __init__(self, split, labels=(0, 1, 1), ids=(4, 9, 7), classes=None, grey=None):
        super().__init__(split)
        self.labels = None if labels is None else torch.tensor(labels)
        self.category_ids = ids
        self.classes = classes or self.classes
        if grey is not None:
            self.reader = gvt.PictureReader(1 if grey else 3, (48, 48))


class Truth:
    def __init__(self, labels):
        self.labels = labels

    def __call__(self):
        return {"labels": self.labels, "ignored": torch.zeros(2, dtype=torch.bool)}


@pytest.fixture
def with_cells(monkeypatch):
    from gvt_registry import default_registry

    monkeypatch.setattr(default_registry(), "_in_code", {})
    gvt.register("dataset", "cells")(Cells)
    gvt.register("dataset", "twins")(Twins)
    return mixed(digits={**SCENES, "targets": ["class", "semantic"]}, cells="cells")


def test_samples_are_those_of_the_parts_one_behind_the_other():
    data = mixed()
    assert len(data) == 24
    assert data[0].record.part == "named"
    assert data[11].record.part == "named"
    assert data[12].record.part == "mapped"
    assert data[12].targets.keys() == {"semantic", "boxes", "labels"}
    assert len(mixed("val")) == 8
    assert data.info.image_shape is None  # they differ in size ...
    assert data.info.channels == 3  # ... and not in this
    assert data.info.background
    with pytest.raises(IndexError):
        data[24]


def test_classes_are_those_of_all_and_a_name_is_one_class(with_cells):
    data = with_cells
    assert data.info.classes == (*"0123456789", "white", "red")
    cells = data[12]
    assert cells.record.part == "cells"
    assert cells.targets["labels"].tolist() == [10, 11]
    assert data[13].targets["labels"].tolist() == [3, 11]
    semantic = data[0].targets["semantic"]
    assert 12 in semantic.unique().tolist()  # the background comes after all classes
    assert semantic.max() == 12
    assert data.info.problems == {"cells: box without area": ["picture 7"]}


def test_the_truth_of_a_part_is_renumbered_too_and_reaches_workers(with_cells):
    truth = pickle.loads(pickle.dumps(with_cells[12].record.truth))()
    assert truth["labels"].tolist() == [10, 11]
    assert truth["ignored"].tolist() == [False, False]


def test_shares_say_how_often_each_part_is_drawn():
    data = mixed(shares={"named": 1.0, "mapped": 3.0})
    config = gvt.DataConfig(name="mixed", batch_size=4, workers=0)
    loader = Loader(data, config, TrainConfig(steps=1), Placement.resolve("cpu"))
    drawn = torch.cat([loader.order.epoch(epoch) for epoch in range(200)])
    assert drawn.min() >= 0
    assert drawn.max() < 24
    assert (drawn >= 12).double().mean() == pytest.approx(0.75, abs=0.02)
    assert len(drawn.unique()) == 24
    assert mixed().info.weights is None


def test_the_info_of_the_parts_survives_a_checkpoint(with_cells):
    info = DataInfo.of(with_cells, (0.0, 1.0))
    assert info.parts["cells"].classes == ("white", "3", "red")
    assert info.parts["cells"].samples == 3
    assert info.parts["digits"].background
    assert info.parts["digits"].injected["num_classes"] == 10
    again = DataInfo.from_document(json.loads(json.dumps(info.document())))
    assert again.document() == info.document()
    again.check_same(info)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"shares": {"named": 1.0}}, "shares: given for named; give one for each of named, mapped"),
        ({"grey": {**SCENES, "channels": 1}, "colour": SCENES}, "grey 1, colour 3"),
        ({"digits": SCENES, "cells": "twins"}, r"parts\.cells: 3 is the name of 2 classes"),
    ],
)
def test_what_does_not_fit_together_is_refused(settings, said, with_cells):
    with pytest.raises(gvt.ConfigError, match=said):
        mixed(**settings)
    with pytest.raises(gvt.ConfigError, match="give at least one data set"):
        gvt.create("dataset", "mixed", split="train", parts={})


def test_balance_and_shares_are_not_both_possible():
    data = mixed(shares={"named": 1.0, "mapped": 1.0})
    config = gvt.DataConfig(name="mixed", batch_size=4, balance=True)
    with pytest.raises(gvt.ConfigError, match="mixed has sampling weights of its own"):
        Loader(data, config, TrainConfig(steps=1), Placement.resolve("cpu"))


def joined(**parts):
    return Mixed("train", parts)


def test_sets_that_are_only_joined_keep_what_is_said_of_their_classes():
    data = joined(one=Counted("train"), other=Counted("train", [2, 2, 0]))
    assert data.info.labels.tolist() == [0, 1, 1, 2, 2, 0]
    assert data.info.category_ids == (4, 9, 7)
    config = gvt.DataConfig(name="mixed", batch_size=6, balance=True, workers=0, resident=False)
    order = Loader(data, config, TrainConfig(steps=1), Placement.resolve("cpu")).order
    drawn = torch.cat([order.epoch(epoch) for epoch in range(500)])
    shares = data.info.labels[drawn].bincount().double() / len(drawn)
    assert shares.tolist() == pytest.approx([1 / 3] * 3, abs=0.04)
    assert data.info.class_counts == (2, 2, 2)


@pytest.mark.parametrize(
    ("other", "labels", "ids"),
    [
        ({"labels": None}, False, True),
        ({"ids": None}, True, False),
        ({"ids": (4, 7, 9)}, True, False),
        ({"classes": ("3", "white", "red")}, False, False),
    ],
)
def test_nothing_is_said_of_classes_that_parts_do_not_share(other, labels, ids):
    data = joined(one=Counted("train"), other=Counted("train", **other))
    assert (data.info.labels is not None, data.info.category_ids is not None) == (labels, ids)


def test_new_pictures_are_read_as_the_parts_that_have_a_reader_read_theirs():
    none, colour = Counted("train"), Counted("train", grey=False)
    assert joined(one=none, two=colour, three=colour).info.reader == colour.reader.document()
    assert joined(one=none).info.reader is None
    sized = Counted("train")
    sized.reader = gvt.PictureReader(3, (32, 32))
    assert joined(one=colour, two=none, three=sized).info.reader is None
