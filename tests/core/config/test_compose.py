"""Recipes with overrides: valid configurations and one-line errors."""

import json
import os
import re
import subprocess
import sys
from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gvt.config import compose, text
from gvt.config.compose import apply_overrides, recipe_text, validate
from gvt.errors import ConfigError
from gvt_registry import UnknownComponent, default_registry

RECIPES = [o.component.name for o in default_registry().offers("recipe")]

MINIMAL = {
    "task": {"name": "heads"},
    "data": {"name": "mnist"},
    "optimizers": {"model": {"name": "SGD", "lr": 0.1}},
    "train": {"steps": 3},
}


def changed(**sections):
    return {**MINIMAL, **sections}


def complaint(recipe, *overrides):
    """Return the one-line error of `compose`."""
    with pytest.raises(ConfigError) as caught:
        compose(recipe, overrides)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2
    return str(caught.value)


@pytest.fixture(autouse=True)
def _some_data(monkeypatch):
    """Set the variable in the paths of recipes; no data is read."""
    monkeypatch.setenv("GVT_DATA", os.environ.get("GVT_DATA", "data"))


def test_compose_is_the_function_although_its_module_has_the_same_name():
    import gvt.config.compose

    assert gvt.config.compose is compose is gvt.compose


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_recipe_is_valid_and_named(recipe):
    assert compose(recipe).recipe == recipe


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_document_validates_to_the_same_configuration(recipe):
    config = compose(recipe)
    assert validate(config.document(), "the document") == config
    assert compose(config.document()) == config


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_document_written_as_yaml_is_the_same_configuration(recipe, tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text(text.dump_yaml(compose(recipe).document()), encoding="utf-8")
    assert compose(path) == compose(recipe)


def test_a_mapping_is_a_recipe_and_stays_as_it_was():
    recipe = changed(data={"name": "mnist", "classes": [5]})
    before = json.dumps(recipe)
    assert compose(recipe, ["data.classes=[7]"]).data.parameters == {"classes": [7]}
    assert json.dumps(recipe) == before


def test_a_file_is_a_recipe_named_as_the_file(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(text.dump_yaml(MINIMAL))
    assert compose(path).recipe == "mine"
    assert compose(str(path)) == compose(path)


@pytest.mark.parametrize("content", ["", "- a\n", "5", "text"])
def test_a_file_without_a_mapping_is_refused(tmp_path, content):
    path = tmp_path / "mine.yaml"
    path.write_text(content)
    assert "mine.yaml" in complaint(path)


def test_an_unknown_recipe_names_the_nearest():
    with pytest.raises(UnknownComponent, match=r"'gan\.mnist'"):
        compose("gan.mnits")


# Overrides


def overridden(data, *overrides):
    data = json.loads(json.dumps(data))
    apply_overrides(data, overrides)
    return data


def test_an_override_sets_one_value_in_yaml():
    assert overridden({}, "a.b.c=1e-3", "a.d=[5, no]", "e={f: null}", "g=x=y") == {
        "a": {"b": {"c": 0.001}, "d": [5, "no"]},
        "e": {"f": None},
        "g": "x=y",
    }


def test_an_override_without_a_value_is_an_empty_string():
    assert overridden({"init_from": "a"}, "init_from=") == {"init_from": ""}


@pytest.mark.parametrize(
    "override", ["train.steps", "=5", ".steps=5", "train..steps=5", "train.=5"]
)
def test_a_malformed_override_is_refused(override):
    assert repr(override) in complaint("gan.mnist", override)


def test_an_override_with_invalid_yaml_is_refused_by_name():
    assert "data.classes=[5" in complaint("gan.mnist", "data.classes=[5")


@pytest.mark.parametrize(
    "override", ["train.steps.deeper=5", "data.range.first=0", "task.name.x=1", "recipe.a.b=1"]
)
def test_an_override_through_a_scalar_is_refused(override):
    assert override.rpartition(".")[0] in complaint("gan.mnist", override)


def test_a_new_name_removes_the_parameters_of_the_old_one():
    config = compose("gan.mnist", ["generator.name=other"])
    assert config.generator.name == "other"
    assert config.generator.parameters == {}


def test_the_same_name_keeps_the_parameters():
    assert compose("gan.mnist", ["generator.name=dcgan"]) == compose("gan.mnist")


def test_another_data_set_keeps_the_loading_settings():
    before, after = compose("gan.mnist"), compose("gan.mnist", ["data.name=other"])
    assert (after.data.batch_size, after.data.range) == (before.data.batch_size, before.data.range)
    holding = compose("classify.mnist", ["data.name=other"]).data
    assert holding.parameters == {}
    assert holding.batch_size == compose("classify.mnist").data.batch_size


def test_another_optimizer_keeps_its_schedule_and_warmup():
    overrides = ["optimizers.model.warmup=7", "optimizers.model.name=SGD"]
    after = compose("classify.mnist", overrides).optimizers["model"]
    assert (after.name, after.warmup, after.parameters) == ("SGD", 7, {})
    assert after.schedule == compose("classify.mnist").optimizers["model"].schedule


def test_another_schedule_removes_only_the_parameters_of_the_old_one():
    after = compose("classify.mnist", ["optimizers.model.schedule.name=StepLR"])
    optimizer = after.optimizers["model"]
    assert (optimizer.schedule.name, optimizer.schedule.parameters) == ("StepLR", {})
    assert optimizer.parameters == compose("classify.mnist").optimizers["model"].parameters


def test_null_removes_a_head():
    two = ["heads.other.name=classifier"]
    assert set(compose("classify.mnist", two).heads) == {"digit", "other"}
    assert set(compose("classify.mnist", [*two, "heads.digit=null"]).heads) == {"other"}


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("heads.digits=null", r"^heads\.digits=null: the recipe has no such head; .*'digit'\?$"),
        ("heads.zzz=null", r"has no such head; its heads: digit$"),
    ],
)
def test_removing_an_absent_head_is_an_error(override, says):
    assert re.search(says, complaint("classify.mnist", override))
    none = complaint(MINIMAL, "heads.ink=null")
    assert none == "heads.ink=null: the recipe has no such head; its heads: none"


@pytest.mark.parametrize(
    ("section", "given"),
    [("train.unfreeze", ("never", 5)), ("optimizers.model.rates", (0.1, 2.0))],
)
@pytest.mark.parametrize(
    "written", [{"heads.ink": None}, {"heads": {"ink": None}}, {"heads": {"ink": None}, "x": 1}]
)
def test_names_of_submodules_are_written_with_dots_or_as_mappings(section, given, written):
    first, second = given
    recipe = json.loads(json.dumps({section: written}).replace("null", json.dumps(first)))[section]
    path = section.split(".")

    def named(*overrides):
        found = compose(MINIMAL, overrides)
        *outer, last = path
        for key in outer:
            found = found[key] if isinstance(found, dict) else getattr(found, key)
        return getattr(found, last)

    other = {key: value for key, value in recipe.items() if key == "x"}
    whole = f"{section}={json.dumps(recipe)}"
    assert named(whole) == {"heads.ink": first, **other}
    assert named(f"{section}.heads.ink={json.dumps(first)}") == {"heads.ink": first}
    assert named(whole, f"{section}.heads.ink={second}") == {"heads.ink": second, **other}
    assert named(whole, f"{section}.heads={{ink: {second}}}") == {"heads.ink": second, **other}
    both = {"heads": second, "heads.ink": first, **other}
    assert named(whole, f"{section}.heads={second}") == both


def test_duplicate_names_are_refused_before_an_override():
    twice = changed(train={"steps": 3, "unfreeze": {"heads": {"ink": 1}, "heads.ink": 2}})
    assert "train.unfreeze: heads.ink is given twice" in complaint(twice)
    assert "train.unfreeze: heads.ink is given twice" in complaint(twice, "train.unfreeze.x=1")


def test_null_removes_a_network():
    assert compose("gan.mnist", ["discriminator=null"]).discriminator is None


@pytest.mark.parametrize(
    ("recipe", "override", "steps", "epochs"),
    [
        ("classify.mnist", "train.steps=9", 9, None),
        ("classify.mnist", "train.epochs=2", None, 2),
        ("gan.mnist", "train.epochs=2", None, 2),
        ("gan.mnist", "train.steps=9", 9, None),
    ],
)
def test_one_budget_replaces_the_other(recipe, override, steps, epochs):
    train = compose(recipe, [override]).train
    assert (train.steps, train.epochs) == (steps, epochs)


def test_both_budgets_are_refused():
    assert "steps or epochs" in complaint("gan.mnist", "train.steps=1", "train.epochs=1")


def test_no_budget_is_refused():
    assert "steps or epochs" in complaint("gan.mnist", "train.steps=null")


def test_the_order_of_overrides_does_not_matter():
    overrides = [
        "generator.width=8",
        "generator.name=other",
        "data.name=else",
        "data.classes=[5]",
        "train.epochs=1",
    ]
    composed = [compose("gan.mnist", order) for order in permutations(overrides)]
    assert all(config == composed[0] for config in composed)
    assert composed[0].generator.parameters == {"width": 8}
    assert composed[0].data.parameters == {"classes": [5]}


def test_the_last_of_two_values_for_one_setting_is_used():
    assert compose("gan.mnist", ["train.seed=1", "train.seed=2"]).train.seed == 2


def test_missing_sections_are_created():
    assert compose(MINIMAL, ["train.ema.decay=0.5"]).train.ema.decay == 0.5


# What is wrong


@pytest.mark.parametrize(
    ("override", "path", "near"),
    [
        ("trian.steps=5", "trian", "train"),
        ("train.stesp=5", "train.stesp", "steps"),
        ("train.ema.decai=0.5", "train.ema.decai", "decay"),
        ("evaluate.slit=val", "evaluate.slit", "split"),
        ("run.rot=here", "run.rot", "root"),
        ("generater.name=dcgan", "generater", "generator"),
    ],
)
def test_an_unknown_key_names_the_nearest(override, path, near):
    line = complaint("gan.mnist", override)
    assert f"{path}:" in line
    assert f"'{near}'" in line


def test_a_key_without_a_near_name_lists_all():
    line = complaint("gan.mnist", "train.zzz=5")
    assert "train.zzz:" in line
    assert "steps, epochs, seed" in line


@pytest.mark.parametrize(
    ("override", "path"),
    [
        ("train.steps=true", "train.steps"),
        ("train.steps=0", "train.steps"),
        ("train.steps=1.5", "train.steps"),
        ("train.steps='5'", "train.steps"),
        ("train.steps=many", "train.steps"),
        ("train.seed=12:30", "train.seed"),
        ("train.seed=2001-12-14", "train.seed"),
        ("train.deterministic=1", "train.deterministic"),
        ("train.precision=float8", "train.precision"),
        ("train.compile=maybe", "train.compile"),
        ("train.checkpoint_every=0", "train.checkpoint_every"),
        ("train.checkpoint_every=never", "train.checkpoint_every"),
        ("train.clip_norm=-1", "train.clip_norm"),
        ("train.ema.decay=1", "train.ema.decay"),
        ("train.ema.modules=[1]", "train.ema.modules"),
        ("train=5", "train"),
        ("data.batch_size=true", "data.batch_size"),
        ("data.workers=-1", "data.workers"),
        ("data.range=[a, b]", "data.range"),
        ("data.range=5", "data.range"),
        ("data.transforms=[5]", "data.transforms"),
        ("data.transforms=[{size: 5}]", "data.transforms.0.name"),
        ("device=tpu", "device"),
        ("device=cuda:", "device"),
        ("generator=dcgan", "generator"),
        ("generator.name=5", "generator.name"),
        ("optimizers.generator.warmup=-1", "optimizers.generator.warmup"),
        ("optimizers.generator.schedule=cosine", "optimizers.generator.schedule"),
        ("evaluate.mode=most", "evaluate.mode"),
        ("task=null", "task"),
        ("run.root=5", "run.root"),
    ],
)
def test_a_wrong_value_is_one_line_with_its_path(override, path):
    assert f": {path}" in complaint("gan.mnist", override)


@pytest.mark.parametrize("value", ["[0]", "[0, 1, 2]", "[]"])
def test_a_range_of_another_length_shows_its_value(value):
    line = complaint("gan.mnist", f"data.range={value}")
    assert "data.range" in line
    assert value in line


@pytest.mark.parametrize("section", ["task", "data", "optimizers", "train"])
def test_a_missing_section_is_named(section):
    line = complaint({k: v for k, v in MINIMAL.items() if k != section})
    assert f"{section}: is missing" in line


@pytest.mark.parametrize("section", ["task", "data", "backbone"])
def test_a_component_without_a_name_is_named(section):
    line = complaint(changed(**{section: {"width": 5}}))
    assert f"{section}.name: is missing" in line


def test_several_problems_are_counted():
    line = complaint("gan.mnist", "train.seed=x", "train.log_every=x", "device=x")
    assert "2 more" in line


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["data.resident=true", "data.workers=2"], ["data", "resident", "workers"]),
        (
            ["data.resident=true", "data.transforms=[{name: RandomCrop, size: 28}]"],
            ["data", "resident", "transforms"],
        ),
        (["data.range=[1, -1]"], ["data", "range"]),
        (["evaluate.best=accuracy"], ["evaluate", "best", "split"]),
    ],
)
def test_impossible_combinations_are_named(overrides, words):
    line = complaint("gan.mnist", *overrides)
    assert [word for word in words if word not in line] == []


def test_a_duplicate_key_in_a_file_is_refused(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(text.dump_yaml(MINIMAL) + "train: {steps: 5}\n")
    assert "train" in complaint(path)


def test_a_recipe_with_an_object_names_the_path():
    assert "data.classes" in complaint(changed(data={"name": "mnist", "classes": {5}}))


def test_a_recipe_that_contains_itself_is_refused(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("task: &t {name: *t}\n")
    assert "mine.yaml" in complaint(path)


# Environment variables


def test_a_configuration_keeps_the_variables_of_its_paths(monkeypatch):
    monkeypatch.setenv("GVT_DATA", "/somewhere")
    config = compose("gan.mnist", ["data.root=${GVT_DATA}/mnist", "init_from=~/a", "data.val=${X}"])
    assert config.data.parameters == {"root": "${GVT_DATA}/mnist", "val": "${X}"}
    assert config.init_from == "~/a"


def test_an_override_replaces_an_unset_variable(monkeypatch):
    monkeypatch.delenv("GVT_NOWHERE", raising=False)
    recipe = changed(data={"name": "mnist", "root": "${GVT_NOWHERE}"})
    assert compose(recipe, ["data.root=here"]).data.parameters == {"root": "here"}


def test_the_text_of_a_recipe_keeps_its_variables(tmp_path, monkeypatch):
    monkeypatch.setenv("GVT_DATA", "/somewhere")
    path = tmp_path / "mine.yaml"
    path.write_text(text.dump_yaml(changed(data={"name": "mnist", "root": "${GVT_DATA}"})))
    assert "${GVT_DATA}" in recipe_text(path, ["train.steps=7"])


# The text of a recipe


@pytest.mark.parametrize("recipe", RECIPES)
def test_without_overrides_the_text_is_unchanged(recipe, tmp_path):
    path = tmp_path / f"{recipe}.yaml"
    path.write_text(recipe_text(recipe), encoding="utf-8")
    assert compose(path) == compose(recipe)


def test_with_overrides_the_text_keeps_its_comments():
    before, after = recipe_text("gan.mnist"), recipe_text("gan.mnist", ["train.steps=7"])
    assert before.count("#") >= 2
    assert after == re.sub(r"steps: \d+", "steps: 7", before)


def test_the_text_of_an_invalid_recipe_is_refused():
    with pytest.raises(ConfigError, match=r"train\.stesp"):
        recipe_text("gan.mnist", ["train.stesp=5"])


settings_of_a_run = st.fixed_dictionaries(
    {},
    optional={
        "train.seed": st.integers(0, 2**63 - 1),
        "train.clip_norm": st.none() | st.floats(1e-12, 1e12),
        "train.checkpoint_every": st.none() | st.just("epoch") | st.integers(1, 10**9),
        "train.ema.decay": st.floats(0, 1, exclude_max=True),
        "generator.name": st.sampled_from(["dcgan", "other"]),
        "generator.free": st.text(
            st.characters(codec="utf-8", exclude_characters="\0\x85\u2028\u2029")
        ),
        "data.classes": st.lists(st.integers(0, 9)),
        "discriminator": st.none(),
        "device": st.sampled_from(["cpu", "cuda:1"]),
    },
).map(lambda chosen: [f"{path}={json.dumps(value)}" for path, value in chosen.items()])


@settings(deadline=None, max_examples=50)
@given(settings_of_a_run)
def test_the_text_with_overrides_is_the_recipe_with_overrides(overrides):
    config = compose("gan.mnist", overrides)
    written = text.parse_yaml(recipe_text("gan.mnist", overrides), "the text")
    assert compose({"recipe": "gan.mnist", **written}) == config
    assert validate(config.document(), "the document") == config


def test_a_recipe_may_be_registered_in_code():
    """In a new process, since a registration is permanent."""
    program = (
        "import gvt\n"
        f"gvt.register(gvt.Component('recipe', 'in.code', {MINIMAL!r}))\n"
        "print(gvt.compose('in.code', ['train.steps=7']).train.steps)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    assert (done.returncode, done.stdout.split()) == (0, [b"7"]), done.stderr.decode()


def test_a_recipe_is_printed_with_its_variables_set_or_not(monkeypatch, tmp_path):
    monkeypatch.delenv("GVT_NOWHERE", raising=False)
    written = tmp_path / "mine.yaml"
    text = recipe_text("gan.mnist", ["data.root=${GVT_NOWHERE}/mnist"])
    assert "root: ${GVT_NOWHERE}/mnist" in text
    written.write_text(text, encoding="utf-8")
    assert compose(written).data.parameters["root"] == "${GVT_NOWHERE}/mnist"


def test_a_head_is_removed_with_its_weight():
    config = compose("multi.scenes", ["heads.ink=null"])
    assert config.heads.keys() == {"largest", "digits"}
    weights = compose("multi.scenes").task.parameters["weights"]
    assert weights.keys() == {"largest", "ink"}
    assert config.task.parameters["weights"] == {"largest": weights["largest"]}
