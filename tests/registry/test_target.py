"""Sections and names that plugins offer: looked up by name, and whatever is wrong says so."""

import pytest

from gvt_registry import AmbiguousComponent, BrokenComponent, Plugins, Registry

SOURCE = """
from gvt_registry import hookimpl

@hookimpl
def {hook}():
    {body}
"""


def registry_of(install, **bodies):
    """Return a registry with a plugin of each name, whose hook has the body."""
    for name, (hook, body) in bodies.items():
        source = SOURCE.format(hook=hook, body=body)
        install(f"gvt-{name}", {name: f"{name}_plugin"}, **{f"{name}_plugin": source})
    return Registry(Plugins())


@pytest.mark.parametrize("hook", ["gvt_sections", "gvt_names"])
def test_a_target_is_imported_when_it_is_loaded(install, hook):
    body = "return {'found': 'json:decoder.JSONDecoder', 'lost': 'no_such:x', 'module': 'json'}"
    targets = registry_of(install, one=(hook, body)).targets(hook)
    assert targets.keys() >= {"found", "lost"}
    assert targets["found"].load().__name__ == "JSONDecoder"
    assert targets["module"].load().__name__ == "json"
    with pytest.raises(BrokenComponent, match=r"'lost' from gvt-one 1\.0 is broken") as caught:
        targets["lost"].load()
    assert "ModuleNotFoundError" in caught.value.details


def test_two_plugins_with_one_name_are_an_error_when_it_is_loaded(install):
    offer = ("gvt_names", "return {'twice': 'json:loads', 'once': 'json:loads'}")
    other = ("gvt_names", "return {'twice': 'json:dumps'}")
    targets = registry_of(install, one=offer, two=other).targets("gvt_names")
    assert targets["once"].load()("1") == 1
    both = r"'twice' is offered by gvt-one 1\.0 \(plugin one\) and gvt-two 1\.0 \(plugin two\)"
    with pytest.raises(AmbiguousComponent, match=both):
        targets["twice"].load()


@pytest.mark.parametrize(
    ("body", "warning"),
    [
        ("return ['json:loads']", "which is not a mapping from names to targets"),
        ("return {'a name': 'json:loads'}", "'a name' is not a name that can be used in Python"),
        ("return {'_private': 'json:loads'}", "'_private' is not a name"),
        ("return {3: 'json:loads'}", "3 is not a name"),
        ("return {'one': ':loads'}", "target ':loads' of 'one' is not of the form"),
        ("return {'one': 'json:'}", "target 'json:' of 'one' is not of the form"),
        ("return {'one': print}", "is not of the form 'package.module:attribute'"),
        ("raise RuntimeError('ouch')", "gvt_names raised RuntimeError: ouch"),
    ],
)
def test_what_is_not_an_offer_is_a_warning_and_harms_nobody(install, body, warning):
    good = ("gvt_names", "return {'good': 'json:loads'}")
    registry = registry_of(install, bad=("gvt_names", body), good=good)
    for _ in range(2):
        assert "good" in registry.targets("gvt_names")
    (bad,) = (p for p in registry.plugins if p.name == "bad")
    assert (len(bad.warnings), bad.state) == (1, "ok")
    assert warning in bad.warnings[0]


def test_what_is_not_available_is_named_and_so_is_who_offers_it(install, monkeypatch):
    install("gvt-one", {"one": "one_plugin"}, one_plugin="raise RuntimeError('ouch')")
    monkeypatch.setenv("GVT_ONLY_PLUGINS", "one")
    registry = Registry(Plugins())
    text = registry.unavailable("gvt_components", ("head", "unet"))
    assert "(blocked: not named in GVT_ONLY_PLUGINS)" in text
    assert text.endswith("one (broken: RuntimeError: ouch). It is segment that offers it")
    assert "offers it" not in registry.unavailable("gvt_components", ("head", "nothing"))
    assert "offers it" not in registry.unavailable()
