"""The deployed form of a task with heads: its inputs, outputs and axes, and what it computes."""

from typing import ClassVar

import pytest
import torch
from torch import nn

import gvt
from gvt.heads.vocabulary import Vocabulary

CLASSES = ("a", "b", "c")


class Backbone(gvt.Backbone):
    feature_info: ClassVar = {"c1": (3, 2)}

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 3, 3, padding=1, stride=2)

    def forward(self, images):
        return {"c1": self.conv(images)}


class Words(gvt.Backbone):
    feature_info: ClassVar = {"words": (4, 1)}
    reads = ("tokens", "length")

    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(9, 4)

    def forward(self, tokens, length):
        return {"words": self.table(tokens).mT[:, :, None] / length[:, None, None, None]}


class Predicting(gvt.Head):
    """Predicts, and has no deployed form."""

    def forward(self, features, batch):
        return features["c1"].mean(dim=(1, 2, 3))

    def predict(self, outputs):
        return [{"number": number} for number in outputs]


def classifier(backbone, count=3):
    return gvt.create("head", "classifier", feature_info=backbone.feature_info, num_classes=count)


def pixels(backbone, count=3, **parameters):
    return gvt.create(
        "head", "fcn", feature_info=backbone.feature_info, num_classes=count, **parameters
    )


def rows(form, *inputs):
    """Return the outputs of a deployed form for each sample by name."""
    with torch.no_grad():
        outputs = dict(zip(form.outputs, form.module(*inputs), strict=True))
    return [{k: v[row] for k, v in outputs.items()} for row in range(len(inputs[0]))]


def assert_same(found, expected):
    assert list(found) == list(expected)
    for key, value in found.items():
        torch.testing.assert_close(value, expected[key])


@pytest.mark.parametrize("size", [(8, 8), (13, 6)])
def test_outputs_have_the_names_of_losses_and_the_values_of_predictions(size):
    backbone = Backbone()
    task = gvt.MultiHead(backbone, {"whole": classifier(backbone), "each": pixels(backbone)}).eval()
    form = task.deployed()
    assert form.inputs == {"image": "image"}
    assert form.outputs == {
        "whole/class": "class", "whole/scores": "scores",
        "each/semantic": "semantic", "each/scores": "scores",
    }  # fmt: skip
    assert form.dynamic == {"image": {0: "batch", 2: "height", 3: "width"}}
    assert task.predicts() == {"whole": ("class", "scores"), "each": ("semantic", "scores")}
    images = torch.rand(3, 1, *size)
    predictions = task.predict(gvt.Batch.of_images(images))
    for found, expected in zip(rows(form, images), predictions, strict=True):
        assert_same(found, {f"{h}/{k}": v for h, p in expected.items() for k, v in p.items()})


def test_the_only_head_is_left_out_of_names_and_a_backbone_may_fix_the_size():
    backbone = Backbone()
    backbone.image_size = (8, 8)
    form = gvt.MultiHead(backbone, {"whole": classifier(backbone)}).deployed()
    assert list(form.outputs) == ["class", "scores"]
    assert form.dynamic == {"image": {0: "batch"}}


def test_parameters_have_the_names_of_the_task():
    backbone = Backbone()
    weighting = gvt.create("weighting", "uncertainty")
    task = gvt.MultiHead(backbone, {"whole": classifier(backbone)}, weighting=weighting)
    names = {name for name, _ in task.deployed().module.named_parameters()}
    assert names == {n for n, _ in task.named_parameters() if not n.startswith("weighting")}


def test_a_head_without_tensors_predicts_and_has_no_deployed_form():
    backbone = Backbone()
    task = gvt.MultiHead(backbone, {"whole": classifier(backbone), "own": Predicting()})
    assert task.predicts() == {"whole": ("class", "scores"), "own": ()}
    (prediction,) = task.predict(gvt.Batch.of_images(torch.rand(1, 1, 8, 8)))
    assert prediction["own"].keys() == {"number"}
    with pytest.raises(
        NotImplementedError, match="head own has no deployed form: a Predicting should declare"
    ):
        task.deployed()
    with pytest.raises(NotImplementedError, match="Head implements neither tensors nor predict"):
        gvt.Head().predict(None)


@pytest.mark.parametrize("background", [False, True])
def test_classes_of_one_part_become_those_of_all(background):
    backbone, words = Backbone(), Vocabulary("part", ("c", "a"), (2, 0), 3)
    heads = {
        "whole": classifier(backbone, 2),
        "each": pixels(backbone, 2, background=background),
        "several": gvt.create(
            "head", "multilabel", feature_info=backbone.feature_info, num_classes=2, threshold=0.0
        ),
    }
    task = gvt.MultiHead(backbone, heads, vocabularies=dict.fromkeys(heads, words)).eval()
    heads["several"].layers[-1].bias.data[0] = -200  # its score is 0
    images = torch.rand(4, 1, 8, 8)
    predictions = task.predict(gvt.Batch.of_images(images))
    for found, expected in zip(rows(task.deployed(), images), predictions, strict=True):
        labels = found.pop("several/labels")
        assert labels[labels >= 0].tolist() == expected["several"].pop("labels").tolist() == [0]
        assert labels.tolist() == [0, -1]
        assert_same(found, {f"{h}/{k}": v for h, p in expected.items() for k, v in p.items()})


def test_inputs_are_what_the_backbone_reads():
    backbone = Words()
    form = gvt.MultiHead(backbone, {"whole": classifier(backbone)}).deployed()
    assert form.inputs == {"tokens": "tokens", "length": "length"}
    assert form.dynamic == {"tokens": {0: "batch"}, "length": {0: "batch"}}
    scores = form.module(torch.tensor([[1, 2, 3], [4, 5, 6]]), torch.tensor([1.0, 2.0]))[1]
    assert scores.shape == (2, 3)


def test_an_exported_program_takes_batches_and_images_of_other_sizes():
    backbone = Backbone()
    task = gvt.MultiHead(backbone, {"whole": classifier(backbone), "each": pixels(backbone)}).eval()
    form = task.deployed()
    example = (torch.rand(2, 1, 8, 10),)
    shapes = form.dynamic_shapes(example)
    program = torch.export.export(form.module, example, dynamic_shapes=shapes).module()
    for shape in ((1, 1, 16, 7), (5, 1, 9, 9)):
        images = torch.rand(shape)
        for found, expected in zip(program(images), form.module(images), strict=True):
            torch.testing.assert_close(found, expected)
