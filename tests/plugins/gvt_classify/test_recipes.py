"""What each recipe of a classifier is published with, as a table."""

import pytest
from PIL import Image

import gvt
from gvt_classify.plugin import gvt_components

pytestmark = pytest.mark.usefixtures("drawn")

# Budget, batch, optimiser, its rate and warm-up, held out, the splits that are looked at.
PUBLISHED = {
    "classify.finetune": (10, 16, "AdamW", 2e-3, 0, {"val": 0.2}, ("val", None)),
    "classify.folder": (30, 16, "AdamW", 1e-3, 0, {"val": 0.2}, ("val", None)),
    "classify.imagenet": (100, 128, "AdamW", 1e-3, 2000, {}, ("val", None)),
    "classify.mnist": (5, 128, "Adam", 2e-3, 100, {"holdout": 5000}, ("val", "test")),
}


def test_every_recipe_is_in_the_table():
    recipes = {offered.name for offered in gvt_components() if offered.kind == "recipe"}
    assert recipes == PUBLISHED.keys()


@pytest.mark.parametrize("recipe", PUBLISHED)
def test_a_recipe_has_its_published_numbers(recipe):
    epochs, batch, kind, rate, warmup, held_out, splits = PUBLISHED[recipe]
    config = gvt.compose(recipe, [] if recipe.endswith("mnist") else ["data.root=photos"])
    assert (config.train.epochs, config.train.steps) == (epochs, None)
    assert (config.data.batch_size, config.data.shuffle) == (batch, True)
    assert config.train.checkpoint_every == "epoch"
    assert held_out.items() <= config.data.parameters.items()
    [optimizer] = config.optimizers.values()
    assert (optimizer.name, optimizer.parameters["lr"], optimizer.warmup) == (kind, rate, warmup)
    assert optimizer.schedule.name == "CosineAnnealingLR"
    assert optimizer.schedule.parameters == {"T_max": "auto"}
    evaluation = config.evaluate
    assert (evaluation.split, evaluation.final) == splits
    assert (evaluation.every, evaluation.best, evaluation.mode) == ("epoch", "accuracy", "max")


def test_fine_tuning_begins_with_the_head():
    config = gvt.compose("classify.finetune", ["data.root=photos"])
    assert config.train.unfreeze == {"backbone": 50}
    assert config.optimizers["model"].rates == {"backbone": 0.1}
    assert config.evaluate.patience == 3


def photos(root, counts):
    """Write pictures of one colour each, and return the overrides that train on them."""
    for color, count in counts.items():
        for number in range(count):
            path = root / color / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (20, 20), color).rotate(number).save(path)
    return [f"data.root={root}", "data.size=32", "data.val=0.3", "data.batch_size=8"]


OF_ONES_OWN = {
    "head only": ["train.unfreeze={backbone: never}"],
    "rates and unfreezing": [
        "optimizers.model.rates={backbone: 0.1, backbone.stages.stage1: 0.01}",
        "train.unfreeze={backbone: 4, backbone.stages.stage3: 2}",
    ],
    "balance and weights": ["data.balance=true", "heads.picture.class_weights=balanced"],
    "mixing": [
        "heads.picture.label_smoothing=0.1",
        "data.batch_transforms=[{name: RandomChoice, transforms: [{name: MixUp}, {name: CutMix}]}]",
    ],
    "RandAugment": ["data.transforms=[{name: RandAugment, num_ops: 2}]", "data.workers=0"],
}


@pytest.mark.parametrize("overrides", OF_ONES_OWN.values(), ids=OF_ONES_OWN)
def test_a_folder_of_ones_own_is_learned_in_every_way(overrides, tmp_path):
    data = photos(tmp_path / "photos", {"red": 24, "blue": 12})
    steps = ["train.steps=6", "evaluate.every=3", f"run.root={tmp_path}"]
    run = gvt.run("classify.folder", *data, *steps, *overrides, quiet=True)
    assert (run.outcome, run.step) == ("success", 6)
    assert run.metrics["val/accuracy"] > 0.5
    assert (run.folder / "data.png").exists()


@pytest.mark.slow
def test_pictures_of_several_classes_are_learned_from_a_list(tmp_path):
    root = tmp_path / "photos"
    data = photos(root, {"red": 12, "blue": 12, "magenta": 12})
    named = {"red": "red", "blue": "blue", "magenta": "red,blue"}
    lines = [f"{c}/{n}.png,{names}" for c, names in named.items() for n in range(12)]
    (root / "labels.csv").write_text("\n".join(lines) + "\n")
    run = gvt.run(
        "classify.folder",
        *(*data, "data.labels=labels.csv", "train.steps=60", "evaluate.every=30"),
        *("heads.picture={name: multilabel}", "evaluate.best=mean_average_precision"),
        f"run.root={tmp_path}",
        quiet=True,
    )
    assert run.metrics["val/mean_average_precision"] > 0.9
    assert run.task.heads["picture"].num_classes == 2


@pytest.mark.parametrize("steps", [2, 40])
def test_a_head_for_one_class_learns_nothing_from_a_list_of_several(steps, tmp_path):
    data = photos(tmp_path / "photos", {"red": 9, "blue": 9})
    lines = [f"{c}/{n}.png,{c}" for c in ("red", "blue") for n in range(9)]
    (tmp_path / "photos" / "labels.csv").write_text("\n".join(lines) + "\n")
    with pytest.raises(gvt.DataError, match=r"the heads need class; targets of the data: labels"):
        gvt.run(
            *("classify.folder", *data, "data.labels=labels.csv", f"train.steps={steps}"),
            *("evaluate={}", f"run.root={tmp_path}"),
            quiet=True,
        )
