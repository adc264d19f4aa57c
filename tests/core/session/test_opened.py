"""`gvt.open`: from a checkpoint, a run or a recipe to something that computes."""

import pytest
import torch

import gvt
from gvt.session.changeable import OPENING

SMALL = ("train.steps=2", "train.ema.decay=0.9", "data.classes=[0, 1]", "device=cpu")
PLAIN = """
task: {name: heads}
data: {name: mnist, classes: [0, 1]}
backbone: {name: flat}
heads: {digit: {name: fixed}}
optimizers: {model: {name: Adam}}
train: {steps: 1}
device: cpu
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    root = tmp_path_factory.mktemp("runs")
    return gvt.run("classify.mnist", *SMALL, f"run.root={root}", quiet=True)


@pytest.fixture
def recipe(tmp_path, monkeypatch):
    """Return a recipe whose networks have nothing to learn."""

    class Flat(gvt.Backbone):
        feature_info = {"flat": (1, 1)}  # noqa: RUF012

        def forward(self, images):
            return {"flat": images}

    class Fixed(gvt.Head):
        needs = ("class",)

        def __init__(self, num_classes: int, drawn: bool = False):
            super().__init__()
            self.register_buffer("weight", torch.rand(1) if drawn else torch.ones(1))

    for kind, name, target in (("backbone", "flat", Flat), ("head", "fixed", Fixed)):
        gvt.register(gvt.Component(kind, name, target))
    path = tmp_path / "plain.yaml"
    path.write_text(PLAIN)
    return path


def test_a_run_and_its_checkpoint_are_the_same(run):
    for name in (run.folder, run.checkpoint):
        opened = gvt.open(name, "device=cpu")
        assert (opened.checkpoint, opened.run.path) == (run.checkpoint, run.folder)
        assert (opened.info.classes, opened.is_averaged) == (("0", "1"), True)
        assert opened.origin["training"]["step"] == 2
        assert opened.placement.device == torch.device("cpu")
        assert not opened.task.training
        assert opened.task is opened.task
        assert opened.task.origin == opened.origin
        averaged, loaded = opened.task.state_dict(), gvt.load(name).state_dict()
        assert all(torch.equal(averaged[n], loaded[n]) for n in loaded)


def test_raw_weights_are_others_than_their_average(run):
    raw = gvt.open(run.checkpoint, averaged=False)
    assert not raw.is_averaged
    one, other = (opened.load().state_dict() for opened in (raw, gvt.open(run.checkpoint)))
    assert any(not torch.equal(one[name], other[name]) for name in one)


def test_results_depend_on_settings_as_they_were_resolved(run):
    opened = gvt.open(run.checkpoint)
    assert opened.config.train.precision == run.config.train.precision != "auto"
    assert opened.config.train.compile is False


@pytest.mark.parametrize("section", OPENING)
def test_what_made_the_networks_cannot_be_changed(run, section):
    changes = {
        "task": "task.weights={digit: 2}", "generator": "generator.name=dcgan",
        "discriminator": "discriminator.name=dcgan", "backbone": "backbone.name=other",
        "networks": "networks.teacher.name=other",
        "heads": "heads.further.name=classifier", "optimizers": "optimizers.model.lr=1",
        "train": "train.steps=9", "init_from": "init_from=a.safetensors",
    }  # fmt: skip
    with pytest.raises(gvt.UsageError, match=f"^{section}: .* trained as they were; leave it out$"):
        gvt.open(run.checkpoint, changes[section])


def test_a_tool_says_what_may_be_changed(run):
    opened = gvt.open(run.checkpoint, "data.batch_size=3", "predict.score=0.1")
    assert opened.config.data.batch_size == 3
    message = "^data: .* trained as they were; only predict and device can be set$"
    with pytest.raises(gvt.UsageError, match=message):
        gvt.open(run.checkpoint, "data.batch_size=3", changeable=("predict", "device"))


def test_no_weights_are_read_before_they_are_used(run, tmp_path):
    content = bytearray(run.checkpoint.read_bytes())
    content[-1] ^= 255
    damaged = tmp_path / "damaged.safetensors"
    damaged.write_bytes(content)
    opened = gvt.open(damaged)
    assert (opened.info.classes, opened.run) == (("0", "1"), None)
    with pytest.raises(gvt.CheckpointError, match="damaged"):
        opened.task  # noqa: B018


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("no/such/run", gvt.UsageError, "there is no such run or checkpoint"),
        ("no_such_recipe", gvt.UsageError, "no recipe is called 'no_such_recipe'"),
        (".", gvt.UsageError, "is not a run folder, or has no checkpoint yet"),
        ("text.safetensors", gvt.CheckpointError, r"text\.safetensors"),
    ],
)
def test_what_cannot_be_opened_is_one_line(tmp_path, monkeypatch, name, error, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.safetensors").write_text("no checkpoint")
    with pytest.raises(error, match=message):
        gvt.open(name)


def test_a_recipe_is_opened_if_its_networks_have_their_weights(recipe):
    opened = gvt.open(recipe)
    assert (opened.origin, opened.checkpoint, opened.run) == (None, None, None)
    assert opened.info.classes == ("0", "1")
    assert opened.task.heads["digit"].weight == 1
    drawn = gvt.open(recipe, "heads.digit.drawn=true")
    with pytest.raises(gvt.UsageError, match=r"heads\.digit\.weight is drawn at random"):
        drawn.task  # noqa: B018


def test_where_a_training_begins_is_no_trained_recipe(recipe):
    opened = gvt.open(recipe, "init_from=a.safetensors")
    with pytest.raises(gvt.UsageError, match=r"name a\.safetensors in the recipe's place"):
        opened.task  # noqa: B018
