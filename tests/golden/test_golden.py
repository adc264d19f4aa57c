"""Checkpoints of earlier versions load, predict and are resumed as on the day they were made.

`make.py` made them and says what is in them. On the version of torch and the CPU capability that
they were made with the results are the same bits; elsewhere they agree to a thousandth. A
difference is a broken promise to everybody who has checkpoints: mend the change, not the files.
"""

import json
import runpy
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open

import gvt

HERE = Path(__file__).parent
CHECKPOINTS = sorted(HERE.glob("format*/*.safetensors"))
MAKE = runpy.run_path(str(HERE / "make.py"))
CLOSE = 1e-3
KINDS = ("safetensors", "npz")
LARGEST = 6_000_000

each_checkpoint = pytest.mark.parametrize(
    "checkpoint", CHECKPOINTS, ids=[f"{path.parent.name}-{path.stem}" for path in CHECKPOINTS]
)


@pytest.fixture
def recorded(checkpoint):
    """Return the arrays of a checkpoint; the test computes with as many threads as they were."""
    threads = torch.get_num_threads()
    with np.load(checkpoint.with_suffix(".npz")) as arrays:
        torch.set_num_threads(int(arrays["threads"]))
        yield dict(arrays)
    torch.set_num_threads(threads)


def same_bits(recorded):
    """Whether this torch on this CPU computes the same bits as where the arrays were made."""
    here = (str(torch.__version__), torch.backends.cpu.get_cpu_capability())
    return here == (recorded["torch"], recorded["capability"])


def document_of(checkpoint):
    with safe_open(checkpoint, "np") as file:
        return json.loads(file.metadata()["gvt"])


def differences(recorded, arrays, group, exact):
    """Return which arrays of a group, `output` or `loss`, are not what was recorded, and how."""
    names = [name for name in recorded if name.startswith(f"{group}:")]
    assert names
    found = {f"{group}:{name}": array for name, array in arrays.items()}
    if found.keys() != set(names):
        return [f"{sorted(found.keys() ^ set(names))} only in one of them"]
    return [
        f"{name}: {found[name]} instead of {recorded[name]}"
        for name in names
        if not agree(recorded[name], found[name], exact)
    ]


def agree(recorded, array, exact):
    """Whether two arrays are equal, or close: up to one in a thousand of classes may differ."""
    if recorded.dtype != array.dtype or recorded.shape != array.shape:
        return False
    if exact:
        return np.array_equal(recorded, array, equal_nan=recorded.dtype.kind == "f")
    if recorded.dtype.kind == "f":
        return np.allclose(
            recorded, array, rtol=CLOSE, atol=CLOSE * scale(recorded), equal_nan=True
        )
    return np.mean(recorded != array) <= CLOSE


def scale(array):
    """Return the size of what an array measures, that small values are judged by."""
    size = np.nanmean(np.abs(array)) if array.size else 0.0
    return 0.0 if np.isnan(size) else float(size)


def resumed(checkpoint, folder):
    """Resume a checkpoint in a run folder made of what it holds; return the losses by name."""
    document = document_of(checkpoint)
    (folder / "checkpoints").mkdir(parents=True)
    # Every JSON text is YAML.
    (folder / "config.yaml").write_text(json.dumps(document["resolved"]), encoding="utf-8")
    shutil.copy(checkpoint, folder / "checkpoints" / "last.safetensors")
    step = document["training"]["step"]
    gvt.resume(folder, f"train.steps={step + MAKE['NEXT']}", quiet=True)
    return MAKE["losses_after"](folder / "metrics.jsonl", step)


def test_every_run_has_its_files():
    names = [path.name for path in HERE.glob("format*/*")]
    assert sorted(names) == sorted(f"{n}.{k}" for n in MAKE["RUNS"] for k in KINDS)
    assert sum(path.stat().st_size for path in HERE.glob("format*/*")) < LARGEST


@each_checkpoint
def test_it_names_no_place_on_the_machine_that_made_it(checkpoint):
    document = document_of(checkpoint)
    assert "/" not in json.dumps({k: document[k] for k in ("config", "resolved", "environment")})


@each_checkpoint
def test_it_predicts_the_same(checkpoint, recorded):
    arrays = MAKE["outputs"](gvt.load(checkpoint), recorded["images"])
    assert not differences(recorded, arrays, "output", same_bits(recorded))


@pytest.mark.slow
@each_checkpoint
def test_it_is_resumed_with_the_same_losses(checkpoint, recorded, tmp_path, monkeypatch):
    monkeypatch.chdir(HERE)  # the data of texts is beside this file
    losses = resumed(checkpoint, tmp_path / "run")
    assert not differences(recorded, losses, "loss", same_bits(recorded))


@pytest.mark.parametrize("group", ["output", "loss"])
@pytest.mark.parametrize(
    ("factor", "equal", "close"), [(1, True, True), (1.0001, False, True), (1.01, False, False)]
)
def test_results_of_other_machines_agree_to_a_thousandth(group, factor, equal, close):
    recorded = {f"{group}:a/b": np.array([1.5, -2.5, np.nan]), f"{group}:c": np.arange(3)}
    arrays = {"a/b": recorded[f"{group}:a/b"] * factor, "c": np.arange(3)}
    assert (differences(recorded, arrays, group, exact=True) == []) is equal
    assert (differences(recorded, arrays, group, exact=False) == []) is close
    for exact in (True, False):
        wrong_class = arrays | {"a/b": recorded[f"{group}:a/b"], "c": np.array([0, 2, 2])}
        assert differences(recorded, wrong_class, group, exact)
        assert differences(recorded, {"c": np.arange(3)}, group, exact)


def test_files_of_other_machines_are_compared_by_value():
    checkpoint = CHECKPOINTS[0]
    with np.load(checkpoint.with_suffix(".npz")) as file:
        recorded = {**file, "capability": np.array("of another machine")}
    assert not same_bits(recorded)
    arrays = MAKE["outputs"](gvt.load(checkpoint), recorded["images"])
    scores = {
        name: array * np.float32(1 + 1e-5) for name, array in arrays.items() if "score" in name
    }
    assert differences(recorded, arrays | scores, "output", exact=True)
    assert not differences(recorded, arrays | scores, "output", same_bits(recorded))
