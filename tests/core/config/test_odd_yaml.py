"""Odd and hostile YAML in recipes and overrides gives a one-line error quickly."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gvt.config import compose, text
from gvt.errors import ConfigError, GvtError

RECIPE = """\
task: {name: heads, weights: {a: %s}}
data: {name: mnist}
optimizers: {model: {name: SGD, lr: 0.1}}
train: {steps: 3}
"""


def complaint(recipe, *overrides):
    """Return the one-line error of `compose`."""
    with pytest.raises(ConfigError) as caught:
        compose(recipe, overrides)
    line = str(caught.value)
    assert "\n" not in line
    assert len(line) < 1000
    return line


@pytest.fixture
def written(tmp_path):
    """Write a recipe, and return its path."""

    def write(content):
        path = tmp_path / "mine.yaml"
        path.write_text(content, encoding="utf-8")
        return path

    return write


ODD = {
    "{null: 1}": "the key None is not a string",
    "{true: 1}": "the key True is not a string",
    "{1.5: 1}": "the key 1.5 is not a string",
    "{[b]: 1}": "a list or mapping cannot be a key",
    "{{b: 1}: 1}": "a list or mapping cannot be a key",
    "{1: a, '1': b}": "the key '1' is given twice",
    "{b: 1, b: 2}": 'duplicate key "b"',
    "!!binary aGk=": "the tag 'tag:yaml.org,2002:binary' is not allowed",
    "!!set {b}": "the tag 'tag:yaml.org,2002:set' is not allowed",
    "!!omap [b: 1]": "the tag 'tag:yaml.org,2002:omap' is not allowed",
    "!!python/name:os.system ''": "is not allowed",
    "!mine 5": "the tag '!mine' is not allowed",
    "!!int x": "'x' is not of the type int",
    "!!int ''": "'' is not of the type int",
    "!!bool maybe": "'maybe' is not of the type bool",
    "!!float ''": "'' is not of the type float",
    "!!str [b]": "is not of the type str",
    ".nan": "is nan; numbers must be finite",
    "-.inf": "is -inf; numbers must be finite",
    "1e400": "is inf; numbers must be finite",
    "9223372036854775808": "is an integer beyond 64 bits",
    "1" * 5000: "an integer of 5,000 digits is too large",
    "0x" + "f" * 5000: "an integer of 5,002 digits is too large",
    '"\\ud800"': "'\\ud800' is not valid UTF-8",
    '{"\\udfff": 1}': "'\\udfff' is not valid UTF-8",
    '"a\\0b"': "'a\\x00b' contains a NUL character",
    "<<": "not valid YAML",
    "{<<: 5}": "not valid YAML",
    "&b [*b]": "contains itself",
    "{? " + "k" * 300 + " : 1}": "is longer than 200",
    "[" * 70 + "]" * 70: "depth",
}


@pytest.mark.parametrize("odd", ODD, ids=lambda odd: odd[:20])
def test_odd_values_and_keys_are_one_line(odd, written):
    line = complaint(written(RECIPE % odd))
    assert ODD[odd] in line
    assert "mine.yaml, line 1: " in line or "mine.yaml: task.weights.a: " in line
    if odd not in ("<<",):  # which alone is a text
        assert ODD[odd] in complaint(written(RECIPE % 1), f"task.weights={{a: {odd}}}")


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ({5}, "a value of type set is not allowed"),
        (b"x", "a value of type bytes is not allowed"),
        (10**5000, "beyond 64 bits"),
        ({None: 1}, "the key None"),
        ({"x" * 10**6: 1}, "longer than 200"),
    ],
    ids=["set", "bytes", "integer", "key", "long key"],
)
def test_odd_values_in_code_are_one_line(value, says):
    recipe = {**text.parse_yaml(RECIPE % 1, "here"), "generator": {"name": "x", "y": [value]}}
    assert f"generator.y[0]: {'the key' if 'key' in says else ''}" in complaint(recipe)
    assert says in complaint(recipe)


def test_a_mapping_that_contains_itself_is_one_line():
    recipe = text.parse_yaml(RECIPE % 1, "here")
    recipe["data"]["again"] = recipe
    assert "contains itself" in complaint(recipe)


def test_a_character_in_two_escapes_is_one_character(written):
    config = compose(written(RECIPE % '"\\ud83d\\ude00"'))
    assert config.task.parameters["weights"] == {"a": "\U0001f600"}


def nested(first, item):
    """Return YAML with nine levels of aliases, each repeated nine times."""
    lines = [f"a: &a {first}"]
    for before, name in zip("abcdefgh", "bcdefghi", strict=True):
        lines.append(f"{name}: &{name} {item.format(', '.join([f'*{before}'] * 9))}")
    return "\n".join(lines)


HOSTILE = {
    "aliases": nested("[x, x]", "[{0}]"),
    "aliases in mappings": "task: {name: heads}\n" + nested("{x: 1}", "{{k: [{0}]}}"),
    "merge keys": nested("{x: 1}", "{{<<: [{0}]}}"),
    "a long text, many times": f"a: &a {'x' * 500_000}\nb: [{', '.join(['*a'] * 1000)}]",
    "depth": "[" * 20_000,
    "depth of blocks": "- " * 200_000,
    "mappings": "{a: " * 10_000,
    "many values": "[" + "a, " * 100_000,
    "many lines": "a\n" * 200_000,
    "tags": "!" * 500_000,
    "a long name": "data: {name: " + "x" * 900_000 + "}\ntask: {name: heads}\n",
    "a long key": "data: {? " + "x" * 900_000 + " : 1}\n",
    "a long number": "1" * 900_000,
    "a file of 2 MB": "#" * 2_000_000,
}


@pytest.mark.parametrize("hostile", HOSTILE)
def test_a_small_hostile_file_is_refused_quickly(hostile, written):
    path = written(HOSTILE[hostile])
    started = time.perf_counter()
    complaint(path)
    assert time.perf_counter() - started < 15  # a second, on a machine that does nothing else


def test_names_of_many_classes_are_read():
    names = "names:\n" + "".join(f"  {i}: class {i}\n" for i in range(5000))
    assert len(text.parse_yaml(names, "data.yaml")["names"]) == 5000


def test_only_regular_files_are_read(tmp_path):
    import os

    pipe = tmp_path / "pipe.yaml"
    os.mkfifo(pipe)
    assert "not a regular file" in complaint(pipe)


scalars = st.sampled_from(
    [
        *("null", "true", "~", "1", "-0", "1.5", "1e400", ".nan", "text", "''", '"\\0"'),
        *('"\\ud800"', "!!set {a}", "!!binary aGk=", "2001-12-14", "!!int x", "!!str 5", "<<"),
        *("${HOME}", "0x1F", "=", "1_0", "!!null ''", "? a", "&x 5", "*x", "auto", "mnist"),
    ]
)
values = st.recursive(
    scalars,
    lambda inside: (
        st.lists(inside, max_size=3).map(lambda items: f"[{', '.join(items)}]")
        | st.lists(st.tuples(inside, inside), max_size=3).map(
            lambda pairs: "{" + ", ".join(f"? {k} : {v}" for k, v in pairs) + "}"
        )
    ),
    max_leaves=6,
)
places = st.sampled_from(
    [
        *("task", "data", "data.name", "data.workers", "data.range", "data.transforms", "heads"),
        *("heads.a", "optimizers", "optimizers.model", "optimizers.model.rates", "train.unfreeze"),
        *("optimizers.model.schedule", "train", "train.ema", "evaluate", "predict.tile", "run"),
        *("init_from", "device", "recipe", "generator", "generator.x.y", "task.weights", "null"),
    ]
)


@settings(deadline=None, max_examples=60)
@given(places, values)
def test_any_override_gives_a_configuration_or_one_line(place, value):
    recipe = text.parse_yaml(RECIPE % 1, "here")
    try:
        compose(recipe, [f"{place}={value}"])
    except GvtError as error:
        assert str(error).isprintable()
        assert len(str(error)) < 2000


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.sampled_from(["task", "data", "optimizers", "train"]), values)))
def test_any_file_gives_a_configuration_or_one_line(sections):
    source = "".join(f"{name}: {value}\n" for name, value in sections)
    try:
        recipe = text.parse_yaml(source, "here")
        if isinstance(recipe, dict):
            compose(recipe)
    except GvtError as error:
        assert str(error).isprintable()
        assert len(str(error)) < 2000
