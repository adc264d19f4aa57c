"""A configuration with every parameter, and what is known of those that were not recorded."""

from pathlib import Path
from typing import ClassVar

import pytest
from pydantic import PositiveInt
from torch import nn

import gvt
from gvt.checkpoint import file
from gvt.checkpoint.document import read_header
from gvt.config.parameters import signature_of
from gvt.config.recorded import unrecorded, with_defaults, with_unrecorded
from gvt.session.build import validate_components
from gvt_registry import default_registry

SMALL = [
    *("data.classes=[3, 5]", "data.holdout=59900", "data.batch_size=8"),
    *("train.epochs=null", "train.steps=1", "evaluate={}", "heads.digit={name: classifier}"),
]


class Sharp(nn.Module):
    def __init__(self, power: float = 2, base: gvt.Loss | None = None) -> None:
        super().__init__()

    def forward(self, outputs, targets):
        return outputs.mean() * 0


class Odd(gvt.Head):
    """Has defaults of all kinds."""

    needs = ("class",)

    def __init__(
        self,
        feature_info,
        num_classes: int = 3,
        learns_from: str | None = None,
        loss: gvt.Loss | None = None,
        losses: tuple[gvt.Loss, ...] = (),
        chosen: gvt.Loss = "sharp",  # type: ignore[assignment]
        sizes: tuple[int, ...] = (1, 2),
        listed: list[int] = (3, 4),  # type: ignore[assignment]
        refused: PositiveInt = 0,
        no_text: str = None,  # type: ignore[assignment]  # noqa: RUF013
        endless: float = float("inf"),
        place: object = Path("a"),
        free=(5, 6),
        free_list=[7],  # noqa: B006
        backbone=None,
    ) -> None:
        super().__init__()


def narrow(default, **unrecorded):
    """Return a backbone of as many channels as its default, or a recipe, says."""

    class Narrow(gvt.Backbone):
        gvt_unrecorded: ClassVar = unrecorded

        def __init__(self, image_shape, width: PositiveInt = default) -> None:
            super().__init__()
            self.convolution = nn.Conv2d(image_shape[0], width, 3, stride=4)
            self.feature_info = {"map": (width, 4)}

        def forward(self, images):
            return {"map": self.convolution(images)}

    return Narrow


@pytest.fixture(autouse=True)
def components(monkeypatch):
    monkeypatch.setattr(default_registry(), "_in_code", {})
    gvt.register("loss", "sharp")(Sharp)
    gvt.register("head", "odd")(Odd)


def offer_narrow(default, **unrecorded):
    default_registry()._in_code.pop(("backbone", "narrow"), None)
    gvt.register("backbone", "narrow")(narrow(default, **unrecorded))


def composed(head, **sections):
    return gvt.compose(
        {
            "task": {"name": "heads"},
            "data": {"name": "mnist"},
            "backbone": {"name": "small_cnn"},
            "heads": {"one": head},
            "optimizers": {"model": {"name": "SGD", "lr": 0.1}},
            "train": {"steps": 1},
            **sections,
        }
    )


def test_defaults_that_a_recipe_can_give_are_recorded():
    recorded = with_defaults(composed({"name": "odd", "sizes": [9]})).heads["one"]
    assert recorded.parameters == {
        "sizes": [9],
        "loss": None,
        "losses": [],
        "listed": [3, 4],
        "free_list": [7],
    }


def test_components_within_components_are_recorded():
    odd = {"name": "odd", "loss": "sharp", "losses": [{"name": "sharp", "base": "L1Loss"}]}
    scenes = {"name": "scenes", "size": 48}
    config = composed(
        odd,
        data={"name": "mixed", "parts": {"a": scenes}},
        backbone={"name": "fpn", "backbone": {"name": "unet_encoder", "width": 4}},
    )
    recorded = with_defaults(config).document()
    head = recorded["heads"]["one"]
    assert head["loss"] == {"name": "sharp", "power": 2, "base": None}
    assert head["losses"][0]["power"] == 2
    assert head["losses"][0]["base"]["name"] == "L1Loss"
    assert head["losses"][0]["base"]["reduction"] == "mean"
    part = recorded["data"]["parts"]["a"]
    assert part["size"] == 48
    assert part["overlap"] == 0.1
    assert "split" not in part
    assert recorded["data"]["shares"] is None
    assert recorded["backbone"]["channels"] == 256
    assert recorded["backbone"]["backbone"]["depth"] == 4
    assert recorded["task"]["weighting"] is None
    assert not {"vocabularies", "heads", "backbone"} & recorded["task"].keys()


RECIPES = [o.component.name for o in default_registry().offers() if o.component.kind == "recipe"]


@pytest.mark.parametrize("recipe", RECIPES)
def test_what_is_recorded_of_a_recipe_is_valid_and_complete(recipe, monkeypatch, tmp_path):
    monkeypatch.setenv("GVT_DATA", str(tmp_path))
    config = gvt.compose(recipe)
    dataset = default_registry().find("dataset", config.data.name).load()
    given = {} if "root" not in signature_of(dataset)[0] else {"root": str(tmp_path)}
    document = config.document()
    recorded = with_defaults(gvt.compose({**document, "data": {**given, **document["data"]}}))
    validate_components(recorded)
    assert with_defaults(recorded) == recorded
    assert gvt.compose(recorded.document()) == recorded
    assert with_unrecorded(recorded.document()) == recorded.document()


def width_of(task):
    return task.backbone.convolution.out_channels


def unrecorded_copy(checkpoint, path):
    """Write a checkpoint as format 1 did, without the parameters that nobody gave."""
    document, tensors = file.load(checkpoint)
    for section in ("config", "resolved"):
        del document[section]["backbone"]["width"]
    file.save(path, tensors, document)


def test_a_checkpoint_outlives_a_changed_default(tmp_path):
    offer_narrow(4)
    overrides = [*SMALL, "backbone={name: narrow}", f"run.root={tmp_path}"]
    run = gvt.run("classify.mnist", *overrides, quiet=True)
    assert read_header(run.checkpoint).document["config"]["backbone"]["width"] == 4

    offer_narrow(6)
    assert width_of(gvt.load(run.checkpoint)) == 4
    resumed = gvt.resume(run.folder, "train.steps=2", quiet=True)
    assert width_of(resumed.task) == 4
    assert gvt.resume(run.folder, "train.steps=3", "backbone.width=4", quiet=True).step == 3
    with pytest.raises(gvt.UsageError, match=r"^backbone: "):
        gvt.resume(run.folder, "train.steps=4", "backbone.width=6", quiet=True)


def test_a_component_says_what_a_checkpoint_did_not_record(tmp_path):
    offer_narrow(4)
    overrides = [*SMALL, "backbone={name: narrow}", f"run.root={tmp_path}"]
    run = gvt.run("classify.mnist", *overrides, quiet=True)
    unrecorded_copy(run.checkpoint, run.checkpoint)

    offer_narrow(6)
    with pytest.raises(gvt.CheckpointError, match="of another model"):
        gvt.load(run.checkpoint)

    offer_narrow(6, width=4)
    task = gvt.load(run.checkpoint)
    assert width_of(task) == 4
    resumed = gvt.resume(run.folder, "train.steps=2", quiet=True)
    assert read_header(resumed.checkpoint).document["resolved"]["backbone"]["width"] == 4
    saved = gvt.save(task, tmp_path / "saved.safetensors")
    assert read_header(saved).document["config"]["backbone"]["width"] == 4
    fresh = gvt.run("classify.mnist", *overrides, quiet=True)
    assert width_of(fresh.task) == 6


def test_an_added_head_is_recorded_with_its_defaults(tmp_path):
    run = gvt.run("classify.mnist", *SMALL, f"run.root={tmp_path}", quiet=True)
    task = gvt.load(run.checkpoint)
    gvt.add_head(task, "again", "classifier", hidden=[4])
    heads = read_header(gvt.save(task, tmp_path / "two.safetensors")).document["config"]["heads"]
    assert heads["again"].keys() == heads["digit"].keys()
    assert heads["again"]["hidden"] == [4]


def test_a_component_that_is_not_there_is_left_to_what_builds_it():
    document = composed({"name": "odd"}).document()
    document["heads"]["one"]["name"] = "odder"
    assert with_unrecorded(document) == document
    document["heads"]["one"] = {"name": "odd", "loss": "blunt", "sizes": "x"}
    assert with_unrecorded(document)["heads"] == document["heads"] | {
        "one": document["heads"]["one"] | {"learns_from": None}
    }


def test_what_a_base_says_counts_as_far_as_its_constructor():
    class Inheriting(narrow(4, width=2)):
        gvt_unrecorded: ClassVar = {"depth": 1}

    class WithItsOwn(Inheriting):
        gvt_unrecorded: ClassVar = {"height": 3}

        def __init__(self, image_shape, width: int = 5, height: int = 6) -> None:
            super().__init__(image_shape, width)

    assert unrecorded(Inheriting) == {"depth": 1, "width": 2}
    assert unrecorded(WithItsOwn) == {"height": 3}
    assert unrecorded(lambda x: x) == {}


def test_what_a_class_says_of_names_that_it_does_not_take_is_ignored():
    offer_narrow(4, width=2, height=9)
    document = composed({"name": "odd"}, backbone={"name": "narrow"}).document()
    assert with_unrecorded(document)["backbone"] == {"name": "narrow", "width": 2}
