"""Several data sets as one."""

import pickle

import pytest
import torch

import gvt
from gvt.config.schema import TrainConfig
from gvt.data import Loader
from gvt.device import Placement
from gvt.facts import DataFacts

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
        return gvt.Sample(image, {"boxes": boxes, "labels": labels}, record)


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
    return mixed(digits={**SCENES, "targets": ["class", "semantic"]}, cells="cells")


def test_samples_are_those_of_the_parts_one_behind_the_other():
    data = mixed()
    assert len(data) == 24
    assert data[0].record.part == "named"
    assert data[11].record.part == "named"
    assert data[12].record.part == "mapped"
    assert data[12].targets.keys() == {"semantic", "boxes", "labels"}
    assert len(mixed("val")) == 8
    assert data.image_shape is None  # they differ in size ...
    assert data.channels == 3  # ... and not in this
    assert data.background
    with pytest.raises(IndexError):
        data[24]


def test_classes_are_those_of_all_and_a_name_is_one_class(with_cells):
    data = with_cells
    assert data.classes == (*"0123456789", "white", "red")
    cells = data[12]
    assert cells.record.part == "cells"
    assert cells.targets["labels"].tolist() == [10, 11]
    assert data[13].targets["labels"].tolist() == [3, 11]
    semantic = data[0].targets["semantic"]
    assert 12 in semantic.unique().tolist()  # the background comes after all classes
    assert semantic.max() == 12
    assert data.problems == {"cells: box without area": ["picture 7"]}


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
    assert not hasattr(mixed(), "weights")


def test_facts_of_the_parts_survive_a_checkpoint(with_cells):
    class Config:
        data = gvt.DataConfig(name="mixed")

    facts = DataFacts.of(with_cells, Config)
    assert facts.parts["cells"].classes == ("white", "3", "red")
    assert facts.parts["digits"].background
    assert facts.parts["digits"].injected["num_classes"] == 10
    again = DataFacts.from_document(facts.document())
    assert again == facts
    again.check_same(facts)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"shares": {"named": 1.0}}, "shares are for named; give one for each part"),
        ({"grey": {**SCENES, "channels": 1}, "colour": SCENES}, "grey 1, colour 3"),
    ],
)
def test_what_does_not_fit_together_is_refused(settings, said):
    with pytest.raises(gvt.ConfigError, match=said):
        mixed(**settings)
    with pytest.raises(gvt.ConfigError, match="give at least one data set"):
        gvt.create("dataset", "mixed", split="train", parts={})


def test_balance_and_shares_are_not_both_possible():
    data = mixed(shares={"named": 1.0, "mapped": 1.0})
    config = gvt.DataConfig(name="mixed", batch_size=4, balance=True)
    with pytest.raises(gvt.ConfigError, match="mixed says by itself how often each sample"):
        Loader(data, config, TrainConfig(steps=1), Placement.resolve("cpu"))
