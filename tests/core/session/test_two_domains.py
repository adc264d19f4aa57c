"""A task with two generators and two discriminators is a recipe, from training to `gvt config`."""

import json
from pathlib import Path

import pytest
import torch

import gvt
from gvt.cli.describe import describe
from gvt.session.build import offers_used, validate_components

pytestmark = pytest.mark.usefixtures("drawn")

PLUGIN = Path(__file__).parent / "two_domains.py"
RECIPES = ("cycle.networks", "cycle.mappings")
NETWORKS = ("g_ab", "g_ba", "d_a", "d_b")


@pytest.fixture(scope="module", autouse=True)
def plugin(load_plugin):
    """Load the plugin for the tests of this file."""
    return load_plugin(PLUGIN)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Return a run of each recipe."""
    root = tmp_path_factory.mktemp("runs")
    return {name: gvt.run(name, f"run.root={root}", quiet=True) for name in RECIPES}


@pytest.fixture(params=RECIPES)
def run(request, runs):
    """Return the run of a recipe."""
    return runs[request.param]


def recipe(*overrides, name="cycle.networks"):
    return gvt.compose(name, overrides)


def test_it_trains_evaluates_and_draws(run):
    rows = [json.loads(row) for row in (run.folder / "metrics.jsonl").read_text().splitlines()]
    names = {key.removeprefix("train/") for row in rows for key in row}
    assert {"generators/adversarial", "generators/cycle", "d_a/real", "d_b/fake"} <= names
    assert 0 < run.metrics["val/loss/translation"] < 1
    sheets = {path.stem.rpartition("_")[0] for path in (run.folder / "samples").iterdir()}
    assert sheets == {"translated"}


def test_both_recipes_are_the_same_training(runs, same_tensors):
    one, other = runs.values()
    assert one.metrics["val/loss/translation"] == other.metrics["val/loss/translation"]
    same_tensors(one.checkpoint, other.checkpoint)


def test_it_resumes_bitwise(run, same_tensors, tmp_path):
    overrides = (f"run.root={tmp_path}", "train.steps=2")
    half = gvt.run(run.config.recipe, *overrides, quiet=True)
    whole = gvt.resume(half.folder, "train.steps=4", quiet=True)
    same_tensors(run.checkpoint, whole.checkpoint)


def test_its_checkpoint_is_loaded_and_evaluated(run):
    task = gvt.load(run.folder)
    weights = run.task.state_dict()
    assert {name.partition(".")[0] for name in weights} == {*NETWORKS}
    assert all(torch.equal(weights[name], tensor) for name, tensor in task.state_dict().items())
    evaluation = gvt.evaluate_checkpoint(run.folder, split="val")
    assert evaluation.metrics["loss/translation"] == run.metrics["val/loss/translation"]


def test_what_a_checkpoint_and_a_run_record_is_complete(run, call, tmp_path):
    """`gvt inspect`, `gvt config` of a run's configuration, and a run of what it prints."""
    used = offers_used(run.config)
    assert {"generator:translator", "discriminator:patches"} <= used.keys()
    assert call("inspect", run.checkpoint, cwd=tmp_path).returncode == 0
    printed = call("config", run.folder / "config.yaml", cwd=tmp_path)
    assert printed.returncode == 0, printed.stderr
    (tmp_path / "mine.yaml").write_text(printed.stdout)
    document = gvt.compose(tmp_path / "mine.yaml").document()
    named = document["networks"] or document["task"]["generators"]
    assert [network["width"] for name, network in named.items() if "ab" in name] == [6]
    assert {network["name"] for network in named.values()} <= {"translator", "patches"}
    assert all("width" in network for network in named.values())  # defaults, too
    ended = call("run", "mine.yaml", "train.steps=1", cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr


def test_one_network_is_frozen_and_others_begin_with_weights(run, tmp_path):
    frozen = ("train.unfreeze={g_ab: never}", f"init_from={run.checkpoint}")
    tuned = gvt.run(run.config.recipe, *frozen, f"run.root={tmp_path}", quiet=True)
    before, after = gvt.load(run.folder).state_dict(), tuned.task.state_dict()
    same = {n.partition(".")[0] for n in before if torch.equal(before[n], after[n])}
    assert same == {"g_ab"}


def test_an_override_of_a_name_drops_the_parameters_of_the_former():
    config = recipe("networks.g_ab.name=dcgan", "networks.g_ba.width=8")
    assert config.networks["g_ab"].parameters == {}
    assert config.networks["g_ba"].parameters == {"width": 8}


def test_an_optional_network_is_of_kind_network_and_null_removes_it():
    added = recipe("networks.filter={name: blur, size: 5}")
    validate_components(added)
    task = gvt.session.build_task(added, gvt.DataInfo((), (1, 8, 8)))
    assert task.filter.layer.kernel_size == (5, 5)
    assert "network:blur" in offers_used(added)
    removed = gvt.compose(added, ["networks.filter=null"])
    assert "filter" not in removed.networks
    validate_components(removed)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["networks.g_ab.name=translater"], "no generator is called 'translater'.*'translator'"),
        (
            ["networks.g_ab.name=patches"],
            "no generator is called 'patches', which is a discriminator",
        ),
        (["networks.g_ab.widht=3"], r"networks\.g_ab\.widht: Translator has no .*mean 'width'"),
        (["networks.g_ab.image_shape=[1, 2, 3]"], r"networks\.g_ab\.image_shape: is filled in"),
        (["networks.g_ab=null"], r"networks\.g_ab: is missing; task cycle needs it"),
        (
            ["networks.g_ac.name=translator"],
            r"networks\.g_ac: task cycle takes none; it takes networks\.g_ab, .*'networks\.g_ba'",
        ),
        (["generator.name=translator"], "generator: task cycle takes none; it takes networks.g_ab"),
        (["task.g_ab.name=translator"], r"task\.g_ab: is configured as networks\.g_ab; move"),
        (["networks.weight.name=blur"], r"networks\.weight: task cycle takes none; it takes"),
        (["networks.filter.name=translator"], "no network is called 'translator', which is a gen"),
        (["networks.g_ac=null"], r"networks\.g_ac=null: the recipe has no such network.*'g_ab'"),
        (["networks.g_ab=3"], r"networks\.g_ab: should be an object, not 3"),
    ],
)
def test_what_does_not_fit_is_one_line(overrides, message):
    with pytest.raises(gvt.UsageError, match=message) as caught:
        validate_components(recipe(*overrides))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("task.generators.ab.name=patches", r"task\.generators: no generator is .* discriminator"),
        ("task.generators.ab.widht=3", r"task\.generators\.widht: Translator has no .*'width'"),
        ("task.generators=null", r"task\.generators: "),
        (
            "networks.generators.name=blur",
            r"networks\.generators: task cycles takes none; it takes",
        ),
    ],
)
def test_what_does_not_fit_in_a_mapping_is_one_line(override, message):
    with pytest.raises(gvt.UsageError, match=message) as caught:
        validate_components(recipe(override, name="cycle.mappings"))
    assert "\n" not in str(caught.value)


def test_a_task_shows_the_networks_that_it_takes():
    shown = describe("task:cycle").splitlines()
    networks = [line.split() for line in shown[shown.index("networks") + 1 :]]
    assert networks == [
        ["networks.g_ab", "generator", "required"],
        ["networks.g_ba", "generator", "required"],
        ["networks.d_a", "discriminator", "required"],
        ["networks.d_b", "discriminator", "required"],
        ["networks.filter", "network", "default", "None"],
    ]
    assert "dict[str, Generator]" in describe("task:cycles")
    assert "\nnetworks" not in describe("task:cycles")
