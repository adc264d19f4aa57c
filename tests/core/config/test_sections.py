"""Sections of recipes that belong to plugins."""

import copy
import pickle
import re
import subprocess
import sys

import pytest
from pydantic import BaseModel, ValidationError

import gvt
from gvt.config import compose
from gvt.config.compose import validate
from gvt_registry import BrokenComponent, default_registry

PLUGIN = """
from pydantic import PositiveInt

import gvt
from gvt_registry import hookimpl


class Explain(gvt.Section):
    steps: PositiveInt = 20
    layers: list[str] = []


class Compare(gvt.Section):
    other: str
    runs: int = 1


NUMBER = 3


@hookimpl
def gvt_sections():
    return {offers}
"""
OFFERS = '{"explain": "NAME:Explain", "compare": "NAME:Compare"}'
SMALL = ("train.steps=1", "data.classes=[0, 1]", "device=cpu", "evaluate={}")


@pytest.fixture
def plugin(tmp_path):
    """Return what loads a plugin file with sections, for a test, and what removes it again."""
    plugins, loaded = default_registry().plugins, []

    def load(offers=OFFERS):
        name = f"sections_{len(loaded)}_{tmp_path.name}".replace("-", "_")
        file = tmp_path / f"{name}.py"
        file.write_text(PLUGIN.replace("{offers}", offers.replace("NAME", name)))
        loaded.append(plugins.load_file(file))
        return sys.modules[name]

    def remove():
        for one in loaded:
            plugins._plugins.remove(one)
            plugins._manager.unregister(name=one.name)
            sys.modules.pop(one.name, None)
        loaded.clear()

    load.remove, load.loaded = remove, loaded
    yield load
    remove()


def test_a_section_has_its_model_and_its_defaults(plugin):
    module = plugin()
    config = compose("classify.mnist", ["explain.layers=[stem]"])
    section = config.section("explain", module.Explain)
    assert (section.steps, section.layers) == (20, ["stem"])
    assert compose("classify.mnist").section("explain", module.Explain).steps == 20
    assert config.document()["explain"] == {"steps": 20, "layers": ["stem"]}
    assert isinstance(config, gvt.RunConfig)


def test_a_section_that_needs_values_is_null_unless_it_is_given(plugin):
    module = plugin()
    config = compose("classify.mnist")
    assert config.document()["compare"] is None
    with pytest.raises(gvt.ConfigError, match=r"classify\.mnist: compare: is missing"):
        config.section("compare", module.Compare)
    config = compose(config, ["compare.other=a"])
    assert config.section("compare", module.Compare).runs == 1


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("explain.step=3", r"explain\.step: unknown key; did you mean 'steps'\?"),
        ("explain.steps=0", r"explain\.steps: should be greater than 0, not 0"),
        ("explain=3", "explain: should be an object, not 3"),
        ("compare.runs=3", r"compare\.other: is missing"),
        ("explian.steps=3", r"explian: unknown key; did you mean 'explain'\?"),
        ("zzz.steps=3", "zzz: unknown key; known: .*explain, .*if it belongs to a plugin, install"),
    ],
)
def test_what_does_not_fit_is_one_line(plugin, override, message):
    plugin()
    with pytest.raises(gvt.ConfigError, match=message):
        compose("classify.mnist", [override])


def test_a_section_without_its_plugin_is_an_error_in_a_recipe_and_kept_in_a_checkpoint(plugin):
    plugin()
    recipe = compose("classify.mnist", ["explain.steps=7", "compare.other=a"]).document()
    plugin.remove()
    with pytest.raises(gvt.ConfigError, match=r"explain: unknown key.*install that plugin"):
        compose(recipe)
    recorded = validate(recipe, "the checkpoint", keep=recipe)
    assert recorded.document()["explain"] == {"steps": 7, "layers": []}
    changed = compose(recorded, ["device=cpu"])
    assert changed.document() == {**recorded.document(), "device": "cpu"}
    for override in ("explain.steps=8", "other.steps=8"):
        with pytest.raises(gvt.ConfigError, match=r"unknown key.*install that plugin"):
            compose(recorded, [override])
    module = plugin()
    back = validate(recipe, "the checkpoint", keep=recipe)
    assert back.section("explain", module.Explain).steps == 7


@pytest.mark.parametrize("name", ["extra", "document", "model_fields", "__class__", "a b"])
def test_only_what_a_section_can_be_is_kept(name):
    recipe = {**compose("classify.mnist").document(), name: 3 if name == "extra" else {}}
    with pytest.raises(gvt.ConfigError, match="unknown key"):
        validate(recipe, "the checkpoint", keep=recipe)


def test_a_run_keeps_the_section_of_a_plugin_that_went_and_came_back(plugin, tmp_path):
    plugin()
    words = (*SMALL, f"run.root={tmp_path}")
    run = gvt.run("classify.mnist", *words, "explain.steps=7", quiet=True)
    plugin.remove()
    assert gvt.open(run.checkpoint).config.document()["explain"]["steps"] == 7
    assert gvt.evaluate_checkpoint(run.checkpoint, "device=cpu", split="test").metrics
    gvt.save(gvt.load(run.checkpoint), tmp_path / "copy.safetensors")
    assert gvt.open(tmp_path / "copy.safetensors").config.document()["explain"]["steps"] == 7
    gvt.resume(run.folder, "train.steps=2", quiet=True)
    module = plugin()
    config = gvt.open(run.checkpoint, "explain.steps=9").config
    assert config.section("explain", module.Explain).steps == 9
    resumed = gvt.resume(run.folder, "train.steps=3", "explain.steps=8", quiet=True)
    assert resumed.config.section("explain", module.Explain).steps == 8


@pytest.mark.parametrize(
    ("offers", "warning"),
    [
        ('{"train": "NAME:Explain"}', "'train' is a name that gvt uses itself"),
        ('{"document": "NAME:Explain"}', "'document' is a name that gvt uses itself"),
        ('{"mine": "NAME:NUMBER"}', "section 'mine': 3 is not a pydantic model"),
        ('{"mine": "NAME:Missing"}', "section 'mine' from .* is broken: AttributeError"),
    ],
)
def test_a_section_that_cannot_be_used_stops_no_other_recipe(plugin, offers, warning):
    plugin(offers)
    assert compose("classify.mnist").train.seed == 0
    (loaded,) = plugin.loaded
    assert len(loaded.warnings) == 1
    assert re.search(warning, loaded.warnings[0])


def test_a_broken_section_is_an_error_where_it_is_used(plugin):
    plugin('{"mine": "NAME:Missing"}')
    with pytest.raises(BrokenComponent, match=r"section 'mine' from .* is broken"):
        compose("classify.mnist", ["mine.steps=3"])


def test_two_plugins_with_one_section_are_an_error_where_it_is_used(plugin):
    plugin('{"mine": "NAME:Explain"}')
    plugin('{"mine": "NAME:Explain"}')
    assert compose("classify.mnist").train.seed == 0
    with pytest.raises(gvt.UsageError, match=r"section 'mine' is offered by .* and .*; block one"):
        compose("classify.mnist", ["mine.steps=3"])


def test_a_configuration_with_sections_can_be_copied_and_pickled(plugin):
    plugin()
    config = compose("classify.mnist", ["explain.steps=7"])
    for other in (copy.deepcopy(config), pickle.loads(pickle.dumps(config))):
        assert other == config
        assert other.document() == config.document()
    assert issubclass(type(config.section("explain", BaseModel)), gvt.Section)
    with pytest.raises(ValidationError):
        type(config).model_validate({**config.document(), "explain": {"steps": 0}})


def test_listing_imports_no_torch_and_no_section(tmp_path):
    code = (
        "import sys; from gvt.cli.listing import listing; listing(None); "
        "print(sorted({'torch', 'pydantic', 'gvt_predict.settings'} & {*sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
