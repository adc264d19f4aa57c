"""The checkpoints of a run: loading, describing, initialising from them."""

import pytest
import torch
from safetensors.torch import load_file

import gvt
from gvt.checkpoint import file
from gvt.checkpoint.document import read_header
from gvt.cli.inspection import inspection

SMALL = ["data.classes=[3, 5]", "data.holdout=500", "train.steps=4", "data.batch_size=32"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    root = f"run.root={tmp_path_factory.mktemp('runs')}"
    classify = gvt.run("classify.mnist", *SMALL, "evaluate.final=null", root, quiet=True)
    gan = gvt.run("gan.mnist", *SMALL, "generator.width=8", root, quiet=True)
    return {"classify.mnist": classify, "gan.mnist": gan}


@pytest.mark.parametrize("recipe", ["classify.mnist", "gan.mnist"])
def test_load_returns_the_task_without_its_data(recipe, runs):
    run = runs[recipe]
    task = gvt.load(run.checkpoint, averaged=False)
    assert not task.training
    own = run.task.state_dict()
    assert all(torch.equal(tensor, own[name]) for name, tensor in task.state_dict().items())


def test_load_uses_the_average_if_there_is_one(runs):
    weights = load_file(runs["gan.mnist"].checkpoint)
    task = gvt.load(runs["gan.mnist"].checkpoint)
    averaged = {n.removeprefix("ema/"): t for n, t in weights.items() if n.startswith("ema/")}
    assert averaged
    assert all(n.startswith("generator.") for n in averaged)
    state = task.state_dict()
    assert all(torch.equal(state[n], t) for n, t in averaged.items())
    images = task.generator(torch.randn(2, *task.generator.latent_shape))
    assert images.shape == (2, 1, 28, 28)


def test_inspect_describes_a_checkpoint(runs):
    text = inspection(runs["classify.mnist"].checkpoint)
    for said in (
        "classify.mnist",
        "step",
        "val/accuracy",
        "backbone:small_cnn",
        "gvt 0.1.0",
        "3, 5",
    ):
        assert said in text


def forged(run, tmp_path, **changes):
    document, tensors = file.load(run.checkpoint)
    path = tmp_path / "forged.safetensors"
    file.save(path, tensors, {**document, **changes})
    return path


def test_a_missing_plugin_is_named_with_its_distribution(runs, tmp_path):
    run = runs["classify.mnist"]
    config = read_header(run.checkpoint).document["config"]
    path = forged(
        run,
        tmp_path,
        config={**config, "backbone": {"name": "wavelet"}},
        components={"backbone:wavelet": "gvt-wavelet 1.2"},
    )
    with pytest.raises(
        gvt.UsageError, match=r"no backbone is called 'wavelet'.*pip install gvt-wavelet"
    ):
        gvt.load(path)


def test_tensors_of_another_shape_are_one_line(runs, tmp_path):
    run = runs["classify.mnist"]
    config = read_header(run.checkpoint).document["config"]
    heads = {"digit": {"name": "classifier", "hidden": [64], "grid": 5}}
    path = forged(run, tmp_path, config={**config, "heads": heads})
    with pytest.raises(gvt.CheckpointError, match=r"another model: .* is \(128, 1600\), it should"):
        gvt.load(path)


def test_nothing_in_a_checkpoint_names_code_to_import(runs, tmp_path):
    run = runs["classify.mnist"]
    config = read_header(run.checkpoint).document["config"]
    path = forged(run, tmp_path, config={**config, "backbone": {"name": "os:system"}})
    with pytest.raises(gvt.UsageError, match="no backbone is called 'os:system'"):
        gvt.load(path)


@pytest.mark.slow
def test_init_from_copies_matching_weights_and_lists_the_rest(runs, tmp_path, capsys):
    source = runs["classify.mnist"]
    run = gvt.run(
        *("classify.mnist", *SMALL, "data.classes=[1, 2, 3]", "train.steps=1"),
        *(f"init_from={source.checkpoint}", f"run.root={tmp_path}", "evaluate.final=null"),
        "optimizers.model.lr=1e-9",
    )
    shown = capsys.readouterr().err
    assert "loaded 6 of 8 tensors" in shown
    assert "heads.digit.layers.4.weight not loaded: (2, 128) in the file, (3, 128) here" in shown
    theirs, ours = source.task.state_dict(), run.task.state_dict()
    torch.testing.assert_close(
        ours["backbone.stages.stage1.0.weight"], theirs["backbone.stages.stage1.0.weight"]
    )


def test_init_from_another_kind_of_model_is_an_error(runs, tmp_path):
    checkpoint = runs["gan.mnist"].checkpoint
    with pytest.raises(gvt.CheckpointError, match="init_from: no tensor in"):
        gvt.run("classify.mnist", f"init_from={checkpoint}", f"run.root={tmp_path}", quiet=True)
