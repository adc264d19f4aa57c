"""Optimisers, schedules and transforms of plugins, by their names in a recipe."""

from pathlib import Path

import pytest
import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR
from torchvision import tv_tensors

import gvt
from gvt.config.named import library, target_of
from gvt.config.recorded import of_training, with_defaults, with_unrecorded
from gvt.loop.optim import Optimizer, check_optimizer
from gvt.session.build import offers_used, validate_components
from gvt_registry import AmbiguousComponent, UnknownComponent, default_registry

RECIPE = {
    "recipe": "own",
    "task": {"name": "heads"},
    "data": {
        "name": "mnist",
        "transforms": [
            {"name": "RandomHorizontalFlip"},
            {"name": "RandomApply", "transforms": [{"name": "shaded"}, {"name": "Identity"}]},
        ],
        "batch_transforms": [{"name": "swapped"}],
    },
    "backbone": {"name": "small_cnn", "widths": [8]},
    "heads": {"digit": {"name": "classifier"}},
    "optimizers": {
        "model": {"name": "plain", "lr": 0.5, "schedule": {"name": "linear", "until": "auto"}}
    },
    "train": {"steps": 4},
}


class Plain(torch.optim.Optimizer):
    """Gradient descent, one group for each parameter."""

    def __init__(self, params, lr: float, slow: float = 0.1):
        groups = [
            {"params": [parameter], "param_names": [name]}
            for group in params
            for name, parameter in zip(group["param_names"], group["params"], strict=True)
        ]
        super().__init__(groups[::-1], {"lr": lr})
        self.slow = slow

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            (parameter,), (name,) = group["params"], group["param_names"]
            if parameter.grad is not None:
                average = self.state[parameter].setdefault("average", torch.zeros_like(parameter))
                average.add_(parameter.grad)
                parameter.sub_(average, alpha=group["lr"] * (self.slow if name == "bias" else 1))


def linear(optimizer, until: int, least: float = 0.0):
    """Return a learning rate that falls to the least one."""
    return LambdaLR(optimizer, lambda step: max(least, 1 - step / until))


class Shaded:
    """Darken images, and leave everything else."""

    def __init__(self, by: float = 0.5, fill: int = 3):
        self.by, self.fill = by, fill

    def __call__(self, sample):
        image = (sample["image"] * self.by).to(sample["image"].dtype)
        return {**sample, "image": tv_tensors.Image(image)}


class Swapped:
    """Give each image the classes of the next one."""

    mixes = True

    def __init__(self, num_classes: int, by: int = 1):
        self.num_classes, self.by = num_classes, by

    def __call__(self, images, classes):
        return images, nn.functional.one_hot(classes.roll(self.by), self.num_classes).float()


@pytest.fixture(autouse=True)
def offered(monkeypatch):
    monkeypatch.setattr(default_registry(), "_in_code", {})
    for kind, target in (("optimizer", Plain), ("schedule", linear), ("transform", Shaded)):
        gvt.register(kind, target.__name__.lower())(target)
    gvt.register("transform", "swapped")(Swapped)


def test_they_are_found_wherever_a_recipe_names_them():
    config = gvt.compose(RECIPE)
    assert [(section, kind, c.name) for section, kind, c in of_training(config)] == [
        ("optimizers.model", "optimizer", "plain"),
        ("optimizers.model.schedule", "schedule", "linear"),
        ("data.transforms.1.transforms.0", "transform", "shaded"),
        ("data.batch_transforms.0", "transform", "swapped"),
    ]
    validate_components(config)
    assert offers_used(config).keys() >= {
        "optimizer:plain",
        "schedule:linear",
        "transform:shaded",
        "transform:swapped",
    }


def test_their_defaults_are_recorded_and_those_of_torch_are_not():
    document = with_defaults(gvt.compose(RECIPE)).document()
    model = document["optimizers"]["model"]
    assert model["slow"] == 0.1
    assert model["schedule"] == {"name": "linear", "until": "auto", "least": 0.0}
    flip, apply = document["data"]["transforms"]
    assert flip == {"name": "RandomHorizontalFlip"}
    assert apply["transforms"] == [{"name": "shaded", "by": 0.5, "fill": 3}, {"name": "Identity"}]
    assert document["data"]["batch_transforms"] == [{"name": "swapped", "by": 1}]
    assert with_unrecorded(document) == document


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"optimizers.model.name": "plane"}, r"optimizers\.model\.name: .*mean 'plain'"),
        ({"optimizers.model.name": "Adamm"}, r"nor has torch\.optim one .*did you mean 'Adam"),
        ({"optimizers.model.slo": 1}, r"optimizers\.model\.slo: .*did you mean 'slow'"),
        ({"optimizers.model.params": []}, r"optimizers\.model\.params: is filled in by gvt"),
        ({"optimizers.model.schedule.until": 0}, r"model\.schedule: linear: division by zero"),
        ({"optimizers.model.schedule.until": "x"}, r"optimizers\.model\.schedule\.until: "),
        ({"data.batch_transforms": [{"name": "swaped"}]}, r"transforms\[0\]\.name: .*'swapped'"),
        ({"data.transforms": [{"name": "shaded", "by": "x"}]}, r"data\.transforms\[0\]\.by: "),
        (
            {"data.batch_transforms": [{"name": "swapped", "num_classes": 3}]},
            r"transforms\[0\]\.num_classes: is filled in by gvt",
        ),
    ],
)
def test_what_is_wrong_is_one_line_with_its_place(changes, says):
    overrides = [f"{place}={value!r}" for place, value in changes.items()]
    with pytest.raises(gvt.UsageError, match=says) as caught:
        validate_components(gvt.compose(RECIPE, overrides))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        *(("optimizer", "Adam"), ("schedule", "StepLR"), ("transform", "Resize")),
        *(("loss", "MSELoss"), ("metric", "MeanMetric")),
    ],
)
def test_a_name_of_torch_is_never_that_of_a_plugin(kind, name):
    assert target_of(kind, name) is library(kind)[name]
    gvt.register(kind, name)(Plain)
    with pytest.raises(AmbiguousComponent, match=rf"{kind} '{name}' is a class of torch.*offered"):
        target_of(kind, name)


def test_what_is_no_optimizer_is_refused():
    gvt.register("optimizer", "empty")(lambda params: nn.Identity())
    config = gvt.compose(RECIPE, ["optimizers.model={name: empty}"]).optimizers["model"]
    with pytest.raises(gvt.ConfigError, match="built a Identity, not a Optimizer"):
        check_optimizer("model", config)


def test_split_groups_keep_their_rates_their_names_and_their_state():
    def built(model):
        config = gvt.OptimizerConfig(name="plain", lr=0.1, rates={"weight": 0.5})
        scaler = torch.amp.GradScaler("cpu", enabled=False)
        return Optimizer("model", dict(model.named_parameters()), config, 4, scaler)

    model = nn.Linear(3, 2)
    nn.init.zeros_(model.weight)
    nn.init.zeros_(model.bias)
    optimizer = built(model)
    optimizer.backward(model(torch.ones(1, 3)).sum())
    optimizer.step(None, None)
    torch.testing.assert_close(model.weight, torch.full((2, 3), -0.05))  # by `rates`
    torch.testing.assert_close(model.bias, torch.full((2,), -0.01))  # by its name
    assert optimizer.learning_rate == 0.1
    other = built(nn.Linear(3, 2))
    other.load_state(*optimizer.state())
    again, _ = other.state()
    assert {name: tuple(t.shape) for name, t in again.items()} == {
        "weight/average": (2, 3),
        "bias/average": (2,),
    }


def test_transforms_see_samples_and_batches():
    data = gvt.DataConfig(
        name="drawn",
        batch_size=4,
        shuffle=False,
        resident=False,
        workers=0,
        transforms=RECIPE["data"]["transforms"][1:] * 20,
        batch_transforms=RECIPE["data"]["batch_transforms"],
    )
    batch = gvt.Loader(
        Drawn(), data, gvt.TrainConfig(steps=1), gvt.Placement(torch.device("cpu"))
    ).first(4)
    assert batch.images.max() < 0.5  # darkened by some of 20 that are left to chance
    assert batch.targets["class"].argmax(dim=1).tolist() == [3, 0, 1, 2]


class Drawn:
    """White images, each of a class of its own."""

    splits = ("train",)
    info = gvt.DataInfo(classes=("a", "b", "c", "d"), image_shape=(1, 8, 8))

    def __len__(self):
        return 4

    def __getitem__(self, index):
        record = gvt.Record(str(index), (8, 8))
        return gvt.Sample({"image": torch.ones(1, 8, 8)}, {"class": torch.tensor(index)}, record)


def test_without_the_plugin_a_checkpoint_says_what_to_install():
    components = {
        "optimizer:plain": "gvt-plain 1.0",
        "schedule:linear": "gvt-plain 1.0",
        "transform:shaded": "gvt-shades 2.0",
    }
    config = gvt.compose(RECIPE)
    default_registry()._in_code.clear()
    with pytest.raises(UnknownComponent, match=r"'plain'.*trained with gvt-plain 1.0: pip install"):
        validate_components(config, components)
    validate_components(config, components, training=False)
    config = gvt.compose(RECIPE, ["optimizers.model={name: Adam}"])
    with pytest.raises(UnknownComponent, match=r"'shaded'.*pip install gvt-shades"):
        validate_components(config, components)


def test_a_path_of_a_transform_is_expanded(monkeypatch):
    def tabled(root: Path):
        assert str(root) == "/tables"
        return Shaded()

    gvt.register("transform", "tabled")(tabled)
    monkeypatch.setenv("TABLES", "/tables")
    validate_components(
        gvt.compose(RECIPE, ["data.transforms=[{name: tabled, root: '${TABLES}'}]"])
    )
