"""Components: what may be offered, and what happens when its code is imported."""

import pytest

from gvt_registry import KINDS, BrokenComponent, Component, Offer, UsageError


def offer(target, kind="generator", name="mine"):
    return Offer(Component(kind, name, target), "plugin", "gvt-mine", "1.2")


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_can_be_offered(kind):
    assert Component(kind, "mine", "package.module:Attr").kind == kind


def test_an_unknown_kind_is_refused_with_the_nearest():
    with pytest.raises(UsageError, match=r"'generatr'.*'generator'"):
        Component("generatr", "mine", "package:Attr")


def test_a_kind_like_no_other_is_refused_with_all_of_them():
    with pytest.raises(UsageError) as caught:
        Component("sausage", "mine", "package:Attr")
    assert all(kind in str(caught.value) for kind in KINDS)


@pytest.mark.parametrize("name", ["", " ", " mine", "mine\n", None, 5])
def test_a_name_that_cannot_be_typed_is_refused(name):
    with pytest.raises(UsageError, match="name"):
        Component("generator", name, "package:Attr")


@pytest.mark.parametrize("target", ["", "package.module", ":Attr", "package:"])
def test_a_target_without_module_or_attribute_is_refused(target):
    with pytest.raises(UsageError, match=r"mine.*target"):
        Component("generator", "mine", target)


@pytest.mark.parametrize("summary", [None, 5, ["text"]])
def test_a_summary_that_is_no_text_is_refused(summary):
    """Or `gvt list`, which measures it, would fail for everybody."""
    with pytest.raises(UsageError, match="summary"):
        Component("generator", "mine", "package:Attr", summary=summary)


def test_components_are_the_same_by_kind_name_and_summary():
    assert Component("head", "a", "package:A") == Component("head", "a", object())
    assert Component("head", "a", "package:A") != Component("head", "b", "package:A")


def test_loading_imports_the_target():
    assert offer("json.decoder:JSONDecoder.decode").load().__qualname__ == "JSONDecoder.decode"


def test_an_object_is_its_own_target():
    assert offer(dict).load() is dict


def test_the_origin_is_distribution_and_version():
    assert offer(dict).origin == "gvt-mine 1.2"
    assert Offer(Component("head", "a", dict), "plugin", "here").origin == "here"


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("raise RuntimeError('it rained')", "RuntimeError: it rained"),
        ("import a_module_that_nobody_has", "ModuleNotFoundError: .*a_module_that_nobody_has"),
        ("raise SystemExit('bye')", "SystemExit: bye"),
        ("def broken(:", "SyntaxError"),
        ("", "AttributeError: .*Attr"),
    ],
)
def test_a_broken_target_says_what_whose_and_why(install, source, reason):
    install("gvt-frail", {}, frail=source)
    with pytest.raises(BrokenComponent, match=f"generator 'mine'.*gvt-mine 1.2.*{reason}"):
        offer("frail:Attr").load()


def test_the_details_of_a_broken_target_hold_its_whole_traceback(install):
    site = install("gvt-frail", {}, frail="def deep():\n    raise ValueError('here')\n\ndeep()")
    with pytest.raises(BrokenComponent) as caught:
        offer("frail:Attr").load()
    details = caught.value.details
    assert details.startswith("Traceback")
    assert f'{site / "frail.py"}", line 2, in deep' in details
    assert details.rstrip().endswith("ValueError: here")
    assert caught.value.exit_code == 1
