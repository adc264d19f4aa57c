"""Resuming gives bit by bit the run that never stopped: for every recipe family."""

import os
import signal
import subprocess
import sys
import time

import pytest

import gvt

SLOW = pytest.mark.slow

# Everything that has a state or a place in time at once. An epoch of the few hundred images that
# the hold-out leaves has nine steps, so that the checkpoints lie in the middle of one.
FAMILIES = {
    "classify.mnist": [
        "evaluate.split=test",
        "evaluate.final=null",
        "heads.digit.dropout=0.3",
        "optimizers.model.warmup=3",
        "train.ema.decay=0.9",
    ],
    "gan.mnist": [
        "generator.width=8",
        "discriminator.width=8",
        "discriminator.dropout=0.3",
        "task.critic_steps=3",
        "optimizers.generator.schedule={name: CosineAnnealingLR, T_max: auto}",
        "optimizers.discriminator.warmup=4",
        "train.pictures_every=5",
    ],
}
COMMON = [
    "data.classes=[3, 5]",
    "data.holdout=57000",
    "data.batch_size=32",
    "train.steps=11",
    "train.accumulate=2",
    "train.clip_norm=1",
    "train.checkpoint_every=4",
    "train.keep=9",
]
AUGMENTED = ["data.resident=false", "data.transforms=[{name: RandomAffine, degrees: 10}]"]


@pytest.mark.parametrize("recipe", FAMILIES)
@pytest.mark.parametrize("resident", [False, pytest.param(True, marks=SLOW)])
def test_a_resumed_run_ends_with_the_same_bits(recipe, resident, tmp_path, same_tensors):
    overrides = [*FAMILIES[recipe], *COMMON, f"run.root={tmp_path}"]
    if not resident:  # with workers it is the same: they change nothing, see below
        overrides += [*AUGMENTED, "data.workers=0", "train.steps=6"]
    undisturbed = gvt.run(recipe, *overrides, quiet=True)
    final = undisturbed.checkpoint.rename(tmp_path / "undisturbed.safetensors")
    middle = undisturbed.checkpoint.with_name("step_00000004.safetensors")
    resumed = gvt.resume(middle, quiet=True)
    assert resumed.step == undisturbed.step
    same_tensors(final, resumed.checkpoint)


# What belongs to fine-tuning: all of it is a function of the step or of the sample's place.
FINE_TUNED = [
    *FAMILIES["classify.mnist"],
    "heads.digit.label_smoothing=0.1",
    "heads.digit.class_weights=balanced",
    "optimizers.model.rates={backbone: 0.1, backbone.stages.stage1: 0.01}",
    "train.unfreeze={backbone: 6, backbone.stages.stage2: 3, heads.digit.layers.1.bias: 9}",
    "data.balance=true",
    "data.batch_transforms=[{name: RandomChoice, transforms: [{name: MixUp}, {name: CutMix}]}]",
]


@pytest.mark.slow
@pytest.mark.parametrize(("workers", "middle"), [(None, 4), (2, 8)])
def test_a_resumed_fine_tuning_ends_with_the_same_bits(workers, middle, tmp_path, same_tensors):
    overrides = [*FINE_TUNED, *COMMON, f"run.root={tmp_path}"]
    if workers is not None:
        overrides += [*AUGMENTED, f"data.workers={workers}"]
    undisturbed = gvt.run("classify.mnist", *overrides, quiet=True)
    final = undisturbed.checkpoint.rename(tmp_path / "undisturbed.safetensors")
    at_middle = undisturbed.checkpoint.with_name(f"step_{middle:08d}.safetensors")
    resumed = gvt.resume(at_middle, quiet=True)
    same_tensors(final, resumed.checkpoint)


@pytest.fixture(scope="module")
def small_run(tmp_path_factory):
    root = tmp_path_factory.mktemp("runs")
    overrides = ["data.classes=[5]", "generator.width=8", "train.steps=2", f"run.root={root}"]
    return gvt.run("gan.mnist", *overrides, quiet=True)


@pytest.mark.slow
def test_workers_change_nothing(tmp_path, same_tensors):
    overrides = [*FAMILIES["classify.mnist"], *COMMON, *AUGMENTED, "train.steps=4"]
    runs = [
        gvt.run(
            "classify.mnist", *overrides, f"data.workers={n}", f"run.root={tmp_path}", quiet=True
        )
        for n in (0, 2)
    ]
    same_tensors(runs[0].checkpoint, runs[1].checkpoint)


@pytest.mark.parametrize("recipe", [pytest.param("classify.mnist", marks=SLOW), "gan.mnist"])
def test_the_same_seed_gives_the_same_run_and_another_one_another(recipe, tmp_path, same_tensors):
    overrides = [*FAMILIES[recipe], *COMMON, "train.steps=2", f"run.root={tmp_path}"]
    first, again = (gvt.run(recipe, *overrides, quiet=True) for _ in range(2))
    other = gvt.run(recipe, *overrides, "train.seed=1", quiet=True)
    same_tensors(first.checkpoint, again.checkpoint)
    assert first.metrics != other.metrics


@pytest.mark.slow
def test_extending_a_run_equals_the_longer_run(tmp_path, same_tensors):
    overrides = [*FAMILIES["classify.mnist"], *COMMON, f"run.root={tmp_path}"]
    constant = [*overrides, "optimizers.model.schedule=null"]
    longer = gvt.run("classify.mnist", *constant, quiet=True)
    shorter = gvt.run("classify.mnist", *constant, "train.steps=5", quiet=True)
    extended = gvt.resume(shorter.folder, "train.steps=11", quiet=True)
    same_tensors(longer.checkpoint, extended.checkpoint)


def test_resume_without_argument_takes_the_latest_run(tmp_path):
    root = f"run.root={tmp_path}"
    overrides = ["data.classes=[5]", "train.steps=2", "generator.width=8", root]
    gvt.run("gan.mnist", *overrides, quiet=True)
    latest = gvt.run("gan.mnist", *overrides, quiet=True)
    assert gvt.resume(None, root, "train.steps=3", quiet=True).folder == latest.folder


@pytest.mark.parametrize(
    ("override", "named"),
    [
        ("generator.width=16", "generator"),
        ("data.classes=[4]", "data"),
        ("optimizers.generator.lr=1", "optimizers"),
        ("train.seed=3", "train.seed"),
        ("train={steps: 9, seed: 3}", "train.seed"),
        ("train.ema=null", "train.ema"),
    ],
)
def test_a_run_goes_on_with_its_data_and_networks(override, named, small_run):
    with pytest.raises(gvt.UsageError, match=rf"^{named}: .*init_from"):
        gvt.resume(small_run.folder, override)


def test_a_run_cannot_end_before_where_it_is(small_run):
    with pytest.raises(gvt.UsageError, match=r"train\.steps: the run is at step 2 already"):
        gvt.resume(small_run.folder, "train.steps=1", quiet=True)


def test_a_complete_run_is_left_as_it_is(tmp_path, capsys):
    run = gvt.run(
        "gan.mnist", "data.classes=[5]", "train.steps=1", f"run.root={tmp_path}", quiet=True
    )
    before = run.checkpoint.read_bytes()
    again = gvt.resume(run.folder)
    assert again.outcome == "success"
    assert again.checkpoint.read_bytes() == before
    assert "train.steps=N" in capsys.readouterr().err


def start(tmp_path, *overrides):
    """Start a GAN in a process of its own, and return it with its run's folder."""
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "gvt", "run", "gan.mnist", f"run.root={tmp_path}"),
            *("generator.width=8", "discriminator.width=8", "data.classes=[5]", *overrides),
        ],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        found = list(tmp_path.glob("*/*/checkpoints/last.safetensors"))
        if found:
            return process, found[0].parent.parent
        time.sleep(0.02)
    process.kill()
    raise AssertionError(f"no checkpoint came: {process.communicate()[1]}")


@pytest.mark.slow
@pytest.mark.usefixtures("undrawn_processes")
def test_killed_in_the_middle_it_ends_with_the_same_weights(tmp_path, same_tensors):
    steps = ["train.steps=120", "train.checkpoint_every=7"]
    killed, folder = start(tmp_path / "killed", *steps)
    killed.kill()
    killed.communicate()
    assert killed.returncode == -signal.SIGKILL
    resumed = gvt.resume(folder, quiet=True)
    undisturbed = gvt.run(
        *("gan.mnist", "generator.width=8", "discriminator.width=8", "data.classes=[5]", *steps),
        f"run.root={tmp_path / 'undisturbed'}",
        quiet=True,
    )
    same_tensors(undisturbed.checkpoint, resumed.checkpoint)


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows has no signals to send to a process")
@pytest.mark.parametrize(("number", "workers"), [(signal.SIGINT, 0), (signal.SIGTERM, 2)])
@pytest.mark.usefixtures("undrawn_processes")
def test_asked_to_stop_it_saves_and_says_how_it_goes_on(number, workers, tmp_path):
    process, folder = start(
        *(tmp_path, "train.steps=100000", "train.checkpoint_every=3"),
        *("data.resident=false", f"data.workers={workers}"),
    )
    # As a terminal, systemd and Slurm do: the workers are asked, too.
    os.killpg(process.pid, number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    last = errors.splitlines()[-1]
    assert f"continue with: gvt resume {folder}" in last
    stopped = int(last.split("after step ")[1].split()[0])
    assert gvt.resume(folder, f"train.steps={stopped + 1}", quiet=True).step == stopped + 1


ENDLESS = """
import time
from pathlib import Path
from gvt_registry import hookimpl

@hookimpl
def gvt_step_ended(step):
    if step == 2:
        Path(__file__).with_name("within").touch()
        time.sleep(600)
"""


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows has no signals to send to a process")
@pytest.mark.usefixtures("undrawn_processes")
def test_asked_twice_it_stops_at_once(tmp_path):
    # A step that does not end, so that the second request comes before its end.
    plugin = tmp_path / "endless.py"
    plugin.write_text(ENDLESS)
    process, _ = start(*(tmp_path, "train.steps=9", "train.checkpoint_every=1", "--plugin", plugin))
    while not (tmp_path / "within").exists():  # after the first step it would still be asked
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    while "press again" not in process.stderr.readline():
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "without saving" in errors
