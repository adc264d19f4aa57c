"""Variables in paths: expanded where something is opened, and in nothing else."""

from pathlib import Path

import pytest

import gvt
from gvt.config import compose
from gvt.config.parameters import check_parameters, construct, signature_of
from gvt.config.pretrained import built_for
from gvt.errors import ConfigError
from gvt.session.build import paths_of, validate_components

SETTINGS = {
    "task": {"name": "heads"},
    "data": {"name": "mnist"},
    "optimizers": {"model": {"name": "SGD", "lr": 0.1}},
    "train": {"steps": 3},
}


class Opened:
    """Takes paths in every way that a constructor can, and texts that are none."""

    def __init__(
        self,
        root: str,
        weights: gvt.PathText | None = None,
        lists: dict[str, gvt.PathText] | None = None,
        file: Path | None = None,
        title: str = "",
        about: str = "",
    ) -> None:
        self.root, self.weights, self.lists, self.file = root, weights, lists, file
        self.title = title


def opened(**given):
    return construct("data", Opened, check_parameters("data", Opened, given))


@pytest.fixture(autouse=True)
def _variables(monkeypatch):
    monkeypatch.setenv("SECRET", "s3cr3t")
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.delenv("GVT_NOWHERE", raising=False)


def test_every_path_is_expanded_and_no_other_text():
    one = opened(
        root="${SECRET}/x",
        weights="~/w/${SECRET}${SECRET}",
        lists={"train": "a/${SECRET}", "${SECRET}": "b"},
        file="~/${SECRET}",
        title="${SECRET} ~/",
    )
    assert one.root == "s3cr3t/x"
    assert one.weights == "/home/me/w/s3cr3ts3cr3t"
    assert one.lists == {"train": "a/s3cr3t", "${SECRET}": "b"}
    assert one.file == Path("/home/me/s3cr3t")
    assert one.title == "${SECRET} ~/"


def test_a_value_is_not_expanded_again(monkeypatch):
    monkeypatch.setenv("OUTER", "${SECRET}")
    assert opened(root="${OUTER}").root == "${SECRET}"


def test_a_path_parameter_is_shown_as_a_path():
    shown = {n: p.type_name for n, p in signature_of(Opened)[0].items()}
    assert shown["weights"] == "path | None"
    assert shown["lists"] == "dict[str, path] | None"


def test_a_variable_that_is_not_set_is_one_line_with_what_to_do():
    with pytest.raises(ConfigError) as caught:
        opened(root="${GVT_NOWHERE}/cells", about="cells by A. Smith (MIT)")
    assert str(caught.value) == (
        "data.root: the environment variable GVT_NOWHERE is not set; set it, or give "
        "data.root=...; cells by A. Smith (MIT)"
    )


def test_a_variable_that_is_not_set_does_not_matter_where_a_checkpoint_has_the_weights():
    with built_for(checkpoint=True):
        assert opened(root="a", weights="${GVT_NOWHERE}/w").weights == "${GVT_NOWHERE}/w"


def test_a_variable_is_missed_before_any_data_is_read():
    data = {"name": "mnist", "root": "${GVT_NOWHERE}"}
    networks = {"backbone": {"name": "small_cnn"}, "heads": {"digit": {"name": "classifier"}}}
    recipe = {**SETTINGS, **networks, "data": data}
    with pytest.raises(ConfigError, match=r"^data\.root: the environment variable GVT_NOWHERE"):
        validate_components(compose(recipe))


def test_the_paths_of_a_configuration_are_found_within_components():
    inner = {"name": "image_folder", "root": "${A}/b", "labels": "c.csv"}
    recipe = {**SETTINGS, "data": {"name": "proposals", "of": inner, "cache": "~/d"}}
    places = paths_of(compose(recipe), {})
    assert places == {"data.of.root": "${A}/b", "data.of.labels": "c.csv", "data.cache": "~/d"}


def test_create_expands_paths(tmp_path, monkeypatch, write_pictures):
    write_pictures(tmp_path / "in")
    monkeypatch.setenv("HERE", str(tmp_path))
    assert len(gvt.create("dataset", "image_folder", root="${HERE}/in", split="train")) == 4


@pytest.fixture
def write_pictures():
    from PIL import Image

    def write(folder):
        for name in "abcd":
            place = folder / "xy"["ab".count(name)] / f"{name}.png"
            place.parent.mkdir(parents=True, exist_ok=True)
            Image.new("L", (8, 8), ord(name)).save(place)

    return write


def test_a_relative_root_that_is_not_there_says_how_to_name_another(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    recipe = {**SETTINGS, "data": {"name": "image_folder", "root": "photos"}}
    with pytest.raises(gvt.DataError, match=r"data\.root is relative to the .* data\.root=PATH$"):
        gvt.session.build.open_dataset(compose(recipe), "train")
