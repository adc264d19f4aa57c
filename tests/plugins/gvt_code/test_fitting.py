"""Tasks that are built in code: trained, resumed, saved and loaded like those of recipes."""

import signal
import subprocess
import sys
import time
from pathlib import Path
from textwrap import dedent

import pytest
import torch
from torch import nn

import gvt
from gvt.config import CODE

SCENES = {
    "name": "scenes", "size": 32, "objects": [1, 1], "digit_size": [14, 22], "count": 24,
    "held_out": 4,
}  # fmt: skip


class Grey(gvt.Backbone):
    """A backbone that no plugin offers."""

    def __init__(self):
        super().__init__()
        self.feature_info = {"map": (4, 2)}
        self.layers = nn.Conv2d(1, 4, 3, stride=2, padding=1)

    def forward(self, images):
        return {"map": self.layers(images.mean(1, keepdim=True))}


class Mine(gvt.Head):
    """A head that no plugin offers."""

    needs = ("class",)
    predicts = ("class", "scores")

    def __init__(self, channels, bias=True):
        super().__init__()
        self.layer = nn.Linear(channels, 10, bias=bias)

    def forward(self, features, batch):
        return self.layer(features["map"].mean((2, 3)))

    def loss(self, outputs, targets):
        return {"ce": nn.functional.cross_entropy(outputs, targets["class"])}

    def tensors(self, outputs):
        return {"class": outputs.argmax(1), "scores": outputs.softmax(1)}


def scenes(split="train", **parameters):
    return gvt.create("dataset", split=split, **SCENES | parameters)


def described(train, seed=0):
    """Return a task of which a recipe describes each part."""
    torch.manual_seed(seed)
    backbone = gvt.create("backbone", "unet_encoder", data=train, width=4, depth=2)
    heads = {
        "label": gvt.create("head", "classifier", data=train, backbone=backbone, hidden=[8]),
        "pixels": gvt.create(
            "head", "fcn", data=train, backbone=backbone, losses={"dice": {"name": "dice"}}
        ),
    }
    return gvt.MultiHead(backbone, heads, weights={"pixels": 0.5})


def in_code(train=None, seed=0, bias=True):
    """Return a task of parts that no plugin offers."""
    torch.manual_seed(seed)
    backbone = Grey()
    return gvt.MultiHead(backbone, {"mine": Mine(4, bias=bias)})


@pytest.fixture
def fit(tmp_path):
    """Return `gvt.fit` for tiny runs below a temporary folder."""

    def function(task, train, /, *overrides, **settings):
        values = {"steps": 4, "batch_size": 4, "lr": 1e-2, "quiet": True, **settings}
        further = {"run": {"root": str(tmp_path)}, "device": "cpu", "recipe": "mix"}
        return gvt.fit(task, train, *overrides, **further | values)

    return function


def images(count=3):
    return gvt.Batch.of_images(torch.rand(count, 3, 32, 32))


def same_predictions(one, other):
    batch = images()
    for task in (one, other):
        task.eval().to(memory_format=torch.contiguous_format)
    for now, then in zip(one.predict(batch), other.predict(batch), strict=True):
        assert now.keys() == then.keys()
        for head in now:
            assert all(torch.equal(now[head][key], then[head][key]) for key in then[head])


def test_a_task_of_created_parts_is_a_recipe(fit):
    train = scenes()
    run = fit(described(train), train, held_out=scenes("test"))
    assert run.outcome == "success"
    assert run.metrics.keys() >= {"test/label/accuracy", "test/pixels/mean_iou"}
    assert (run.folder / "config.yaml").is_file()
    config = gvt.open(run.folder).config
    assert config.data.name == "scenes"
    assert config.data.parameters["count"] == 24
    assert config.evaluate.split == "test"
    assert config.backbone.parameters["width"] == 4
    assert config.heads["pixels"].parameters["losses"]["dice"]["name"] == "dice"
    assert config.task.parameters["weights"] == {"pixels": 0.5}
    same_predictions(gvt.load(run.folder), run.task)
    evaluation = gvt.evaluate_checkpoint(run.folder)
    assert evaluation.metrics["pixels/mean_iou"] == run.metrics["test/pixels/mean_iou"]


@pytest.mark.slow
def test_the_recipe_of_a_run_in_code_trains_to_the_same_bits(fit, same_tensors, tmp_path):
    train = scenes()
    run = fit(described(train), train, "train.clip_norm=1", held_out=scenes("test"))
    first = gvt.load(run.folder)
    # A run of the same recipe that begins with the weights of the first step.
    start = gvt.save(described(train), tmp_path / "start.safetensors", data=train)
    recipe = gvt.open(run.folder).config.document() | {"init_from": str(start)}
    again = gvt.run(recipe, quiet=True)
    for name, tensor in gvt.load(again.folder).state_dict().items():
        assert torch.equal(first.state_dict()[name], tensor), name


@pytest.mark.parametrize("build", [described, in_code])
def test_resumed_in_code_it_ends_with_the_same_bits(build, fit, same_tensors):
    train = scenes()
    whole = fit(build(train), train, "train.ema.decay=0.9", steps=6, recipe="whole")
    part = fit(build(train), train, "train.ema.decay=0.9", steps=3)
    # Another start: the weights are those of the run.
    rest = fit(build(train, seed=1), train, "train.ema.decay=0.9", steps=6, resume=part.folder)
    assert rest.folder == part.folder
    same_tensors(rest.checkpoint, whole.checkpoint)


def test_what_is_described_is_resumed_without_the_code(fit, same_tensors):
    train = scenes()
    task = described(train)
    task.backbone.stages.stage1.requires_grad_(False)
    frozen = task.backbone.stages.stage1[0].weight.clone()
    whole = fit(task, train, steps=6, recipe="whole")
    assert torch.equal(whole.task.backbone.stages.stage1[0].weight, frozen)
    task = described(train)
    task.backbone.stages.stage1.requires_grad_(False)
    part = fit(task, train, steps=3)
    rest = gvt.resume(part.folder, "train.steps=6", quiet=True)
    same_tensors(rest.checkpoint, whole.checkpoint)


@pytest.mark.slow
def test_the_newest_run_of_the_name_is_continued(fit):
    train = scenes()
    first = fit(described(train), train, steps=2, resume=True)
    second = fit(described(train), train, steps=4, resume=True)
    assert second.folder == first.folder
    assert second.step == 4
    complete = fit(described(train), train, steps=4, resume=True)
    assert complete.folder == first.folder
    assert fit(described(train), train, steps=4).folder != first.folder


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lr": 1e-3}, "optimizers: differs from that of the run to resume"),
        ({"batch_size": 2}, "data: differs from that"),
        ({"train": {"clip_norm": 1.0}}, r"train\.clip_norm: differs from that"),
        ({"train": {"unfreeze": {"backbone": 3}}}, r"train\.unfreeze: differs from that"),
    ],
)
def test_another_setting_is_refused_when_a_run_is_resumed(change, message, fit):
    train = scenes()
    run = fit(described(train), train, steps=2)
    with pytest.raises(gvt.ConfigError, match=message):
        fit(described(train), train, steps=4, resume=run.folder, **change)


def test_a_resolved_precision_is_kept(fit):
    train = scenes()
    run = fit(described(train), train, steps=2, train={"precision": "bfloat16"})
    rest = fit(described(train), train, steps=3, resume=run.folder)
    assert rest.config.train.precision == "bfloat16"


def test_other_data_is_refused_when_a_run_is_resumed(fit):
    run = fit(in_code(), scenes(), steps=2)
    fewer = scenes(count=16)
    with pytest.raises(gvt.ConfigError, match=r"data: differs|16 samples, and it was 24"):
        fit(in_code(), fewer, steps=4, resume=run.folder)


def test_a_part_of_code_is_saved_and_loaded_into_the_same_code(fit, tmp_path, recwarn):
    train = scenes()
    run = fit(in_code(), train, held_out=scenes("test"))
    config = gvt.open(run.folder, task=in_code()).config
    assert config.heads["mine"].name == config.backbone.name == CODE
    text = run.checkpoint.read_bytes()
    assert not any(word in text for word in (b"Grey", b"Mine", b"test_fitting", b"gvt_code"))
    with pytest.raises(gvt.ConfigError, match=r"^backbone: was built in code, .*task=\.\.\."):
        gvt.load(run.folder)
    mine = in_code(seed=5)
    assert gvt.load(run.folder, task=mine) is mine
    same_predictions(mine, run.task)
    with pytest.raises(gvt.CheckpointError, match=r"heads\.mine\.layer\.bias' is not part of this"):
        gvt.load(run.folder, task=in_code(bias=False))
    with pytest.warns(UserWarning, match="heads.mine: no recipe describes it, since neither"):
        path = gvt.save(mine, tmp_path / "mine.safetensors")
    same_predictions(gvt.load(path, task=in_code()), run.task)


def test_a_task_that_would_not_be_used_is_refused(tmp_path):
    train = scenes()
    task = described(train)
    opened = gvt.open(gvt.save(task, tmp_path / "task.safetensors", data=train))
    assert gvt.open(opened) is opened
    with pytest.raises(gvt.UsageError, match="task: give it where the model is opened"):
        gvt.open(opened, task=task)
    with pytest.raises(gvt.UsageError, match=r"multi\.scenes: there is no such run or checkpoint"):
        gvt.open("multi.scenes", task=task)


def test_commands_say_which_part_was_built_in_code(fit, call):
    run = fit(in_code(), scenes(), held_out=scenes("test"))
    for command in ("resume", "eval"):
        done = call(command, run.folder, cwd=run.folder)
        assert done.returncode == 2
        assert done.stderr.startswith("error: backbone: was built in code")
        assert "Traceback" not in done.stderr


def test_what_was_changed_after_it_was_built_is_code(fit):
    train = scenes()
    task = described(train)
    task.heads["label"].layers[-1] = nn.Linear(8, 10, bias=False)
    run = fit(task, train, steps=1)
    assert gvt.open(run.folder, task=task).config.heads["label"].name == CODE


def other_layer(task, train):
    task.heads["label"].layers[2] = nn.Tanh()


def other_setting(task, train):
    task.backbone.stages.stage1[1].eps = 0.1


def shared_head(task, train):
    task.add_head("again", task.heads["label"])


def other_backbone(task, train):
    task.backbone = gvt.create("backbone", "unet_encoder", data=train, width=4, depth=2)


def further_weights(task, train):
    task.further = nn.Linear(1, 1, bias=False)


def other_vocabulary(task, train):
    names = tuple("0123456789")
    task.vocabularies["label"] = gvt.Vocabulary("part", names, tuple(range(10)), 10)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (other_layer, "heads.label: .*since it was changed after it had been built"),
        (other_setting, "backbone: .*since it was changed after it had been built"),
        (shared_head, "heads.again: .*since it shares weights with heads.label"),
        (other_backbone, "backbone: .*since another part has taken its place"),
        (further_weights, r"task: .*since it has further weights, such as further\.weight"),
        (other_vocabulary, "heads.label: .*since the data has no part 'part'"),
    ],
)
def test_what_a_recipe_would_build_in_another_way_is_code(change, message, tmp_path):
    train = scenes()
    task = described(train)
    change(task, train)
    with pytest.warns(UserWarning, match=message):
        gvt.save(task, tmp_path / "task.safetensors", data=train)


def test_a_network_that_was_replaced_is_code(tmp_path):
    train = gvt.create("dataset", "mnist", split="train")
    networks = {
        kind: gvt.create(kind, "textbook_mlp", data=train)
        for kind in ("generator", "discriminator")
    }
    task = gvt.create("task", "gan", data=train, **networks)
    task.generator = gvt.create("generator", "textbook_mlp", data=train)
    with pytest.warns(UserWarning, match="generator: .*since another part has taken its place"):
        gvt.save(task, tmp_path / "task.safetensors", data=train)


def test_a_part_for_other_facts_than_those_of_the_data_is_described_with_them(fit, same_tensors):
    train = scenes()
    backbone = gvt.create("backbone", "unet_encoder", image_shape=(3, 32, 32), width=4, depth=2)
    facts = {"feature_info": backbone.feature_info}
    heads = {"one": gvt.create("head", "classifier", num_classes=12, **facts)}
    run = fit(gvt.MultiHead(backbone, heads), train, steps=2)
    section = gvt.open(run.folder).config.heads["one"].parameters
    assert section["num_classes"] == 12
    assert section["class_counts"] is None  # the data has some, and the head was built without
    same_predictions(gvt.load(run.folder), run.task)
    rest = gvt.resume(run.folder, "train.steps=3", quiet=True)
    assert rest.task.heads["one"].layers[-1].out_features == 12
    with pytest.raises(gvt.ConfigError, match="image_channels: is filled in by gvt"):
        gvt.run(gvt.open(run.folder).config.document(), quiet=True)


def test_a_head_for_fewer_classes_than_the_data_has_is_refused(fit, tmp_path):
    train = scenes()
    backbone = gvt.create("backbone", "unet_encoder", data=train, width=4, depth=2)
    facts = {"feature_info": backbone.feature_info}
    heads = {"one": gvt.create("head", "classifier", num_classes=9, **facts)}
    with pytest.raises(gvt.ConfigError, match=r"heads.one: was built for 9 classes.*data has 10"):
        fit(gvt.MultiHead(backbone, heads), train)
    assert not (tmp_path / "mix").exists()


def test_a_trained_task_learns_from_other_data(fit):
    train = scenes()
    first = fit(described(train), train, steps=2)
    later = fit(gvt.load(first.folder), scenes(count=16), steps=2)
    same_predictions(gvt.load(later.folder), later.task)


def test_the_cosines_of_a_task_in_code_are_described(fit):
    train = scenes()
    task = described(train)
    task.weighting = gvt.Weighting(cosines_every=1)
    for name in task.heads:
        task.weighting.add_head(name)
    run = fit(task, train, steps=2)
    assert gvt.load(run.folder).weighting.cosines_every == 1


def test_a_task_that_knows_no_data_is_saved_with_it(tmp_path):
    train = scenes()
    task = described(train)
    with pytest.raises(gvt.UsageError, match=r"give data=\.\.\., the training data"):
        gvt.save(task, tmp_path / "task.safetensors")
    path = gvt.save(task, tmp_path / "task.safetensors", data=train)
    same_predictions(gvt.load(path), task)
    assert gvt.open(path).info.classes == tuple("0123456789")


@pytest.mark.parametrize("data_range", [None, (0.0, 1.0)])
def test_a_gan_in_code(data_range, fit, same_tensors):
    train = gvt.create("dataset", "mnist", split="train")

    def gan():
        torch.manual_seed(0)
        networks = {
            "generator": gvt.create("generator", "textbook_mlp", data=train),
            "discriminator": gvt.create("discriminator", "textbook_mlp", data=train),
        }
        return gvt.create("task", "gan", data=gvt.DataInfo.of(train, data_range), **networks)

    optimizers = {key: {"name": "Adam", "lr": 2e-4} for key in ("generator", "discriminator")}
    settings = {"optimizers": optimizers, "lr": None}
    whole = fit(gan(), train, steps=4, **settings, recipe="whole")
    part = fit(gan(), train, steps=2, **settings)
    rest = gvt.resume(part.folder, "train.steps=4", quiet=True)
    same_tensors(rest.checkpoint, whole.checkpoint)
    assert gvt.sample(rest.folder, count=2).shape == (2, 1, 28, 28)


def test_held_out_data_has_to_be_like_that_of_the_training(fit):
    train = scenes()
    other = gvt.create("dataset", "mnist", split="test", classes=[1, 2])
    with pytest.raises(gvt.ConfigError, match="its classes are"):
        fit(described(train), train, held_out=other)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"steps": None}, "train: give either steps or epochs"),
        ({"epochs": 1}, "train: give either steps or epochs"),
        ({"heads": {}}, "heads: is that of the task; build the task with it"),
        ({"trian": {}}, "trian: unknown key; did you mean 'train'"),
        ({"train": {"step": 1}}, "train.step: unknown key"),
        ({"optimizers": {"modle": {"name": "AdamW"}}}, "optimizers.modle"),
        ({"optimizers": {"model": "AdamW"}}, "optimizers.model: should be a mapping, not 'AdamW'"),
        ({"train": 5}, "train: should be a mapping, not 5"),
        ({"data": {"count": 5}}, "data.count: is that of the data; build the data set with it"),
        ({"data": {"suffle": False}}, "data.suffle: is that of the data.*did you mean 'shuffle'"),
        ({"held_out": {"train": None}}, "held_out: a split cannot be called 'train'"),
        ({"held_out": {"a/b": None}}, "held_out: a split cannot be called 'a/b'"),
        ({"evaluate": {"split": "none"}}, "evaluate.split: scenes has no split 'none'"),
        ({"resume": "nothing"}, "resume: 'nothing' is neither a run folder nor a checkpoint in"),
    ],
)
def test_wrong_settings_are_one_line(settings, message, fit, tmp_path):
    train = scenes()
    with pytest.raises((gvt.ConfigError, gvt.UsageError), match=message):
        fit(described(train), train, **settings)
    assert not (tmp_path / "mix").exists()


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("heads.label.hidden=[16]", "heads: is that of the task"),
        ("task.weights.pixels=7", "task: is that of the task"),
        ("networks.backbone.width=8", "networks: is that of the task"),
        ("data.count=48", "data.count: is that of the data"),
        ("data.range=[0,1]", "data.range: the task is built for it"),
    ],
)
def test_an_override_cannot_change_what_was_built_in_code(override, message, fit):
    train = scenes()
    with pytest.raises(gvt.UsageError, match=message):
        fit(described(train), train, override)


def test_held_out_data_that_would_not_be_evaluated_is_refused(fit):
    train, splits = scenes(), {"val": scenes("test"), "test": scenes("test", held_out=6)}
    with pytest.raises(gvt.UsageError, match="held_out: test is not evaluated; name it in"):
        fit(described(train), train, held_out=splits)
    run = fit(described(train), train, held_out=splits, evaluate={"final": "test"})
    assert run.metrics.keys() >= {"val/pixels/mean_iou", "test/pixels/mean_iou"}
    with pytest.raises(gvt.UsageError, match="evaluate: there is no split 'other'"):
        fit(in_code(), train, held_out={"val": splits["val"]}, evaluate={"final": "other"})


def test_a_run_continues_from_the_checkpoint_that_is_given(fit, same_tensors):
    train, settings = scenes(), {"train": {"checkpoint_every": 1, "keep": 9}}
    run = fit(described(train), train, **settings)
    last = run.checkpoint.read_bytes()
    numbered = run.checkpoint.with_name("step_00000002.safetensors")
    again = fit(described(train, seed=1), train, resume=numbered, **settings)
    assert '"event": "resumed", "step": 2' in (run.folder / "metrics.jsonl").read_text()
    assert again.folder == run.folder
    (run.folder / "first.safetensors").write_bytes(last)
    same_tensors(again.checkpoint, run.folder / "first.safetensors")
    with pytest.raises(gvt.UsageError, match="neither a run folder nor a checkpoint in one"):
        fit(described(train), train, resume=run.folder.parent)


def test_settings_may_be_paths(fit, tmp_path):
    train = scenes()
    start = gvt.save(described(train), tmp_path / "start.safetensors", data=train)
    folder = tmp_path / "other"
    run = fit(described(train, seed=1), train, steps=1, init_from=start, run={"root": folder})
    assert run.folder.is_relative_to(folder)
    assert gvt.open(run.folder).config.init_from == str(start)


def test_data_that_wraps_other_data_is_code(fit):
    class Reversed:
        """Samples of another data set in reverse order, with all its attributes."""

        def __init__(self, data):
            self._data = data

        def __getattr__(self, name):
            if name.startswith("_"):
                raise AttributeError(name)
            return getattr(self._data, name)

        def __len__(self):
            return len(self._data)

        def __getitem__(self, index):
            return self._data[len(self) - 1 - index]

    train = scenes()
    run = fit(described(train), Reversed(train), steps=1)
    assert gvt.open(run.folder).config.data.name == CODE


def test_data_of_an_unknown_form_is_refused(fit):
    train = scenes()
    with pytest.raises(gvt.UsageError, match="a int, which is neither"):
        fit(described(train), 7)
    with pytest.raises(gvt.UsageError, match=r"the task is a Linear, which is not a gvt\.Task"):
        fit(nn.Linear(2, 2), train)


SCRIPT = """
    import sys
    import torch
    import gvt
    sys.path.insert(0, {folder!r})
    from test_fitting import {build}, scenes

    train = scenes()
    gvt.fit(
        {build}(train), train, steps=40, batch_size=4, lr=1e-2, recipe=sys.argv[1], device="cpu",
        train={{"checkpoint_every": 5, "log_every": 1}}, run={{"root": {root!r}}}, resume=True,
    )
"""


@pytest.mark.slow
@pytest.mark.parametrize("build", ["described", "in_code"])
def test_a_killed_script_goes_on_when_it_is_started_again(build, tmp_path, same_tensors):
    script = tmp_path / "mix.py"
    folder = str(Path(__file__).parent)
    script.write_text(dedent(SCRIPT.format(folder=folder, build=build, root=str(tmp_path))))

    def start(name):
        return subprocess.Popen([sys.executable, str(script), name], stderr=subprocess.PIPE)

    assert start("whole").wait(120) == 0
    killed = start("killed")
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        logs = list(tmp_path.glob("killed/*/metrics.jsonl"))
        if logs and logs[0].read_text().count("\n") > 8:
            break
        time.sleep(0.05)
    killed.send_signal(signal.SIGKILL)
    assert killed.wait() == -signal.SIGKILL
    assert start("killed").wait(120) == 0
    names = ("whole", "killed")
    one, other = (next(tmp_path.glob(f"{n}/*/checkpoints/last.safetensors")) for n in names)
    same_tensors(one, other)


def test_a_task_whose_heads_share_some_layers_is_saved_with_a_head_that_was_added(tmp_path):
    train = scenes()
    torch.manual_seed(0)
    inner = gvt.create("backbone", "unet_encoder", data=train, width=4, depth=2)
    backbone = gvt.create("backbone", "fpn", backbone=inner, channels=4)
    heads = {"label": gvt.create("head", "classifier", data=train, backbone=backbone)}
    task = gvt.MultiHead(backbone, heads, share="stage2")
    first = gvt.save(task, tmp_path / "one.safetensors", data=train)
    task = gvt.load(first)
    gvt.add_head(task, "pixels", "fcn")
    loaded = gvt.load(gvt.save(task, tmp_path / "two.safetensors"))
    assert loaded.share == "stage2"
    assert loaded.whole.feature_info == backbone.feature_info
    weights = task.state_dict()
    assert weights.keys() == loaded.state_dict().keys()
    assert all(torch.equal(t, weights[name]) for name, t in loaded.state_dict().items())
    assert any(name.startswith("branches.pixels.pyramid.") for name in weights)
