"""The networks of a task by name, and the short form of three of them."""

from collections.abc import Mapping
from typing import Annotated, Any

import pytest
from pydantic import Field
from torch import nn

import gvt
from gvt.config import compose
from gvt.config.compose import recipe_text
from gvt.config.networks import network_sections, networks_of
from gvt.session.build import build_task, validate_components
from gvt.session.changeable import TRAINED, first_change
from gvt_registry import default_registry

RECIPE = {
    "task": {"name": "student"},
    "data": {"name": "mnist"},
    "backbone": {"name": "small_cnn", "widths": [4]},
    "optimizers": {"model": {"name": "SGD", "lr": 0.1}},
    "train": {"steps": 1},
}
INFO = gvt.DataInfo(tuple("0123456789"), (1, 28, 28))


class Small(gvt.Backbone):
    pass


class Code(nn.Module):
    """A network on the features of the backbone of the task."""

    def __init__(self, feature_info: Mapping[str, Any], size: int = 2, teacher: Any = None) -> None:
        super().__init__()
        ((width, _),) = feature_info.values()
        self.layer, self.teacher = nn.Linear(width, size), teacher


class Student(gvt.Task):
    """Learns what a teacher knows."""

    phases = (gvt.Phase("learn", trains="backbone", optimizer="model"),)

    def __init__(
        self,
        backbone: gvt.Backbone,
        teacher: Small | None = None,
        code: nn.Linear | Code | None = None,
        heads: dict[str, gvt.Head] = {},  # noqa: B006
    ) -> None:
        super().__init__()
        self.backbone, self.teacher, self.code = backbone, teacher, code


@pytest.fixture(autouse=True)
def components(monkeypatch):
    monkeypatch.setattr(default_registry(), "_in_code", {})
    gvt.register("task", "student")(Student)
    gvt.register("network", "code")(Code)


def every_type(
    generator,
    discriminator: nn.Module,
    backbone: int,
    judge: gvt.Discriminator,
    body: Annotated[gvt.Backbone | None, Field()],
    small: Small,
    layer: nn.Linear | None,
    head: gvt.Head,
    several: dict[str, gvt.Generator],
    any_of: list[nn.Module],
    width: int,
    free=3,
):
    """Take parameters of all types."""


def test_the_kind_of_a_network_is_that_of_its_type():
    assert networks_of("task", every_type) == {
        "generator": "generator",
        "discriminator": "discriminator",
        "backbone": "backbone",
        "judge": "discriminator",
        "body": "backbone",
        "small": "backbone",
        "layer": "network",
    }
    assert networks_of("head", every_type) == {}


def test_a_network_is_built_for_the_data_and_the_features_of_the_backbone():
    config = compose(RECIPE, ["networks.code.name=code", "networks.teacher.name=small_cnn"])
    validate_components(config)
    task = build_task(config, INFO)
    assert (task.code.layer.in_features, task.code.layer.out_features) == (4, 2)
    assert task.teacher.feature_info.keys() == {"stage1", "stage2"}
    # Only the task is given them, not another component that has a parameter of that name.
    assert task.code.teacher is None


@pytest.mark.parametrize("path", ["backbone", "networks.backbone"])
@pytest.mark.parametrize("long", [False, True])
def test_the_short_form_and_the_long_one_are_the_same(path, long):
    recipe = dict(RECIPE)
    if long:
        recipe["networks"] = {"backbone": recipe.pop("backbone")}
    assert compose(recipe) == compose(RECIPE)
    renamed = compose(recipe, [f"{path}.name=unet_encoder", f"{path}.depth=3"])
    assert (renamed.backbone.name, renamed.backbone.parameters) == ("unet_encoder", {"depth": 3})
    assert renamed.networks == {}
    assert compose(recipe, [f"{path}.widths=[8]"]).backbone.parameters == {"widths": [8]}
    with pytest.raises(gvt.ConfigError, match="backbone: is missing; task student needs it"):
        validate_components(compose(recipe, [f"{path}=null"]))


def test_a_network_with_two_sections_is_one_line():
    recipe = {**RECIPE, "networks": {"backbone": {"name": "small_cnn"}}}
    with pytest.raises(gvt.ConfigError, match=r"networks\.backbone: is given as backbone, too"):
        compose(recipe)


def test_the_text_of_a_recipe_keeps_its_comments(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(
        "task: {name: student}\ndata: {name: mnist}\n"
        "networks:\n  backbone: {name: small_cnn}  # small\n  code: {name: code, size: 3}\n"
        "optimizers: {model: {name: SGD, lr: 0.1}}\ntrain: {steps: 1}\n"
    )
    text = recipe_text(path, ["networks.code.size=5", "backbone.widths=[4]"])
    assert "# small" in text
    (tmp_path / "other.yaml").write_text(text)
    config = compose(tmp_path / "other.yaml")
    assert config.networks["code"].parameters == {"size": 5}
    assert config.backbone.parameters == {"widths": [4]}


def test_null_removes_a_network_and_a_mistyped_name_is_one_line():
    named = compose(RECIPE, ["networks.code.name=code"])
    assert compose(named, ["networks.code=null"]).networks == {}
    assert compose({**named.document(), "networks": {"code": None}}).networks == {}
    with pytest.raises(gvt.ConfigError, match=r"networks\.cod=null: .* no such network; did you"):
        compose(named, ["networks.cod=null"])
    with pytest.raises(gvt.ConfigError, match="no such network; its networks: none"):
        compose(RECIPE, ["networks.zzz=null"])


def test_networks_are_fixed_for_a_checkpoint():
    before = compose(RECIPE, ["networks.code.name=code"])
    assert first_change(TRAINED, before, compose(before, ["networks.code.size=5"])) == "networks"


def test_without_its_task_a_network_has_the_kind_of_its_name():
    config = compose({**RECIPE, "task": {"name": "gone"}}, ["networks.code.name=code"])
    assert {name: kind for name, (_, kind, _) in network_sections(config).items()} == {
        "backbone": "backbone",
        "code": "network",
    }
    with pytest.raises(gvt.UsageError, match="no task is called 'gone'"):
        validate_components(config)


def test_heads_that_a_task_does_not_take_are_one_line():
    gvt.register("task", "headless")(type("Headless", (Student,), {"__init__": headless}))
    recipe = {**RECIPE, "task": {"name": "headless"}, "heads": {"a": {"name": "classifier"}}}
    with pytest.raises(gvt.ConfigError, match="heads: task headless takes none; it takes backbone"):
        validate_components(compose(recipe))


def headless(self, backbone: gvt.Backbone):
    """Build a task without heads."""


class Pairs(nn.Module):
    """Has networks of its own, one by its name."""

    def __init__(
        self,
        generators: Mapping[str, gvt.Generator],
        judges: list[gvt.Discriminator],
        best: gvt.Generator | None = None,
    ) -> None:
        super().__init__()
        self.generators, self.judges = nn.ModuleDict(generators), nn.ModuleList(judges)
        self.best = best


def test_networks_in_the_parameters_of_any_component_are_built_for_the_same_images():
    gvt.register("network", "pairs")(Pairs)
    built = gvt.create(
        "network",
        "pairs",
        generators={"a": {"name": "dcgan", "width": 8}, "b": "dcgan"},
        judges=["dcgan", {"name": "dcgan", "width": 8}],
        image_shape=(1, 28, 28),
    )
    assert {name: g.image_shape for name, g in built.generators.items()} == {
        "a": (1, 28, 28),
        "b": (1, 28, 28),
    }
    assert len(built.judges) == 2 and built.best is None
    with pytest.raises(gvt.ConfigError, match=r"generators\.widht: .*'width'"):
        gvt.create("network", "pairs", generators={"a": {"name": "dcgan", "widht": 4}}, judges=[])
