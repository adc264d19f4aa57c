"""Losses and metrics that a recipe names, as parameters of what uses them."""

import json

import pytest
import torch
from torch import nn

import gvt
from gvt.config.parameters import check_parameters, components_in, signature_of
from gvt.data_info import DataInfo
from gvt.session.build import build_task, offers_used, open_dataset, validate_components
from gvt_registry import default_registry


class Focal(nn.Module):
    """A loss with a parameter, and one inside it."""

    def __init__(self, gamma: float = 2.0, base: gvt.Loss | None = None) -> None:
        super().__init__()
        self.gamma, self.base = gamma, base

    def forward(self, outputs, targets):
        likely = torch.softmax(outputs, 1).gather(1, targets[:, None])
        return ((1 - likely) ** self.gamma * -likely.log()).mean()


@pytest.fixture(autouse=True)
def focal(monkeypatch):
    monkeypatch.setattr(default_registry(), "_in_code", {})
    gvt.register("loss", "looks_away")(Focal)


def build(
    loss: gvt.Loss,
    several: dict[str, gvt.Loss] | None = None,
    metric: gvt.Metric | None = None,
    width: int = 1,
):
    return loss, several, metric, width


def check(**given):
    return check_parameters("heads.digit", build, given)


def test_a_name_is_built_with_its_parameters():
    found = check(loss={"name": "looks_away", "gamma": 3, "base": "MSELoss"})["loss"]
    assert isinstance(found, Focal)
    assert found.gamma == 3
    assert isinstance(found.base, nn.MSELoss)
    assert isinstance(check(loss="looks_away")["loss"], Focal)


def test_names_inside_other_types_are_built():
    several = {"a": "looks_away", "b": {"name": "L1Loss"}}
    found = check(loss="looks_away", several=several)["several"]
    assert [type(v) for v in found.values()] == [Focal, nn.L1Loss]
    kappa = {"name": "CohenKappa", "task": "multiclass", "num_classes": 3}
    assert check(loss="looks_away", metric=kappa)["metric"].num_classes == 3
    assert check(loss="looks_away", metric=None)["metric"] is None


def test_what_is_built_already_is_taken_as_it_is():
    loss = Focal()
    assert check(loss=loss)["loss"] is loss


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, r"heads\.digit\.loss: is missing"),
        ({"loss": 3}, r"heads\.digit\.loss: should name a loss, .* not 3"),
        ({"loss": None}, r"heads\.digit\.loss: should name a loss"),
        ({"loss": {"gamma": 2}}, r"heads\.digit\.loss: should name a loss"),
        (
            {"loss": "looks_awy"},
            r"heads\.digit\.loss: .*'looks_awy'; did you mean 'looks_away'.*nor has torch",
        ),
        ({"loss": "Linear"}, "nor has torch.nn one of that name"),
        ({"loss": {"name": "looks_away", "gama": 1}}, r"heads\.digit\.loss\.gama: .*mean 'gamma'"),
        ({"loss": {"name": "looks_away", "gamma": "x"}}, r"heads\.digit\.loss\.gamma: should be"),
        (
            {"loss": {"name": "looks_away", "base": {"name": "MSELoss", "by": 1}}},
            r"loss\.base\.by: ",
        ),
        ({"loss": "looks_away", "metric": "nn"}, "nor has torchmetrics one of that name"),
    ],
)
def test_what_cannot_be_built_is_one_line_with_its_place(given, said):
    with pytest.raises(gvt.ConfigError, match=said) as caught:
        check(**given)
    assert "\n" not in str(caught.value)


def test_names_are_found_without_building():
    given = {"loss": {"name": "looks_away", "base": "MSELoss"}, "several": {"a": "looks_away"}}
    assert components_in(build, given) == [
        ("loss", "looks_away"),
        ("loss", "MSELoss"),
        ("loss", "looks_away"),
    ]
    assert components_in(build, {"loss": Focal()}) == []
    assert signature_of(build)[0]["several"].type_name == "dict[str, Loss] | None"


@pytest.mark.slow
def test_a_classifier_learns_by_it_and_its_run_says_whose_it_was(tmp_path):
    overrides = [
        *("data.holdout=500", "data.batch_size=100", "evaluate.final=null"),
        *("train.epochs=null", "train.steps=3", "optimizers.model.warmup=1"),
        *("heads.digit.loss={name: looks_away, gamma: 1}", f"run.root={tmp_path}"),
        "heads.digit.metrics={kappa: {name: CohenKappa, task: multiclass, num_classes: 10}}",
    ]
    run = gvt.run("classify.mnist", *overrides, quiet=True)
    assert run.task.heads.digit.criterion.gamma == 1
    assert 0 < run.metrics["val/kappa"] < run.metrics["val/accuracy"]
    rows = [json.loads(r) for r in (run.folder / "metrics.jsonl").read_text().splitlines()]
    assert rows[0]["train/loss"] < 0.99 * 2.3  # a focal loss is less than the cross entropy
    assert "loss:looks_away" in offers_used(run.config)
    found = gvt.evaluate_checkpoint(run.folder, split="val")
    assert {f"val/{n}": v for n, v in found.metrics.items()}.items() <= run.metrics.items()
    assert gvt.resume(run.folder, "train.steps=4", quiet=True).step == 4


class Doubled(gvt.Backbone):
    """A backbone on another one."""

    def __init__(self, backbone: gvt.Backbone, factor: float = 2.0) -> None:
        super().__init__()
        self.inner, self.factor = backbone, factor
        self.feature_info = backbone.feature_info

    def forward(self, images):
        return {n: self.factor * f for n, f in self.inner(images).items()}


class Perceptual(nn.Module):
    """A loss on what a backbone makes of images."""

    def __init__(self, backbone: gvt.Backbone) -> None:
        super().__init__()
        self.backbone = backbone


@pytest.fixture
def doubled():
    gvt.register("backbone", "doubled")(Doubled)
    return {
        "task": {"name": "heads"},
        "data": {"name": "mnist"},
        "backbone": {
            "name": "doubled",
            "backbone": {"name": "doubled", "backbone": {"name": "small_cnn", "widths": [4]}},
        },
        "heads": {"digit": {"name": "classifier"}},
        "optimizers": {"model": {"name": "SGD", "lr": 0.1}},
        "train": {"steps": 1},
    }


def test_a_backbone_within_another_is_built_for_the_same_images(doubled):
    config = gvt.compose(doubled)
    facts = DataInfo(tuple("0123456789"), (1, 28, 28))
    built = build_task(config, facts).backbone
    assert built.inner.inner.feature_info == built.feature_info == {"stage1": (4, 2)}
    assert offers_used(config).keys() >= {"backbone:doubled", "backbone:small_cnn"}


def test_a_backbone_within_another_is_checked_before_data_is_read(doubled):
    inner = doubled["backbone"]["backbone"]["backbone"]
    for wrong, says in (
        ({"name": "small_cn"}, r"backbone\.backbone\.backbone: .*small_cnn"),
        ({"name": "small_cnn", "width": [4]}, r"backbone\.backbone\.backbone\.width: .*widths"),
        ({"name": "small_cnn", "image_shape": [1, 2, 2]}, "filled in by gvt"),
    ):
        inner.clear()
        inner.update(wrong)
        with pytest.raises(gvt.ConfigError, match=says):
            validate_components(gvt.compose(doubled))


def test_an_object_and_a_name_are_both_a_backbone_in_code(doubled):
    small = gvt.create("backbone", "small_cnn", image_shape=(1, 28, 28), widths=[4])
    assert gvt.create("backbone", "doubled", backbone=small).inner is small
    named = gvt.create("backbone", "doubled", backbone="small_cnn", image_shape=(3, 28, 28))
    assert named.inner.stages["stage1"][0].in_channels == 3


def test_a_loss_may_have_a_backbone_which_is_built_with_the_networks(doubled):
    gvt.register("loss", "perceptual")(Perceptual)
    doubled["heads"]["digit"]["loss"] = {"name": "perceptual", "backbone": "small_cnn"}
    task = build_task(gvt.compose(doubled), DataInfo(tuple("0123456789"), (1, 28, 28)))
    assert task.heads["digit"].criterion.backbone.feature_info["stage1"] == (32, 2)


class Judge(gvt.Discriminator):
    """Heads on a backbone of its own."""

    def __init__(self, heads: dict[str, gvt.Head], backbone: gvt.Backbone) -> None:
        super().__init__()
        self.backbone, self.heads = backbone, nn.ModuleDict(heads)


def test_heads_within_a_component_stand_on_the_backbone_within_it():
    gvt.register("discriminator", "judge")(Judge)
    judge = gvt.create(
        "discriminator",
        "judge",
        heads={"digit": "classifier"},
        backbone={"name": "small_cnn", "widths": [4, 6]},
        image_shape=(1, 28, 28),
        num_classes=5,
    )
    batch = gvt.Batch.of_images(torch.rand(2, 1, 28, 28))
    logits = judge.heads["digit"](judge.backbone(batch.images), batch)
    assert judge.heads["digit"].predict(logits)[0]["scores"].shape == (5,)
    with pytest.raises(gvt.ConfigError, match=r"judge\.heads.*no parameter 'hiden'"):
        gvt.create(
            "discriminator",
            "judge",
            heads={"digit": {"name": "classifier", "hiden": []}},
            backbone="small_cnn",
            image_shape=(1, 28, 28),
            num_classes=5,
        )


class Both:
    """Two data sets, one behind the other."""

    splits = ("train", "val", "test")

    def __init__(self, split: str, parts: list[gvt.Dataset]) -> None:
        self.split, self.parts = split, parts
        self.info = parts[0].info

    def __len__(self):
        return sum(map(len, self.parts))


def test_data_sets_within_a_data_set_are_of_the_same_split():
    gvt.register("dataset", "both")(Both)
    parts = [{"name": "mnist", "classes": [5]}, "mnist"]
    data = {"name": "both", "parts": parts, "batch_size": 8}
    recipe = {
        "task": {"name": "heads"},
        "data": data,
        "backbone": {"name": "small_cnn", "widths": [4]},
        "heads": {"digit": {"name": "classifier"}},
        "optimizers": {"model": {"name": "Adam"}},
        "train": {"steps": 1},
    }
    config = gvt.compose(recipe)
    validate_components(config)
    assert offers_used(config).keys() >= {"dataset:both", "dataset:mnist"}
    assert len(open_dataset(config, "test")) == 892 + 10_000
    assert len(gvt.create("dataset", "both", split="test", parts=parts)) == 892 + 10_000
    parts[0]["classes"] = "five"
    with pytest.raises(gvt.ConfigError, match=r"data\.parts.*classes"):
        validate_components(gvt.compose(recipe))


def test_a_data_set_within_another_without_the_split_is_one_line():
    gvt.register("dataset", "both")(Both)
    gvt.register("dataset", "learns_only")(type("LearnsOnly", (Both,), {"splits": ("train",)}))
    parts = [{"name": "learns_only", "parts": ["mnist"]}]
    with pytest.raises(
        gvt.ConfigError, match=r"parts\[0\]: learns_only has no split 'val'; it has train"
    ):
        gvt.create("dataset", "both", split="val", parts=parts)
