"""What a reader was fitted on is the training data, wherever a run and its checkpoints go."""

import pytest
import torch

import gvt
from gvt.data_info import DataInfo

opened = []


class Centred:
    """Images less the mean of the training split, which is part of the reader's document."""

    splits = ("train", "val")

    def __init__(self, split, reader=None):
        opened.append((split, reader))
        self.mean = 0.25 if reader is None else reader["mean"]
        document = {"field": "image", "mean": self.mean, "channels": 1}
        self.info = gvt.DataInfo(
            ("a", "b"), (1, 8, 8), reader=document, labels=torch.arange(8) % 2, fingerprint="x"
        )

    def __len__(self):
        return 8

    def __getitem__(self, index):
        image = torch.full((1, 8, 8), index / 8 - self.mean).clamp(min=0)
        return gvt.Sample({"image": image}, {"class": index % 2}, gvt.Record(f"{index}", (8, 8)))


class Told(gvt.Backbone):
    """A backbone that is built for what the reader knows."""

    def __init__(self, reader: dict):
        super().__init__()
        self.feature_info = {"map": (2, 1)}
        self.layer = torch.nn.Conv2d(1, 2, 1)
        self.register_buffer("mean", torch.tensor(reader["mean"]))

    def forward(self, images):
        return {"map": self.layer(images)}


@pytest.fixture
def run(tmp_path):
    """Return a run on a data set that has a reader."""
    gvt.register("dataset", "centred")(Centred)
    gvt.register("backbone", "told")(Told)
    opened.clear()
    return gvt.run(
        "classify.mnist",
        "data={name: centred, batch_size: 4, workers: 0}",
        "backbone={name: told}",
        "heads.digit={name: classifier}",
        "train={epochs: 1}",
        "evaluate={split: val}",
        f"run.root={tmp_path}",
        quiet=True,
    )


def test_other_splits_networks_and_evaluations_have_the_reader_of_the_training_data(run):
    document = {"field": "image", "mean": 0.25, "channels": 1}
    assert opened == [("train", None), ("val", document)]
    assert float(run.task.backbone.mean) == 0.25
    opened.clear()
    gvt.evaluate_checkpoint(run.folder, split="val")
    assert float(gvt.load(run.folder).backbone.mean) == 0.25
    assert opened == [("val", document)]


def test_a_resumed_run_keeps_the_reader_that_it_began_with(run):
    opened.clear()
    gvt.resume(run.folder, "train.epochs=2", quiet=True)
    assert opened[0] == ("train", DataInfo.of(Centred("train")).reader)


def test_a_recipe_cannot_give_a_reader():
    with pytest.raises(gvt.ConfigError, match="reader"):
        gvt.compose("text.folder", ["data.root=x", "data.reader={}"])
        gvt.open("text.folder", "data.root=x", "data.reader={}")
