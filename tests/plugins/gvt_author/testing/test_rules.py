"""Every rule can fail: a component that is wrong in one way breaks that one rule and no other."""

import re
from pathlib import Path

import pytest

import gvt_author.testing
from gvt_author.testing import Failed, Skipped, checks, report
from gvt_author.testing.check import RULES, Check
from gvt_author.testing.networks import OTHERS
from gvt_registry import UsageError

WRONG = [Path(__file__).with_name(f"wrong_{name}.py") for name in ("networks", "data", "others")]


@pytest.fixture(scope="module")
def of_wrong(load_plugin):
    """Return the checks of each component of the wrong plugins."""
    plugins = [
        load_plugin(file) for file in WRONG
    ]  # both first: recipes of one use data of the other
    found = {}
    for check in (check for plugin in plugins for check in checks(plugin.name)):
        found.setdefault(check.component, []).append(check)
    return found


def outcomes(of_component):
    """Return the names of the rules that failed, with their messages, and those that passed."""
    failed, passed = {}, set()
    for check in of_component:
        try:
            check()
        except Failed as failure:
            failed[check.rule] = str(failure)
        except Skipped:
            pass
        else:
            passed.add(check.rule)
    return failed, passed


# Each component is named after the rule that it breaks, with a part of the message.
TABLE = {
    "generator:summary": "has no summary",
    "generator:docstring": "NoDocstring has no docstring",
    "generator:parameters": "'strength' is not documented",
    "generator:parameters-passed": "'strength' is not documented",
    "generator:parameters-typed": "'strength' has no type",
    "generator:parameters-unrecorded": "gvt_unrecorded has 'strenght', which is not a parameter",
    "generator:builds": r"TypeError.*\(wrong_networks.py, line \d+\)",
    "generator:shapes": r"images came as \(4, 3072\), expected \(4, 3, 32, 32\)",
    "generator:gradients": "no gradient to|spare.weight",
    "generator:bfloat16": "index_add",
    "generator:state": "differs after a round trip",
    "generator:resume": "differs in a run that was resumed",
    "generator:determinism": "differs as built from the same seed",
    "generator:deep-copy": "of a deep copy differs from the original",
    "discriminator:shapes": r"logits came as \(4, 1\), expected \(4,\)",
    "backbone:shapes": "declares stride 4, which is about 8",
    "backbone:colours": "32x32 pixels and 1 channel",
    "backbone:odd-sizes": "37x45 pixels",
    "backbone:split": r"split\('only'\): both parts have the parameter 'layer.weight'",
    "backbone:split-values": r"split\('only'\): only, .* differs from that of the backbone",
    "backbone:split-names": r"split\('no_map'\) has to raise a ValueError",
    "head:modes": "supervised/size: a loss of one mode only",
    "head:modes-values": "supervised/count differs between train and eval mode",
    "head:modes-predictions": "prediction/0/head/count, .* differs between train and eval mode",
    "head:padding": r"several sizes, prediction 'boxes': \[0, 0, 32, 32\] reaches beyond the image",
    "head:padding-reach": r"loss count, prediction/0/count, .* more than 0 pixels beyond an image",
    "head:padding-reach-convolved": r"loss count, .* with the padding more than 0 pixels beyond",
    "head:shapes-beyond": r"\[0, 0, 33, 32\] reaches beyond the image of 32x32 pixels",
    "head:shapes-order": "prediction 'scores': they have to be in descending order",
    "head:shapes-numbers": "prediction 'labels': one is 3, and there are 3 classes from 0",
    "head:shapes-corners": r"\[32, 32, 0, 0\] is reversed",
    "head:shapes-masks": r"prediction 'masks' came as \(1, 32, 32\), expected \(2, 32, 32\)",
    "head:empty-targets": "is nan for images without any target",
    "head:partners": r"backbone:\w+ building the head raised KeyError: 'stage4'",
    "head:shapes": "1 predictions for 4 images",
    "head:shapes-losses": r"loss 'count' came as \(4,\), expected a tensor \(\)",
    "head:deployed": "output 'count' differs from what is predicted for image 0",
    "head:deployed-keys": "it predicts count, and returns count, scores",
    "head:exports-branching": "It raised .*data-dependent",
    "head:exports-format": "exports tarot: supported are torch, onnx",
    "head:neighbour": r"predictions/0/neighbour/features/stage1.* changes; the result of a head",
    "head:neighbour-noting": r"predictions/0/neighbour/batch/inputs/counted",
    "head:neighbour-moving": r"eval/neighbour/targets/boxes/1",
    "head:neighbour-peeking": r"predictions/0/head/count.* changes; the result of a head must",
    "task:shapes": r"pictures 'dark' have values from -1 to -1",
    "loss:shapes": r"expected \(\)",
    "dataset:shapes": "expected uint8, or float in",
    "dataset:shapes-semantic": "target 'semantic' has a pixel \\d; . classes are numbered from 0",
    "dataset:shapes-area": r"sample 1: target 'boxes': \[0, 1, 2, 1\] has no area",
    "dataset:shapes-outside": r"\[1, 0.5, 4, 4.5\] reaches beyond the image of 4x4 pixels",
    "dataset:shapes-labels": "sample 2: it has 2 boxes, 1 labels, 2 masks; each object has one",
    "dataset:shapes-dtype": "target 'labels' are torch.uint8; expected torch.int64",
    "dataset:shapes-masks": "target 'masks' have values above 1",
    "dataset:shapes-categories": "category_ids has 1 different numbers for 2 classes",
    "dataset:determinism": "differs when it is opened again",
    "dataset:workers": "differs with two workers",
    "dataset:resident": r"image of tensors\(\) differs from the sample",
    "metric:shapes": "is not finite",
    "metric:reset": "still has state from before",
    "metric:determinism": "another value for the same inputs",
    "metric:deep-copy": "another value than the original",
    "network:shapes": "it returns no tensor",
    "optimizer:shapes": "it is a Identity; it has to be a torch.optim.Optimizer",
    "optimizer:shapes-joined": "mixes the parameters of several groups",
    "optimizer:shapes-partial": "has to hold the parameters that it was given",
    "optimizer:learning-rate": r"with lr 0.0 in every group .* moved 8 parameters, expected 0",
    "optimizer:state": r"holds a list \(all\), which a checkpoint cannot hold",
    "optimizer:state-shared": "its state has the key 'all'",
    "optimizer:determinism": "differs after the same steps",
    "optimizer:resume": "differs in a run that was resumed",
    "schedule:shapes": "it is a SGD; it has to be an LRScheduler",
    "schedule:shapes-negative": "the learning rate of step 11 is -0.01",
    "schedule:determinism": "the learning rate of step 1 is 0.1 in one run and 0.05 in another",
    "transform:shapes": "loses 'masks'; return all keys",
    "transform:shapes-composed": "OnlyInputs returned a dict, not a gvt.Sample",
    "transform:shapes-finite": "an image has a value that is not finite",
    "transform:shapes-shares": "do not have the sum 1",
    "transform:determinism": "image differs for the same seed",
    "transform:workers": "it cannot be pickled",
    "weighting:shapes": "it is a Identity; it has to be a gvt.Weighting",
    "weighting:shapes-columns": r"gradients that agree came as \(3, 1\), expected \(3,\)",
    "weighting:shapes-zero": "weights of gradients that cancel out are not finite",
    "weighting:shapes-constant": "its losses have no gradient",
    "weighting:shapes-appears": "a head without losses has to remain without",
    "weighting:shapes-keeps": "a head that is added and removed changes it",
    "weighting:determinism": "weights of step 0, .* differs for the same inputs",
    "weighting:state": "weights of step 3, .* differs after a round trip",
    "weighting:deep-copy": "weights of step 4.* of a deep copy differs from the original",
    "exporter:shapes": "output 'logits' of the file differs by up to 1",
    "exporter:shapes-nothing": "it writes nothing at the path",
    "explainer:shapes": r"came as \(4, 3, 32, 32\), expected \(4, 32, 32\)",
    "explainer:determinism": "image differs for the same seed",
    "explainer:state": r"gradient of backbone.stages.stage1.weight.* differs afterwards",
    "recipe:runs": "Adamm.*did you mean 'Adam'",
    "recipe:resume": "differs in a run that was resumed",
    "recipe:determinism": "differs in two runs of one seed",
}


def ruled(component):
    """Return the rule that a component is called after; some rules are broken in several ways."""
    name = component.partition(":")[2]
    return max((r.name for r in RULES if f"{name}-".startswith(f"{r.name}-")), key=len)


@pytest.mark.slow
@pytest.mark.parametrize("component", TABLE)
def test_a_component_that_is_wrong_in_one_way_breaks_only_that_rule(component, of_wrong):
    failed, passed = outcomes(of_wrong[component])
    rule = ruled(component)
    assert list(failed) == [rule], failed
    assert re.search(TABLE[component], failed[rule])
    assert "\n" not in failed[rule]
    assert passed


KINDS = ("generator", "backbone", "network", "head", "task", "dataset", "metric", "recipe")


@pytest.mark.parametrize("kind", [*KINDS, *OTHERS])
def test_a_right_component_breaks_no_rule(kind, of_wrong):
    failed, passed = outcomes(of_wrong[f"{kind}:right"])
    assert not failed
    assert "summary" in passed


@pytest.mark.parametrize(
    "name",
    [
        *("head:right-boxes", "head:right-dropout", "head:right-padding", "dataset:right-boxes"),
        *("network:right-pairs", "optimizer:right-split", "transform:right-mixing"),
        "transform:right-composing",
    ],
)
def test_what_is_right_in_another_way_breaks_none(name, of_wrong):
    failed, passed = outcomes(of_wrong[name])
    assert not failed
    assert "shapes" in passed


@pytest.mark.slow
def test_a_false_declaration_of_onnx_breaks_only_that_rule(of_wrong):
    pytest.importorskip("onnxscript")
    failed, _ = outcomes(of_wrong["generator:exports"])
    assert list(failed) == ["exports"]
    failed, passed = outcomes(of_wrong["generator:right-exports"])
    assert not failed
    assert "exports" in passed


def test_a_head_that_has_tensors_alone_predicts_and_is_exported(of_wrong):
    failed, passed = outcomes(of_wrong["head:right-exports"])
    assert not failed
    assert {"deployed", "exports", "shapes"} <= passed


def test_an_example_says_what_to_try(of_wrong):
    failed, passed = outcomes(of_wrong["generator:right-large"])
    assert not failed
    assert {"builds", "shapes", "colours", "odd-sizes"} <= passed


def test_a_module_that_stays_on_one_device_breaks_only_that_rule(of_wrong):
    from gvt.device.placement import available

    failed, _ = outcomes(of_wrong["generator:accelerator"])
    assert list(failed) == ([] if available() == ["cpu"] else ["accelerator"])


LISTING = """
from gvt_registry import hookimpl

@hookimpl
def gvt_components():
    import numpy
    return []
"""
HOOKS = """
from gvt_registry import hookimpl

@hookimpl
def gvt_step_endet(run):
    pass
"""
RUN = """
from gvt_registry import hookimpl

@hookimpl
def gvt_evaluated(run, split):
    raise RuntimeError(f"cannot follow {split}")
"""
COMMANDS = """
import click
from gvt_registry import hookimpl

@hookimpl
def gvt_commands():
    return [click.Command("mute", callback=print)]
"""


@pytest.mark.parametrize(
    ("rule", "source", "says"),
    [
        ("listing", LISTING, r"listing imports numpy \(wrong_.*py, line 6\)"),
        ("hooks", HOOKS, "no hook is called 'gvt_step_endet'; did you mean 'gvt_step_ended'"),
        ("hooks", COMMANDS, "command 'mute' has no help"),
        ("run", RUN, "gvt_evaluated raised RuntimeError: cannot follow val"),
    ],
)
def test_a_plugin_that_is_wrong_as_a_whole(rule, source, says, load_plugin, tmp_path):
    name = f"wrong_{tmp_path.name.replace('-', '_')}"
    file = tmp_path / f"{name}.py"
    file.write_text(source)
    load_plugin(file)
    failed, _ = outcomes(checks(name))
    assert list(failed) == [rule]
    assert re.search(says, failed[rule])


SECTION = """
from gvt_registry import hookimpl

@hookimpl
def gvt_sections():
    return {"NAME_": "NAME:Pulse"}

@hookimpl
def gvt_step_ended(run):
    assert run.config.section("NAME_", Pulse).every == 5
    assert run.info.classes and len(run.examples(2)) == 2

def __getattr__(name):  # pydantic is imported with the first recipe
    if name != "Pulse":
        raise AttributeError(name)
    import gvt
    global Pulse
    Pulse = type("Pulse", (gvt.Section,), {"__annotations__": {"every": "int"}, "every": 5})
    return Pulse
"""


def test_a_follower_of_runs_has_its_section_the_data_and_examples(load_plugin, tmp_path):
    name = f"pulse_{tmp_path.name.replace('-', '_')}"
    file = tmp_path / f"{name}.py"
    file.write_text(SECTION.replace("NAME", name))
    load_plugin(file)
    failed, passed = outcomes(checks(name))
    assert not failed and "run" in passed


def test_every_rule_is_broken_by_something_here():
    broken = {ruled(name) for name in TABLE}
    broken |= {"accelerator", "listing", "hooks", "run"}
    assert broken == {rule.name for rule in RULES}


def test_the_table_in_the_docstring_lists_the_rules_by_kind(of_wrong):
    found = set()
    for names, kinds in re.findall(
        r"^\| ([a-z].*?) \| (.*?) \|$", gvt_author.testing.__doc__, re.M
    ):
        found |= {(n, k) for n in names.split(", ") for k in kinds.split(", ") if n != "rule"}
    assert found == {(rule.name, kind) for rule in RULES for kind in rule.kinds}
    assert all(rule.description.endswith(".") for rule in RULES)


def test_the_report_has_a_line_for_each_component_and_one_for_each_failure(load_plugin, tmp_path):
    file = tmp_path / "wrong_once.py"
    file.write_text(
        '''
from gvt_registry import Component, hookimpl

def build(split: str):
    """Read nothing."""

@hookimpl
def gvt_components():
    return Component("dataset", "wrong_once", build, summary="Nothing")
'''
    )
    load_plugin(file)
    lines = []
    assert report("wrong_once", lines.append) is False
    assert [line.split()[0] for line in lines[:2]] == ["plugin:wrong_once", "dataset:wrong_once"]
    assert "failed: parameters, shapes" in lines[1]
    assert any(
        line.startswith("FAILED dataset:wrong_once-parameters: parameter 'split'") for line in lines
    )
    assert re.fullmatch(r"\d+ passed, \d+ failed, \d+ skipped", lines[-1])


def test_an_unknown_plugin_is_an_error_with_the_nearest_name():
    with pytest.raises(UsageError, match="no plugin is called 'classifi'; did you mean 'classify'"):
        checks("classifi")


def test_a_failed_check_names_its_rule_and_the_line_that_raised():
    def stumble():
        raise KeyError("seven")

    with pytest.raises(Failed, match=r"x:y-z: It walks. It raised KeyError.*test_rules.py, line"):
        Check("x:y", "z", "It walks.", stumble)()
