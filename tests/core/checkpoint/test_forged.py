"""Forged documents with valid checksums."""

import copy
import time

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import gvt
from gvt.checkpoint import file, model
from gvt.checkpoint.document import read_header
from gvt.cli.inspection import inspection
from gvt.data_info import DataInfo

RECIPE = [
    *("data.classes=[3, 5]", "data.holdout=500", "data.batch_size=32", "train.steps=1"),
    *(
        "evaluate.split=val",
        "evaluate.final=null",
        "backbone.widths=[4, 4]",
        "heads.digit.hidden=[4]",
    ),
    "train.ema={}",
]

VALUES = (
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats()
    | st.text(max_size=3)
    | st.just([])
    | st.just({})
    | st.just([{}])
    | st.just({"name": []})
    | st.just("x" * 300)
)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    root = tmp_path_factory.mktemp("runs")
    return gvt.run("classify.mnist", *RECIPE, f"run.root={root}", quiet=True)


@pytest.fixture
def forged(run, tmp_path, resign):
    """Return a function that writes a copy of the run's checkpoint with another document."""
    document = dict(read_header(run.checkpoint).document)
    target = run.folder / "checkpoints" / "forged.safetensors"
    yield lambda change: resign(run.checkpoint, change(copy.deepcopy(document)) or document, target)
    target.unlink(missing_ok=True)


def places(value, path=()):
    """Yield the path of every value in a document."""
    if path:
        yield path
    inside = value.items() if isinstance(value, dict) else ()
    inside = enumerate(value) if isinstance(value, list) else inside
    for key, part in inside:
        yield from places(part, (*path, key))


def changed(document, place, value):
    """Return a document with another value at a path, or without it for `...`."""
    document = copy.deepcopy(document)
    inside = document
    for key in place[:-1]:
        inside = inside[key]
    if value is ...:
        del inside[place[-1]]
    else:
        inside[place[-1]] = value
    return document


def check(use, *arguments):
    """Check that a call succeeds or raises a one-line error."""
    try:
        use(*arguments)
    except gvt.GvtError as error:
        assert "\n" not in str(error)
        assert len(str(error)) < 1000


def every_use(path):
    check(gvt.load, path)
    check(inspection, path)
    check(lambda: gvt.save(gvt.load(path), path.with_name("..") / ".." / "saved.safetensors"))


@pytest.mark.slow
@settings(
    deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.data())
def test_a_changed_document_is_refused_in_one_line_or_used(run, forged, data):
    document = dict(read_header(run.checkpoint).document)
    place = data.draw(st.sampled_from(list(places(document))))
    value = data.draw(st.just(...) | VALUES)
    every_use(forged(lambda document: changed(document, place, value)))


@pytest.mark.slow
@settings(
    deadline=None, max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.data())
def test_a_changed_document_is_resumed_or_refused_in_one_line(run, forged, data):
    document = dict(read_header(run.checkpoint).document)
    del document["config"]["train"]["steps"]  # a million of them would be honoured
    place = data.draw(st.sampled_from(list(places(document))))
    value = data.draw(st.just(...) | VALUES)
    path = forged(lambda document: changed(document, place, value))
    check(lambda: gvt.resume(path, "train.steps=1", quiet=True))
    check(lambda: gvt.evaluate_checkpoint(path, split="val"))


@pytest.mark.parametrize("section", model.RUN_SECTIONS)
@pytest.mark.parametrize("value", [..., [], "text", 1, {}])
def test_a_section_that_is_missing_or_of_another_type(run, forged, section, value):
    path = forged(lambda document: changed(document, (section,), value))
    if (section, value) in (("recipe", "text"), ("components", {})):
        return
    with pytest.raises(gvt.CheckpointError, match=section):
        gvt.load(path)
    with pytest.raises(gvt.CheckpointError, match=section):
        gvt.resume(path, quiet=True)
    check(inspection, path)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("training", "step"), "1"),
        (("training", "step"), -1),
        (("training", "step"), 1.5),
        (("training", "metrics"), {"val/accuracy": "high"}),
        (("training", "best"), {"value": 1.0}),
        (("training", "optimizer_values"), {"a": []}),
        (("training", "scalers"), {"model": {}}),
        (("data", "classes"), [3, 5]),
        (("data", "image_shape"), [1, 28]),
        (("data", "image_shape"), [1, 10**9, 10**9]),
        (("data", "parts"), {"a": {}}),
        (("data", "reader"), {}),
        (("data", "reader"), {"channels": 7}),
        (("data", "reader"), {"field": 7}),
        (("environment", "plugins"), {"a": {"sha256": []}}),
        (("components", "task:heads"), 1),
        (("resolved", "train", "precision"), None),
        (("aliases",), {"task/more": "task/absent"}),
        (("aliases",), {"task/one": "task/two", "task/two": "task/one"}),
        (
            ("aliases",),
            {"task/backbone.stages.stage1.0.bias": "task/backbone.stages.stage1.0.bias"},
        ),
        (("aliases",), {"task/x": ["task/y"]}),
        (("gvt",), 1),
    ],
)
def test_a_value_of_a_wrong_type_is_named(forged, place, value):
    path = forged(lambda document: changed(document, place, value))
    named = rf"forged.safetensors: damaged: its document: {place[0]}"
    for use in (read_header, gvt.load, inspection, file.load):
        with pytest.raises(gvt.CheckpointError, match=named):
            use(path)


@pytest.mark.parametrize("width", [10**11, 2**58, -3])
def test_a_size_beyond_the_memory_is_one_line(forged, width):
    path = forged(lambda document: changed(document, ("config", "backbone", "widths", 0), width))
    with pytest.raises(gvt.GvtError, match=r"^[^\n]*backbone[^\n]*$"):
        gvt.load(path)


def test_keys_of_a_later_version_are_accepted(run, forged):
    def change(document):
        for place in ((), ("training",), ("data",), ("environment",), ("resolved", "train")):
            inside = document
            for key in place:
                inside = inside[key]
            inside["of_later"] = {"a": 1}
        return document

    path = forged(change)
    task, own = gvt.load(path), gvt.load(run.checkpoint)
    assert all(torch.equal(t, own.state_dict()[n]) for n, t in task.state_dict().items())
    gvt.resume(path, quiet=True)


def test_the_model_knows_all_that_is_saved_of_the_data():
    assert DataInfo((), None).document().keys() == model.Data.model_fields.keys()


def test_optimiser_state_of_another_model_is_one_line(run, forged):
    def change(document):
        document["training"]["optimizer_values"] = {"optimizer/model/absent/step": 1}
        return document

    with pytest.raises(gvt.CheckpointError, match=r"optimizers\.model belongs to another model"):
        gvt.resume(forged(change), quiet=True)


def test_names_and_texts_of_any_length_are_refused_at_once(forged):
    def change(document):
        document["components"]["task:heads"] = "x" * 4_000_000
        return document

    path = forged(change)
    started = time.process_time()
    with pytest.raises(gvt.CheckpointError) as caught:
        gvt.load(path)
    assert time.process_time() - started < 1
    assert len(str(caught.value)) - len(str(path)) < 200


def test_weights_without_a_recipe_name_the_alternatives(tmp_path):
    path = tmp_path / "a.safetensors"
    file.save(path, {"task/a": torch.ones(1)}, {})
    for use in (gvt.load, gvt.evaluate_checkpoint):
        with pytest.raises(gvt.CheckpointError, match=r"no section 'recipe'.*init_from"):
            use(path)
    assert "format 2" in inspection(path)
