"""A component's parameters, checked against its constructor's signature."""

import inspect
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
import torch
from pydantic import Field, PositiveInt
from torch import nn

import gvt
from gvt.config.parameters import (
    PassedTo,
    check_parameters,
    convert,
    declaring,
    signature_of,
)
from gvt.config.paths import RecipePath
from gvt.errors import ConfigError


class Network:
    def __init__(
        self,
        image_shape: tuple[int, int, int],
        latent: int,
        width: int = 32,
        dropout: float = 0.0,
        betas: tuple[float, float] = (0.5, 0.99),
        widths: tuple[int, ...] = (),
        mode: Literal["nearest", "bilinear"] = "nearest",
        root: str | None = None,
        anything=None,
    ):
        self.given = dict(vars())


def check(**given):
    return check_parameters("generator", Network, {"latent": 4, **given}, {"image_shape"})


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("width", 8, 8),
        ("dropout", 0.5, 0.5),
        ("dropout", 1, 1.0),
        ("betas", [0, 0.9], (0.0, 0.9)),
        ("widths", [], ()),
        ("widths", [1, 2, 3], (1, 2, 3)),
        ("mode", "bilinear", "bilinear"),
        ("root", None, None),
        ("root", "/data", RecipePath("/data")),
        ("anything", {"a": [1]}, {"a": [1]}),
    ],
)
def test_a_value_from_yaml_becomes_what_the_annotation_says(name, value, expected):
    found = check(**{name: value})[name]
    assert (found, type(found)) == (expected, type(expected))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("width", True),
        ("width", 1.5),
        ("width", 8.0),
        ("width", "8"),
        ("width", None),
        ("width", [8]),
        ("dropout", True),
        ("dropout", "0.5"),
        ("betas", [0.5]),
        ("betas", [0.5, 0.9, 0.99]),
        ("betas", 0.5),
        ("widths", [1, "2"]),
        ("widths", [1, True]),
        ("mode", "cubic"),
        ("root", 5),
    ],
)
def test_a_value_of_another_type_is_one_line_with_path_and_value(name, value):
    with pytest.raises(ConfigError, match=rf"^generator\.{name}: ") as caught:
        check(**{name: value})
    assert repr(value) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_unknown_parameter_names_the_nearest():
    with pytest.raises(ConfigError, match=r"generator\.widht: Network .*'width'"):
        check(widht=3)


def test_a_parameter_like_no_other_names_all_that_are_configurable():
    with pytest.raises(ConfigError, match="latent, width, dropout") as caught:
        check(zzz=3)
    assert "image_shape" not in str(caught.value)


def test_what_gvt_fills_in_is_refused():
    with pytest.raises(ConfigError, match=r"generator\.image_shape: .*gvt"):
        check(image_shape=[1, 28, 28])


def test_what_is_missing_is_named():
    with pytest.raises(ConfigError, match=r"generator\.latent: .*missing.*Network"):
        check_parameters("generator", Network, {}, {"image_shape"})


def test_defaults_are_left_to_the_constructor():
    assert check() == {"latent": 4}


def test_any_keyword_passes_where_the_constructor_takes_any():
    def build(width: int = 3, **others):
        return width, others

    assert check_parameters("head", build, {"width": 5, "free": [1]}) == {"width": 5, "free": [1]}
    with pytest.raises(ConfigError, match=r"head\.width"):
        check_parameters("head", build, {"width": "5"})


@dataclass
class Common:
    width: PositiveInt = 8
    depth: int = 2


class Base:
    def __init__(
        self, classes: int, share: float = 0.5, **common: Annotated[Any, PassedTo(Common)]
    ):
        self.classes, self.share, self.common = classes, share, Common(**common)


class Derived(Base):
    def __init__(self, classes: int, depth: int = 4, **base: Annotated[Any, PassedTo(Base)]):
        super().__init__(classes, depth=depth, **base)


class Inheriting(Derived):
    """Nothing new."""


@pytest.mark.parametrize("target", [Derived, Inheriting])
def test_parameters_that_are_passed_on_are_a_constructors_own(target):
    declared, takes_any = signature_of(target)
    assert list(declared) == ["classes", "depth", "share", "width"]
    assert not takes_any
    assert (declared["depth"].default, declared["width"].default) == (4, 8)
    assert declared["width"].type_name == "int > 0"
    checked = check_parameters("head", target, {"classes": 3, "share": 1, "width": 5})
    assert target(**checked).common == Common(5, 4)
    for name, says in (("width", "greater than 0"), ("widht", "has no parameter .*'width'")):
        with pytest.raises(ConfigError, match=rf"^head\.{name}: .*{says}"):
            check_parameters("head", target, {"classes": 3, name: 0})
    assert [*declaring(Inheriting)] == [Inheriting, Base, Common]


@dataclass(frozen=True)
class OwnReader(gvt.PictureReader):
    more: PositiveInt = 1


def test_types_of_a_dataclass_are_resolved_where_they_are_written():
    shown = {name: p.type_name for name, p in signature_of(OwnReader)[0].items()}
    assert (shown["fit"], shown["more"]) == (
        "Literal['crop', 'pad', 'stretch', 'within']",
        "int > 0",
    )


def test_what_is_passed_on_to_what_takes_any_takes_any():
    def build(width: int = 3, **rest: Annotated[Any, PassedTo(dict)]):
        return dict(width=width, **rest)

    assert signature_of(build)[1]
    assert check_parameters("head", build, {"free": [1]}) == {"free": [1]}


def test_the_signature_tells_names_types_and_defaults():
    declared, takes_any = signature_of(Network)
    assert not takes_any
    assert list(declared)[:3] == ["image_shape", "latent", "width"]
    assert declared["latent"].required
    assert declared["latent"].default is inspect.Parameter.empty
    assert not declared["width"].required
    shown = {n: p.type_name for n, p in declared.items()}
    assert shown["width"] == "int"
    assert shown["widths"] == "tuple[int, ...]"
    assert shown["root"] == "str | None"
    assert shown["mode"] == "Literal['nearest', 'bilinear']"
    assert shown["anything"] == ""


def test_constraints_are_checked_and_shown():
    def build(
        width: PositiveInt = 8,
        widths: tuple[PositiveInt, ...] = (8,),
        share: Annotated[float, Field(ge=0, lt=1)] | None = None,
        even: Annotated[int, Field(multiple_of=2)] = 2,
    ):
        return width, widths, share, even

    shown = {n: p.type_name for n, p in signature_of(build)[0].items()}
    assert shown == {
        "width": "int > 0",
        "widths": "tuple[int > 0, ...]",
        "share": "float >= 0, < 1 | None",
        "even": "int divisible by 2",
    }
    assert check_parameters("head", build, {"width": 1, "share": 0, "even": 4}) == {
        "width": 1,
        "share": 0,
        "even": 4,
    }
    for given in ({"width": 0}, {"widths": [8, 0]}, {"share": 1.0}, {"even": 3}):
        (name,) = given
        with pytest.raises(ConfigError, match=rf"head\.{name}: should be .*; it takes ") as caught:
            check_parameters("head", build, given)
        assert str(caught.value).endswith(shown[name])


def test_an_annotation_that_cannot_be_resolved_constrains_nothing():
    def build(size: "NowhereDefined", width: "int" = 1):  # noqa: F821
        return size, width

    assert check_parameters("head", build, {"size": "big"}) == {"size": "big"}


def test_a_callable_without_a_signature_takes_anything():
    assert check_parameters("head", dict, {"free": 1}) == {"free": 1}


def test_a_module_without_a_constructor_of_its_own_is_checked_by_its_parent():
    class Dense(nn.Linear):
        """Nothing new."""

    assert check_parameters("head", Dense, {"in_features": 3, "out_features": 2}) == {
        "in_features": 3,
        "out_features": 2,
    }
    with pytest.raises(ConfigError, match=r"head\.out_feature: .*'out_features'"):
        check_parameters("head", Dense, {"in_features": 3, "out_feature": 2})


class Mode(Enum):
    FAST = "fast"


@pytest.mark.parametrize(
    ("annotation", "value", "expected"),
    [
        (Any, True, True),
        (Path, "folder/file", Path("folder/file")),
        (Mode, "fast", Mode.FAST),
        (int | str, "5", "5"),
        (int | str, 5, 5),
        (bool, True, True),
        (dict[str, int], {"a": 1}, {"a": 1}),
        (set[int], [1, 2], {1, 2}),
    ],
)
def test_annotations_of_all_sorts(annotation, value, expected):
    found = convert("here", annotation, value)
    assert (found, type(found)) == (expected, type(expected))


def test_a_word_for_what_data_cannot_describe_is_refused_in_plain_words():
    with pytest.raises(ConfigError, match=r"^here: .*Module") as caught:
        convert("here", nn.Module, "a name")
    assert "json" not in str(caught.value).lower()


def test_an_object_handed_over_in_code_is_left_as_it_is():
    tensor = torch.zeros(2)
    assert convert("here", torch.Tensor, tensor) is tensor
    assert convert("here", tuple[torch.Tensor, ...], [tensor])[0] is tensor


@pytest.mark.parametrize("value", [1, 0, "true", None])
def test_a_switch_is_true_or_false(value):
    with pytest.raises(ConfigError, match="here"):
        convert("here", bool, value)
