"""Runs followed for TensorBoard, and read back as TensorBoard reads them."""

import gc
import io
import json
import os
import subprocess
import sys
import threading
import time
import weakref
from collections import defaultdict
from dataclasses import replace
from shutil import copytree
from textwrap import dedent

import numpy as np
import pytest
import torch
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import gvt
from gvt.config.text import parse_yaml
from gvt.loop.listener import PluginHooks
from gvt.vision.drawing.figures import save_matrix
from gvt_registry import Registry
from gvt_tensorboard import plugin
from gvt_tensorboard.writer import EventWriter

CLASSIFY = ["data.classes=[3, 5]", "data.holdout=300", "data.batch_size=16"]
CLASSIFY += ["evaluate.split=val", "evaluate.every=3", "evaluate.final=null"]
GAN = ["data.classes=[5]", "data.batch_size=16", "generator.width=8", "discriminator.width=8"]
GAN += ["train.precision=float32"]  # that of `gvt.load`, whose pictures are compared


@pytest.fixture(scope="module", autouse=True)
def plugins():
    """Load the plugins anew, also this one where the other tests block it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("GVT_BLOCK_PLUGINS", raising=False)
        registry = Registry()
        assert "tensorboard" in [p.name for p in registry.plugins if p.state == "ok"]
        patch.setattr("gvt.session.training.default_registry", lambda: registry)
        yield registry.plugins


@pytest.fixture(scope="module")
def classify(tmp_path_factory):
    root = tmp_path_factory.mktemp("classify")
    steps = ["train.steps=6", "train.log_every=2", "train.checkpoint_every=3", "train.keep=9"]
    return gvt.run("classify.mnist", *CLASSIFY, *steps, f"run.root={root}", quiet=True)


@pytest.fixture(scope="module")
def gan(tmp_path_factory):
    root = tmp_path_factory.mktemp("gan")
    steps = ["train.steps=4", "train.pictures_every=2"]
    return gvt.run("gan.mnist", *GAN, *steps, f"run.root={root}", quiet=True)


def events(folder):
    everything = {"scalars": 0, "images": 0, "tensors": 0}
    return EventAccumulator(str(folder), size_guidance=everything).Reload()


def curves(run):
    found = events(run.folder / "tensorboard")
    return {t: [(p.step, p.value) for p in found.Scalars(t)] for t in found.Tags()["scalars"]}


def recorded(run):
    """Return the same out of `metrics.jsonl`."""
    found = defaultdict(list)
    for line in (run.folder / "metrics.jsonl").read_text().splitlines():
        row = json.loads(line)
        for name in row.keys() - {"step", "epoch", "figures"} if "event" not in row else ():
            found[name].append((row["step"], row[name]))
    return found


def steps_of(run):
    return {name: [step for step, _ in points] for name, points in curves(run).items()}


def picture(event):
    return np.array(Image.open(io.BytesIO(event.encoded_image_string)))


def text(run, name):
    found = events(run.folder / "tensorboard").Tensors(f"{name}/text_summary")
    return [(e.step, e.tensor_proto.string_val[0].decode()) for e in found]


def wait_for_the_next_second():
    """Event files of one second are put in order by numbers read as text, "10" before "9"."""
    time.sleep(1 - time.time() % 1)


@pytest.mark.parametrize(
    ("recipe", "count"),
    [
        ("classify", {"train/cross_entropy": 6, "val/accuracy": 2, "lr/model": 5}),
        ("gan", {"train/discriminator/real": 4, "train/generator": 4, "lr/discriminator": 3}),
    ],
)
def test_the_numbers_are_those_of_the_run_folder(recipe, count, request):
    run = request.getfixturevalue(recipe)
    found, expected = curves(run), recorded(run)
    assert found.keys() == expected.keys() >= count.keys()
    assert {name: len(found[name]) for name in count} == count
    for name, points in expected.items():
        assert [step for step, _ in found[name]] == [step for step, _ in points]
        # A number in an event file is a float32.
        assert [v for _, v in found[name]] == pytest.approx([v for _, v in points], rel=1e-6)


def test_cosines_between_gradients_are_a_group_beside_the_losses(tmp_path):
    run = gvt.Run(torch.nn.Module(), 2, 2, 4, folder=tmp_path)
    plugin.gvt_run_started(run=run)
    rows = [(1, {"a/x": 2.0, "cosine/a/b": -0.5}), (2, {"a/x": 1.0})]
    plugin.gvt_losses_read(run=run, rows=rows)
    plugin.gvt_run_ended(run=run)
    found = curves(run)
    assert found == {"train/a/x": [(1, 2.0), (2, 1.0)], "cosine/a/b": [(1, -0.5)]}


def test_the_configuration_and_the_size_are_there_as_text(classify):
    [(step, config)] = text(classify, "config")
    assert (step, dedent(config)) == (0, (classify.folder / "config.yaml").read_text())
    [(_, size)] = text(classify, "run")
    assert size.startswith("6 steps of 16 samples")


def test_the_confusion_matrix_is_there_of_every_evaluation(classify, tmp_path):
    found = events(classify.folder / "tensorboard").Images("val/confusion")
    assert [event.step for event in found] == [3, 6]
    evaluated = json.loads((classify.folder / "evaluation" / "val.json").read_text())
    table = torch.tensor(evaluated["tables"]["confusion"])
    save_matrix(table, (), tmp_path / "drawn.png", title="val/confusion")
    drawn = np.array(Image.open(tmp_path / "drawn.png").convert("RGB"))
    np.testing.assert_array_equal(picture(found[-1]), drawn)


def test_the_sheets_are_there_as_the_task_drew_them(gan):
    found = events(gan.folder / "tensorboard").Images("pictures/samples")
    assert [event.step for event in found] == [1, 2, 4]
    sheet = picture(found[-1])
    task = gvt.load(gan.checkpoint)
    with torch.no_grad():
        samples = task.pictures(gan.config.train.seed, None)["samples"]
    assert sheet.shape == (8 * 30 + 2, 8 * 30 + 2, 3)
    for index, expected in enumerate(samples.reshape(-1, 28, 28)):
        y, x = (2 + 30 * i for i in divmod(index, 8))
        shown = sheet[y : y + 28, x : x + 28, 0] / 255
        np.testing.assert_allclose(shown, expected, atol=0.51 / 255)


def test_sheets_of_any_arrangement_are_images(tmp_path):
    arranged, loose = torch.rand(2, 5, 3, 7, 9), torch.rand(5, 1, 7, 9, dtype=torch.bfloat16)
    writer = EventWriter(tmp_path, step=0)
    writer.files("arranged", gvt.Shown.of(arranged).files(), step=1)
    writer.files("loose", gvt.Shown.of(loose).files(), step=1)
    writer.close()
    found = events(tmp_path)
    sheet = picture(found.Images("arranged")[0])
    assert sheet.shape == (2 * 9 + 2, 5 * 11 + 2, 3)
    expected = arranged[1, 3].permute(1, 2, 0).mul(255).round()
    np.testing.assert_array_equal(sheet[11:18, 35:44], expected)
    square = picture(found.Images("loose")[0])
    assert square.shape == (2 * 9 + 2, 3 * 11 + 2, 3)
    np.testing.assert_array_equal(square[11:18, 13:22, 1], loose[4, 0].float().mul(255).round())


def test_a_resumed_run_has_every_step_once(classify, tmp_path):
    folder = copytree(classify.folder, tmp_path / "run")
    wait_for_the_next_second()
    middle = folder / "checkpoints" / "step_00000003.safetensors"
    resumed = gvt.resume(middle, "train.steps=5", quiet=True)
    found = steps_of(resumed)
    assert found["train/cross_entropy"] == [1, 2, 3, 4, 5]  # and not the sixth of the first time
    assert found["val/accuracy"] == [3, 5]  # what came before the checkpoint is kept
    assert [step for step, _ in text(resumed, "config")] == [0, 3]
    assert len(list((resumed.folder / "tensorboard").iterdir())) == 2


def test_killed_before_its_first_checkpoint_it_begins_again(tmp_path):
    overrides = [*GAN, "train.steps=2", f"run.root={tmp_path}"]
    run = gvt.run("gan.mnist", *overrides, quiet=True)
    run.checkpoint.unlink()
    wait_for_the_next_second()
    again = gvt.resume(run.folder, quiet=True)
    assert steps_of(again)["train/generator"] == [1, 2]
    found = events(again.folder / "tensorboard").Images("pictures/samples")
    assert [event.step for event in found] == [1, 2]


def test_with_a_checkpoint_everything_before_it_is_on_disk(plugins, gan, tmp_path):
    run = replace(gan, folder=tmp_path, step=0)

    def tell(hook, **arguments):
        raised = [a for _, a in plugins.call(hook, run=run, **arguments) if a is not None]
        assert raised == []

    steps = list(range(1, 3001))
    tell("gvt_run_started")
    tell("gvt_losses_read", rows=[(step, {"loss": 1 / step}) for step in steps])
    tell("gvt_checkpoint_saved", path=gan.checkpoint)
    on_disk = copytree(run.folder / "tensorboard", tmp_path / "copy")
    tell("gvt_run_ended", outcome="success", error=None)
    assert [point.step for point in events(on_disk).Scalars("train/loss")] == steps
    [(_, config)] = text(run, "config")  # the run's own: there is no file of it in this folder
    assert parse_yaml(dedent(config), "here") == run.config.document()


def test_of_an_ended_run_nothing_stays(tmp_path):
    threads = threading.active_count()
    run = gvt.run("gan.mnist", *GAN, "train.steps=1", f"run.root={tmp_path}", quiet=True)
    assert (run.folder / "tensorboard").is_dir()
    assert threading.active_count() == threads
    task = weakref.ref(run.task)
    del run
    gc.collect()
    assert task() is None


def test_a_run_that_fails_has_its_losses_until_then(tmp_path):
    threads = threading.active_count()
    breaking = ["optimizers.generator={name: SGD, lr: 1e30}", "train.log_every=1"]
    with pytest.raises(gvt.NonFiniteError):
        gvt.run("gan.mnist", *GAN, *breaking, f"run.root={tmp_path}", quiet=True)
    assert threading.active_count() == threads
    [folder] = tmp_path.glob("*/*/tensorboard")
    assert events(folder).Scalars("train/generator")[0].step == 1


def test_a_run_without_a_folder_writes_nothing(plugins, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    digits = gvt.create("dataset", "mnist", split="train", classes=[5])
    backbone = gvt.create("backbone", "small_cnn", image_shape=(1, 28, 28), widths=[4])
    info = backbone.feature_info
    head = gvt.create("head", "classifier", feature_info=info, num_classes=1)
    settings, notes = gvt.TrainConfig(steps=2), []
    cpu = gvt.Placement.resolve("cpu")
    loader = gvt.Loader(digits, gvt.DataConfig(name="mnist", batch_size=8), settings, cpu)
    run = gvt.Trainer(
        gvt.MultiHead(backbone, {"digit": head}),
        loader,
        {"model": gvt.OptimizerConfig(name="Adam")},
        settings,
        cpu,
        listeners=[PluginHooks(plugins, notes.append)],
    ).fit()
    assert (run.outcome, notes, list(tmp_path.iterdir())) == ("success", [], [])


def test_blocked_it_writes_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("GVT_BLOCK_PLUGINS", "tensorboard")
    registry = Registry()
    monkeypatch.setattr("gvt.session.training.default_registry", lambda: registry)
    run = gvt.run("gan.mnist", *GAN, "train.steps=1", f"run.root={tmp_path}", quiet=True)
    assert (run.folder / "metrics.jsonl").exists()
    assert not (run.folder / "tensorboard").exists()
    assert [p.state for p in registry.plugins if p.name == "tensorboard"] == ["blocked"]


def test_without_the_package_it_does_nothing(tmp_path):
    script = f"""
        import sys
        from importlib.machinery import ModuleSpec
        from pathlib import Path
        from types import SimpleNamespace

        from gvt_registry import Registry

        class Folder:
            '''What finds a folder that happens to be called tensorboard.'''

            def find_spec(name, path=None, target=None):
                return ModuleSpec(name, None, is_package=True) if name == "tensorboard" else None

        plugins = Registry().plugins
        run = SimpleNamespace(folder=Path({str(tmp_path)!r}), step=0, learning_rates={{}})
        evaluation = SimpleNamespace(tables={{}}, named=lambda split: {{}})
        hooks = {{
            "run_started": {{}},
            "losses_read": {{"rows": [(1, {{"loss": 0.5}})]}},
            "evaluated": {{"step": 1, "split": "val", "metrics": {{}}, "evaluation": evaluation}},
            "pictures_drawn": {{"step": 1, "pictures": {{"samples": None}}}},
            "checkpoint_saved": {{"path": run.folder}},
            "run_ended": {{"outcome": "success", "error": None}},
        }}

        def answers():
            called = [plugins.call(f"gvt_{{n}}", run=run, **given) for n, given in hooks.items()]
            return [(p.name, a) for of_hook in called for p, a in of_hook]

        sys.modules["tensorboard"] = None  # as if it were not there
        print(*answers())
        del sys.modules["tensorboard"]
        sys.meta_path.insert(0, Folder)
        print(*answers())
        print(*(name for name in sys.modules if name.startswith(("tensorboard", "torch"))))
        print("gvt_tensorboard.plugin" in sys.modules, "gvt_tensorboard.writer" in sys.modules)
    """
    done = subprocess.run(
        [sys.executable, "-c", dedent(script)],
        env={**os.environ, "GVT_BLOCK_PLUGINS": "report"},
        capture_output=True,
        text=True,
        check=False,
    )
    nothing = " ".join(["('tensorboard', None)"] * 6)
    assert done.stdout.splitlines() == [nothing, nothing, "", "True False"], done.stderr
    assert (done.returncode, done.stderr) == (0, "")
    assert not list(tmp_path.iterdir())
