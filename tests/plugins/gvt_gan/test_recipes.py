"""What each recipe of a GAN is published with, as a table."""

import pytest

import gvt
from gvt_gan.plugin import gvt_components

KERAS = {"eps": 1e-7}
LIGHT = ("Adam", {"lr": 1e-3, "betas": [0.5, 0.99]})
FIVE = ("RMSprop", {"lr": 1e-3, "alpha": 0.9} | KERAS)
MLP = ("Adam", {"lr": 1e-3} | KERAS)
DCGAN = ("Adam", {"lr": 2e-4, "betas": [0.5, 0.999]} | KERAS)
AVERAGE = {"decay": 0.995, "modules": ["generator"]}

# Budget, batch, in a new order every epoch, both optimisers, pictures every, checkpoints every,
# moving average.
PUBLISHED = {
    "gan.folder": ({"steps": 2000}, 32, True, LIGHT, 50, 250, AVERAGE),
    "gan.mnist": ({"steps": 2200}, 64, True, LIGHT, 50, 250, AVERAGE),
    "gan.mnist_classes": ({"steps": 1000}, 64, True, LIGHT, 50, 500, AVERAGE),
    "gan.mnist_dcgan": ({"epochs": 2}, 128, True, DCGAN, 100, 100, None),
    "gan.mnist_five": ({"steps": 100}, 50, False, FIVE, 1, 50, None),
    "gan.mnist_five_deep": ({"steps": 100}, 50, False, FIVE, 1, 50, None),
    "gan.mnist_mlp": ({"epochs": 100}, 128, True, MLP, "epoch", "epoch", None),
}


def compose(recipe):
    return gvt.compose(recipe, ["data.root=photos"] if recipe.endswith("folder") else [])


def test_every_recipe_is_in_the_table():
    recipes = {offered.name for offered in gvt_components() if offered.kind == "recipe"}
    assert recipes == PUBLISHED.keys()


@pytest.mark.parametrize("recipe", PUBLISHED)
def test_a_recipe_has_its_published_numbers(recipe):
    budget, batch, shuffle, (kind, numbers), pictures, checkpoints, average = PUBLISHED[recipe]
    config = compose(recipe)
    train, data = config.train, config.data
    given = {"steps": train.steps, "epochs": train.epochs}
    assert {name: count for name, count in given.items() if count} == budget
    assert (data.batch_size, data.shuffle, train.accumulate) == (batch, shuffle, 1)
    assert (train.pictures_every, train.checkpoint_every) == (pictures, checkpoints)
    assert (train.ema and train.ema.model_dump()) == average
    assert config.evaluate.split is None
    assert config.evaluate.final == ("test" if recipe == "gan.mnist_classes" else None)
    assert config.optimizers.keys() == {"generator", "discriminator"}
    for optimizer in config.optimizers.values():
        assert (optimizer.name, optimizer.parameters) == (kind, numbers)
        assert optimizer.schedule is None and optimizer.warmup == 0


def test_the_deep_form_is_the_other_with_one_convolution_more_in_both_networks():
    plain, deep = (compose(f"gan.mnist_five{name}").document() for name in ("", "_deep"))
    plain["recipe"] = deep["recipe"]
    plain["generator"]["further"] = [64]
    assert plain["discriminator"].pop("widths") == [64]
    assert deep["discriminator"].pop("widths") == [64, 64]
    assert deep == plain


def test_digits_by_class_are_those_of_gan_mnist_but_for_the_classes_and_half_the_steps():
    plain, classes = (compose(f"gan.mnist{name}").document() for name in ("", "_classes"))
    networks = {name: classes.pop(name) for name in ("discriminator", "generator", "task")}
    generator = plain["generator"] | {"conditional": True}
    assert networks["generator"] == generator
    assert networks["discriminator"]["name"] == "on_backbone"
    assert networks["discriminator"]["heads"].keys() == {"digit"}
    assert networks["task"] == {"name": "gan", "sheet": [10, 8]}
    different = {name for name in classes if classes[name] != plain[name]}
    assert different == {"recipe", "evaluate", "train"}
    budget = {"steps": 1000, "checkpoint_every": 500}
    assert classes["train"] == plain["train"] | budget
