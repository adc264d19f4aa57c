"""Finding components: the right one, or an error that helps."""

import sys

import pytest

from gvt_registry import (
    KINDS,
    AmbiguousComponent,
    Component,
    Plugins,
    Registry,
    UnknownComponent,
    UsageError,
    nearest,
)


@pytest.fixture
def registry():
    """Return a registry without plugins."""
    return Registry(Plugins(entry_points=False))


def offering(name, kind="generator"):
    return f"""
    from gvt_registry import Component, hookimpl

    @hookimpl
    def gvt_components():
        return [Component("{kind}", "{name}", "json:JSONDecoder")]
    """


def test_our_own_components_are_all_importable():
    """What is listed is there; recipes are files and have tests of their own."""
    offers = [o for o in Registry().offers() if o.component.kind != "recipe"]
    assert {"gan", "heads"} <= {o.component.name for o in offers}
    assert [o.component.name for o in offers if not callable(o.load())] == []


def test_offers_are_sorted_by_kind_and_name(registry):
    for kind, name in [("head", "b"), ("recipe", "z"), ("head", "a"), ("task", "t")]:
        registry.register(Component(kind, name, dict))
    listed = [(o.component.kind, o.component.name) for o in registry.offers()]
    assert listed == [("recipe", "z"), ("task", "t"), ("head", "a"), ("head", "b")]
    assert [o.component.name for o in registry.offers("head")] == ["a", "b"]


def test_one_name_may_stand_for_several_kinds(registry):
    for kind in KINDS:
        registry.register(Component(kind, "same", kind + ":x"))
    assert [registry.find(kind, "same").component.kind for kind in KINDS] == list(KINDS)


def test_an_unknown_name_names_the_nearest(registry):
    registry.register(Component("generator", "dcgan", dict))
    registry.register(Component("generator", "stylegan", dict))
    with pytest.raises(UnknownComponent, match=r"generator.*'dgcan'.*'dcgan'") as caught:
        registry.find("generator", "dgcan")
    assert "stylegan" not in str(caught.value)
    assert caught.value.exit_code == 2


def test_a_name_of_another_kind_is_unknown(registry):
    registry.register(Component("generator", "dcgan", dict))
    with pytest.raises(UnknownComponent, match="no discriminator"):
        registry.find("discriminator", "dcgan")


def test_a_name_near_none_names_all(registry):
    registry.register(Component("head", "classifier", dict))
    registry.register(Component("head", "segmenter", dict))
    with pytest.raises(UnknownComponent, match="classifier, segmenter"):
        registry.find("head", "zzz")


def test_where_nothing_is_offered_it_says_so(registry):
    with pytest.raises(UnknownComponent, match="no plugin offers any"):
        registry.find("loss", "focal")


def test_of_a_checkpoint_it_names_what_to_install(registry):
    with pytest.raises(UnknownComponent, match=r"gvt-fancy 2\.0.*pip install gvt-fancy$"):
        registry.find("generator", "fancy", trained_with="gvt-fancy 2.0")


def test_an_unknown_name_tells_of_broken_plugins_and_shows_why(install):
    install("gvt-bad", {"bad": "bad_plugin"}, bad_plugin="raise RuntimeError('it rained')")
    with pytest.raises(UnknownComponent, match=r"bad .*broken.*it rained") as caught:
        Registry().find("generator", "zzz")
    assert caught.value.details.startswith("Traceback")


def test_what_a_plugin_of_ours_offers_that_is_left_out_is_told():
    plugins = Plugins()
    plugins.restrict(["gan", "data"])
    with pytest.raises(UnknownComponent) as caught:
        Registry(plugins).find("task", "heads")
    message = str(caught.value)
    assert "backbones, classify, core, " in message
    assert "(blocked: not named in --only-plugins)" in message
    assert message.endswith("It is core that offers it")


def test_a_plugin_of_ours_that_is_blocked_is_not_asked(monkeypatch):
    monkeypatch.setenv("GVT_BLOCK_PLUGINS", "core")
    monkeypatch.setenv("GVT_ONLY_PLUGINS", "gan, core")
    with pytest.raises(
        UnknownComponent, match=r"core \(blocked: named in GVT_BLOCK_PLUGINS\)"
    ) as caught:
        Registry().find("task", "heads")
    assert "offers it" not in str(caught.value)


def test_a_plugin_of_others_that_is_left_out_is_not_asked(install, monkeypatch):
    monkeypatch.setenv("GVT_ONLY_PLUGINS", "gan")
    install("gvt-stranger", {"stranger": "stranger_plugin"}, stranger_plugin=offering("odd"))
    with pytest.raises(
        UnknownComponent, match=r"stranger.* \(blocked: not named in GVT_ONLY_PLUGINS\)$"
    ):
        Registry().find("generator", "odd")
    assert "stranger_plugin" not in sys.modules


def test_a_typing_error_shows_no_tracebacks_of_broken_plugins(install):
    install("gvt-bad", {"bad": "bad_plugin"}, bad_plugin="raise RuntimeError('it rained')")
    with pytest.raises(UnknownComponent, match="'dcgan'") as caught:
        Registry().find("generator", "dcgann")
    assert caught.value.details == ""


def test_what_two_plugins_offer_is_an_error_only_when_asked_for(install):
    install("gvt-one", {"one": "plugin_one"}, plugin_one=offering("twin"))
    install("gvt-two", {"two": "plugin_two"}, plugin_two=offering("twin"))
    registry = Registry()
    assert [o.component.name for o in registry.offers("generator")].count("twin") == 2
    assert registry.find("generator", "dcgan").distribution == "gvt"
    with pytest.raises(AmbiguousComponent, match=r"'twin'.*gvt-one 1\.0.*gvt-two 1\.0"):
        registry.find("generator", "twin")


@pytest.mark.parametrize("second", ["two", "one"], ids=["names differ", "one name"])
def test_blocking_what_the_error_says_leaves_one(install, monkeypatch, second):
    install("gvt-one", {"one": "plugin_one"}, plugin_one=offering("twin"))
    install("gvt-two", {second: "plugin_two"}, plugin_two=offering("twin"))
    with pytest.raises(AmbiguousComponent) as caught:
        Registry().find("generator", "twin")
    advice = str(caught.value).partition("GVT_BLOCK_PLUGINS=")[2]
    monkeypatch.setenv("GVT_BLOCK_PLUGINS", advice)
    assert Registry().find("generator", "twin").component.name == "twin"


def test_the_same_kind_decides_what_is_twice(install):
    install("gvt-one", {"one": "plugin_one"}, plugin_one=offering("twin", "head"))
    install("gvt-two", {"two": "plugin_two"}, plugin_two=offering("twin", "loss"))
    assert Registry().find("head", "twin").distribution == "gvt-one"


def test_a_single_component_may_be_offered_without_a_list(install):
    source = offering("alone").replace("[Component", "Component").replace(")]", ")")
    install("gvt-alone", {"alone": "alone_plugin"}, alone_plugin=source)
    assert Registry().find("generator", "alone").origin == "gvt-alone 1.0"


def test_a_plugin_that_offers_nothing_is_fine(install):
    source = "from gvt_registry import hookimpl\n@hookimpl\ndef gvt_components(): pass"
    install("gvt-empty", {"empty": "empty_plugin"}, empty_plugin=source)
    registry = Registry()
    registry.offers()
    assert [p.state for p in registry.plugins if p.name == "empty"] == ["ok"]


def test_components_are_asked_for_once(install):
    source = """
    from gvt_registry import hookimpl
    calls = []

    @hookimpl
    def gvt_components():
        calls.append(1)
        return []
    """
    install("gvt-count", {"count": "count_plugin"}, count_plugin=source)
    registry = Registry()
    registry.offers()
    registry.offers("head")
    counted = next(p for p in registry.plugins if p.name == "count")
    assert counted.module.calls == [1]


def test_a_file_loaded_later_is_offered_too(registry, tmp_path):
    assert registry.offers() == []
    path = tmp_path / "later_plugin.py"
    path.write_text(
        "from gvt_registry import Component, hookimpl\n"
        "@hookimpl\n"
        "def gvt_components(): return Component('head', 'later', 'json:loads')\n"
    )
    registry.plugins.load_file(path)
    assert registry.find("head", "later").plugin == "later_plugin"


def test_registering_in_code(registry):
    component = Component("generator", "mine", dict)
    assert registry.register(component) is component
    assert registry.find("generator", "mine").load() is dict


def test_the_decorator_leaves_the_class_and_takes_its_first_line(registry):
    @registry.register("generator", "mine")
    class Mine:
        """Noise to noise.

        More about it.
        """

    found = registry.find("generator", "mine")
    assert found.load() is Mine
    assert found.component.summary == "Noise to noise."


def test_the_decorator_takes_a_summary(registry):
    registry.register("loss", "mine", "Better than before")(len)
    assert registry.find("loss", "mine").component.summary == "Better than before"


def test_the_decorator_refuses_an_unknown_kind(registry):
    with pytest.raises(UsageError, match="'generator'"):
        registry.register("generater", "mine")(dict)


def test_registering_again_replaces(registry):
    """As running a notebook's cell twice does."""
    registry.register("generator", "mine")(dict)
    registry.register("generator", "mine")(list)
    assert registry.find("generator", "mine").load() is list
    assert len(registry.offers()) == 1


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("mnits", "'mnist'"),
        ("mnist", "'gan.mnist'"),
        ("small", "'small_cnn'"),
        ("zebra", ""),
        ("", ""),
    ],
)
def test_nearest_names(name, expected):
    pool = ["mnist"] if name == "mnits" else ["gan.mnist", "small_cnn"]
    hint = nearest(name, pool)
    assert expected in hint
    assert bool(hint) == bool(expected)


def test_at_most_three_names_are_near():
    assert nearest("name", [f"name{i}" for i in range(9)]).count("'") == 6
