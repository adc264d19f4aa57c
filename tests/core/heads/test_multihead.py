"""Several heads on one backbone, each with the targets that it needs."""

import dataclasses
import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import gvt
from gvt.loop.evaluation import evaluate
from gvt.loop.losses import LossBuffer
from gvt.task import Step


class Backbone(gvt.Backbone):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 3, 3, padding=1)
        self.feature_info = {"c1": (3, 1)}
        self.passes = 0

    def forward(self, images):
        self.passes += 1
        return {"c1": self.conv(images)}


class Mean(gvt.Metric):
    def __init__(self):
        self.pairs = []

    def update(self, predictions, targets):
        self.pairs += zip(predictions, targets, strict=True)

    def compute(self):
        return {"pairs": len(self.pairs)}


class Classes(gvt.Head):
    needs = ("class",)

    def __init__(self):
        super().__init__()
        self.dense = nn.Linear(3, 2)

    def forward(self, features, batch):
        return self.dense(features["c1"].mean(dim=(2, 3)))

    def loss(self, outputs, targets):
        return {"ce": F.cross_entropy(outputs, targets["class"])}

    def predict(self, outputs):
        return [{"class": c} for c in outputs.argmax(1)]

    def metric(self):
        return Mean()


class Maps(gvt.Head):
    needs = ("semantic",)

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 2, 1)

    def forward(self, features, batch):
        return self.conv(features["c1"])

    def loss(self, outputs, targets):
        return {"ce": F.cross_entropy(outputs, targets["semantic"], ignore_index=255)}

    def predict(self, outputs):
        return [{"semantic": m} for m in outputs.argmax(1)]

    def metric(self):
        return Mean()


def batch(class_of=(True,) * 4, map_of=(True,) * 4):
    size = len(class_of)
    torch.manual_seed(0)
    images = torch.rand(size, 1, 5, 5)
    return gvt.Batch(
        {"image": images},
        gvt.Frame.of(images),
        gvt.Targets(
            dense={
                "class": torch.arange(size) % 2,
                "semantic": torch.randint(0, 2, (size, 5, 5)),
            },
            present={"class": torch.tensor(class_of), "semantic": torch.tensor(map_of)},
        ),
        records=[gvt.Record(f"image {i}", (5, 5)) for i in range(size)],
    )


@pytest.fixture
def task():
    torch.manual_seed(0)
    return gvt.MultiHead(Backbone(), {"name": Classes(), "map": Maps()}, weights={"map": 0.5})


def losses_of(task, batch):
    return task("supervised", batch, Step(0))


def test_one_backbone_pass_serves_all_heads(task):
    found = losses_of(task, batch())
    assert found.keys() == {"name/ce", "map/ce"}
    assert task.backbone.passes == 1


def test_weights_are_factors_of_the_losses(task):
    plain = gvt.MultiHead(task.backbone, dict(task.heads.items()))
    weighted, own = losses_of(task, batch()), losses_of(plain, batch())
    assert weighted["map/ce"] == 0.5 * own["map/ce"]
    assert weighted["name/ce"] == own["name/ce"]


def test_a_head_learns_from_the_samples_that_have_its_targets(task):
    partial = batch(class_of=(True, False, True, False))
    alone = batch().select(torch.tensor([0, 2]))
    torch.testing.assert_close(
        losses_of(task, partial)["name/ce"], losses_of(task, alone)["name/ce"]
    )


def test_a_head_without_any_target_has_no_loss(task):
    found = losses_of(task, batch(class_of=(False,) * 4))
    assert found.keys() == {"map/ce"}
    sum(found.values()).backward()
    assert task.heads["name"].dense.weight.grad is None


@pytest.mark.parametrize("training", [True, False])
def test_losses_and_predictions_do_not_depend_on_the_mode(task, training):
    expected = losses_of(task, batch())
    task.train(training)
    predictions, losses = task.evaluate(batch(), gvt.Step(0))
    assert losses == {name: (loss, 4) for name, loss in expected.items()}
    assert len(predictions) == 4
    assert predictions[0].keys() == {"name", "map"}


def test_evaluation_compares_what_has_a_truth_and_predicts_all(task):
    partial = batch(class_of=(True, False, True, False))
    predictions, losses = task.evaluate(partial, gvt.Step(0))
    assert len(predictions) == 4
    assert losses["name/ce"] == (losses_of(task, partial)["name/ce"], 2)
    found = evaluate(task, [partial, batch()]).metrics
    assert found["name/pairs"] == 6
    assert found["map/pairs"] == 8


def test_a_single_head_has_short_names_and_predicts_by_head_like_several():
    task = gvt.MultiHead(Backbone(), {"name": Classes()})
    assert losses_of(task, batch()).keys() == {"ce"}
    (prediction,) = {tuple(p) for p in task.predict(batch())}
    assert prediction == ("name",)
    assert task.predict(batch())[0]["name"].keys() == {"class"}
    assert evaluate(task, [batch()]).metrics.keys() == {"pairs", "loss/ce"}


class Wrong(Maps):
    def errors(self, predictions, targets):
        return torch.stack([p["semantic"].float().mean() for p in predictions]) + 1


def test_mistakes_have_the_prediction_of_their_own_head():
    one = gvt.MultiHead(Backbone(), {"map": Wrong()})
    both = gvt.MultiHead(Backbone(), {"name": Classes(), "map": Wrong(), "other": Wrong()})
    partial = batch(map_of=(True, False, True, True))
    assert both.errors(both.predict(partial), partial.targets.per_image(4)).keys() == {
        "map",
        "other",
    }
    for task, names in (
        (one, {"map": "mistakes"}),
        (both, {n: f"{n}/mistakes" for n in ("map", "other")}),
    ):
        mistakes = evaluate(task, [partial]).mistakes
        assert list(mistakes) == list(names.values())
        predictions = task.predict(partial)
        for head, name in names.items():
            assert sorted(m.source for m in mistakes[name]) == ["image 0", "image 2", "image 3"]
            for mistake in mistakes[name]:
                expected = predictions[int(mistake.source[-1])][head]["semantic"]
                assert mistake.prediction.keys() == {"semantic"}
                assert torch.equal(mistake.prediction["semantic"], expected)


def test_prediction_needs_no_targets(task):
    bare = gvt.Batch.of_images(torch.rand(2, 1, 5, 5))
    assert len(task.predict(bare)) == 2


@pytest.mark.parametrize(
    ("heads", "weights", "says"), [({}, None, "at least one"), ({"a": Classes()}, {"b": 1.0}, "b")]
)
def test_what_does_not_fit_is_refused(heads, weights, says):
    with pytest.raises(ValueError, match=says):
        gvt.MultiHead(Backbone(), heads, weights)


def test_validation_losses_are_means_over_samples(task):
    whole = batch()
    parts = [whole.select(torch.tensor([0, 1, 2])), whole.select(torch.tensor([3]))]
    together, apart = evaluate(task, [whole]).metrics, evaluate(task, parts).metrics
    assert apart["loss/name/ce"] == pytest.approx(together["loss/name/ce"], rel=1e-6)


def test_a_loss_counts_only_the_samples_that_had_it(task):
    labelled = batch(class_of=(True, True, True, False))
    found = evaluate(task, [labelled, batch(class_of=(True, False, False, False))]).metrics
    kept = batch().select(torch.tensor([0, 1, 2, 0]))
    # The mean over the four samples with a class, wherever the batches end.
    assert found["loss/name/ce"] == pytest.approx(
        evaluate(task, [kept]).metrics["loss/name/ce"], rel=1e-6
    )


def test_learned_weights_are_those_of_the_paper(task):
    uncertainty = gvt.create("weighting", "uncertainty")
    heads = dict(task.heads.items())
    learned = gvt.MultiHead(task.backbone, heads, {"map": 0.5}, weighting=uncertainty)
    with torch.no_grad():
        uncertainty.log_variances["name"].fill_(0.7)
        uncertainty.log_variances["map"].fill_(-0.2)
    fixed, found = losses_of(task, batch()), losses_of(learned, batch())
    assert found["name/ce"].item() == pytest.approx(math.exp(-0.7) * fixed["name/ce"].item())
    assert found["map/ce"].item() == pytest.approx(math.exp(0.2) * fixed["map/ce"].item())
    assert found["name/log_deviation"].item() == pytest.approx(0.35)
    sum(found.values()).backward()
    # d/ds (exp(-s) L + s / 2)
    slope = 0.5 - math.exp(-0.7) * fixed["name/ce"].item()
    assert uncertainty.log_variances["name"].grad.item() == pytest.approx(slope, rel=1e-5)
    assert "weighting" in learned.phases[0].trained


def test_what_teaches_a_head_nothing_leaves_its_learned_weight_alone(task):
    uncertainty = gvt.create("weighting", "uncertainty")
    learned = gvt.MultiHead(task.backbone, dict(task.heads.items()), weighting=uncertainty)
    found = losses_of(learned, batch(class_of=(False,) * 4))
    sum(found.values()).backward()
    assert found.keys() == {"map/ce", "map/log_deviation"}
    assert uncertainty.log_variances["name"].grad is None


@pytest.mark.parametrize("name", ["", "a.b", "a/b", "items", "training"])
def test_a_head_needs_a_name_that_can_be_one(name):
    with pytest.raises(ValueError, match="cannot be called"):
        gvt.MultiHead(Backbone(), {name: Classes()})


def test_a_head_can_be_added_and_removed_in_code(task):
    before = task.predict(batch())
    added = task.add_head("again", Classes(), weight=2.0)
    assert losses_of(task, batch()).keys() == {"name/ce", "map/ce", "again/ce"}
    own = F.cross_entropy(
        added({"c1": task.backbone.conv(batch().images)}, batch()), batch().targets["class"]
    )
    torch.testing.assert_close(losses_of(task, batch())["again/ce"], 2 * own)
    for one, other in zip(task.predict(batch()), before, strict=True):
        assert torch.equal(one["map"]["semantic"], other["map"]["semantic"])
    assert task.remove_head("again") is added
    task.remove_head("map")
    assert losses_of(task, batch()).keys() == {"ce"}
    assert evaluate(task, [batch()]).metrics.keys() == {"pairs", "loss/ce"}
    with pytest.raises(ValueError, match="'name' is the only head"):
        task.remove_head("name")
    with pytest.raises(ValueError, match="there is no head 'map'; the heads are name"):
        task.remove_head("map")
    with pytest.raises(ValueError, match="there is a head 'name' already"):
        task.add_head("name", Classes())
    with pytest.raises(gvt.UsageError, match="built in code does not know its data"):
        gvt.save(task, "nowhere.safetensors")


def of_parts(*names):
    whole = batch((True,) * len(names), (True,) * len(names))
    records = [gvt.Record(f"image {i}", (5, 5), part=name) for i, name in enumerate(names)]
    return dataclasses.replace(whole, records=records)


@pytest.fixture
def mixing():
    """Of five classes the first head has 3 and 1, in this order, and learns from one part."""
    torch.manual_seed(0)
    words = gvt.Vocabulary("a", ("c3", "c1"), (3, 1), 5)
    heads = {"name": Classes(), "map": Maps()}
    return gvt.MultiHead(Backbone(), heads, vocabularies={"name": words})


def test_a_head_learns_from_its_part_of_mixed_data_by_its_own_classes(mixing):
    mixed = of_parts("a", "b", "a", "b")
    mixed.targets.dense["class"].copy_(torch.tensor([1, 4, 3, 0]))
    alone = batch().select(torch.tensor([0, 2]))
    alone.targets.dense["class"].copy_(torch.tensor([1, 0]))
    single = gvt.MultiHead(mixing.backbone, {"name": mixing.heads["name"]})
    torch.testing.assert_close(losses_of(mixing, mixed)["name/ce"], losses_of(single, alone)["ce"])
    predictions, losses = mixing.evaluate(mixed, gvt.Step(0))
    assert losses["name/ce"][1] == 2
    assert {int(p["name"]["class"]) for p in predictions} <= {3, 1}
    assert losses_of(mixing, of_parts("b", "b")).keys() == {"map/ce"}
    assert evaluate(mixing, [mixed]).metrics["name/pairs"] == 2


def test_what_learned_nothing_in_an_epoch_is_said(mixing):
    said = mixing.untaught({"map/ce"})
    assert said == ["head name learned nothing in a whole epoch: no sample of part a has class"]
    assert mixing.untaught({"map/ce", "name/ce"}) == []


def test_figures_of_a_head_without_any_truth_are_no_numbers(task):
    """Not 0, which would say that all of it was wrong; their names are there all the same."""
    found = evaluate(task, [batch(class_of=(False,) * 4)]).metrics
    assert math.isnan(found["name/pairs"])
    assert found["map/pairs"] == 4


def test_a_loss_is_told_as_the_mean_over_what_had_it():
    """Of two micro-batches the one had no map, whose loss is not halved for that."""
    losses = LossBuffer()
    losses.add(1, {"name": torch.tensor(2.0), "map": torch.tensor(3.0)}, share=0.5)
    losses.add(1, {"name": torch.tensor(4.0)}, share=0.5)
    assert losses.of(1) == {"name": torch.tensor(3.0), "map": torch.tensor(3.0)}
    assert losses.drain() == [(1, {"name": 3.0, "map": 3.0})]
    assert losses.drain() == []


def test_what_a_head_cannot_be_is_refused(task):
    with pytest.raises(ValueError, match=r"head 'x' is a dict, not a gvt\.Head$"):
        task.add_head("x", {})
    with pytest.raises(ValueError, match=r"is a str, not a gvt\.Head; gvt\.add_head takes a name"):
        task.add_head("x", "classifier")
    with pytest.raises(ValueError, match="vocabularies for \\['b'\\], the heads are"):
        gvt.MultiHead(Backbone(), {"a": Classes()}, vocabularies={"b": None})
    with pytest.raises(ValueError, match=r"weighting .uncertainty.: build one with gvt\.create"):
        gvt.MultiHead(Backbone(), {"a": Classes()}, weighting="uncertainty")
    with pytest.raises(ValueError, match="cannot be called 'copy'"):
        gvt.MultiHead(Backbone(), {"copy": Classes()})
