"""What each recipe of a classifier is published with, as a table."""

import pytest

import gvt
from gvt_classify.plugin import gvt_components

# Budget, batch, optimiser, its rate and warm-up, held out, the splits that are looked at.
PUBLISHED = {
    "classify.folder": (30, 16, "AdamW", 1e-3, 0, {"val": 0.2}, ("val", None)),
    "classify.mnist": (5, 128, "Adam", 2e-3, 100, {"holdout": 5000}, ("val", "test")),
}


def test_every_recipe_is_in_the_table():
    recipes = {offered.name for offered in gvt_components() if offered.kind == "recipe"}
    assert recipes == PUBLISHED.keys()


@pytest.mark.parametrize("recipe", PUBLISHED)
def test_a_recipe_has_its_published_numbers(recipe):
    epochs, batch, kind, rate, warmup, held_out, splits = PUBLISHED[recipe]
    root = ["data.root=photos"] if recipe.endswith("folder") else []
    config = gvt.compose(recipe, root)
    assert (config.train.epochs, config.train.steps) == (epochs, None)
    assert (config.data.batch_size, config.data.shuffle) == (batch, True)
    assert config.train.checkpoint_every == "epoch"
    assert held_out.items() <= config.data.parameters.items()
    [optimizer] = config.optimizers.values()
    assert (optimizer.name, optimizer.parameters, optimizer.warmup) == (kind, {"lr": rate}, warmup)
    assert optimizer.schedule.name == "CosineAnnealingLR"
    assert optimizer.schedule.parameters == {"T_max": "auto"}
    evaluation = config.evaluate
    assert (evaluation.split, evaluation.final) == splits
    assert (evaluation.every, evaluation.best, evaluation.mode) == ("epoch", "accuracy", "max")
