"""Heads of several checkpoints, merged on the frozen backbone that they were trained on."""

import pytest
import torch
from PIL import Image

import gvt
from gvt.checkpoint import load as read_checkpoint

pytestmark = pytest.mark.filterwarnings("ignore:data. .* no training sample")


def predictions(task, batch):
    with torch.no_grad():
        return task.predict(batch)


def bits(tensor):
    return tensor.contiguous().reshape(-1).view(torch.uint8)


def check_as_alone(task, batch, checkpoints, *, classes_of=None):
    """Check that the merged heads predict bitwise what each predicts alone.

    Args:
        task: The merged task.
        batch: Images.
        checkpoints: Path, and the name of the head there, by the name of the merged head.
    """
    merged = predictions(task, batch)
    classes = [*task.origin["data"]["classes"]]
    for name, (path, head) in checkpoints.items():
        alone = gvt.load(path)
        of_alone = [*alone.origin["data"]["classes"]]
        for one, other in zip(predictions(alone, batch), merged, strict=True):
            check_same(one[head], other[name], of_alone, classes)


def check_same(one, other, classes, merged_classes):
    """Check that two predictions are equal bitwise, except for the numbers of the classes."""
    assert one.keys() == other.keys()
    one, other = dict(one), dict(other)
    if classes != merged_classes:
        names, others = [*classes, "background"], [*merged_classes, "background"]
        for key in one.keys() & {"class", "labels", "semantic"}:
            numbers = one[key].reshape(-1), other[key].reshape(-1)
            assert [names[i] for i in numbers[0]] == [others[i] for i in numbers[1]]
            del one[key], other[key]
        if "boxes" not in one:
            rows = [others.index(name) for name in names][: len(one["scores"])]
            assert other["scores"].count_nonzero() == one["scores"].count_nonzero()
            other["scores"] = other["scores"][rows]
    for key, values in one.items():
        assert values.shape == other[key].shape
        assert torch.equal(bits(values), bits(other[key])), key


def test_three_heads_predict_bitwise_what_each_predicts_alone(single, batch):
    task = gvt.merge([*single.values()])
    assert list(task.heads) == ["label", "ink", "boxes"]
    assert not task.training
    assert not task.vocabularies
    check_as_alone(task, batch, {name: (path, name) for name, path in single.items()})


def test_the_backbone_runs_once(single, batch):
    task, calls = gvt.merge([*single.values()]), []
    task.backbone.register_forward_hook(lambda *_: calls.append(1))
    predictions(task, batch)
    assert len(calls) == 1


def test_a_saved_merge_is_a_checkpoint_as_any_other(single, batch, tmp_path, call):
    out = tmp_path / "merged.safetensors"
    done = call("merge", *single.values(), "-o", out, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{out}: label, ink, boxes\n"
    task = gvt.load(out)
    check_as_alone(task, batch, {name: (path, name) for name, path in single.items()})

    document, tensors = read_checkpoint(out)
    assert all(name.startswith("task/") for name in tensors)
    assert document["recipe"] == "merged"
    assert document["config"]["data"]["name"] == "scenes"
    assert {"head:classifier", "head:fcn", "head:fcos"} <= document["components"].keys()
    assert "head:fcos" in call("inspect", out, cwd=tmp_path).stdout

    metrics = gvt.evaluate_checkpoint(out, split="test").metrics
    for name, path in single.items():
        alone = gvt.evaluate_checkpoint(path, split="test").metrics
        assert alone
        for key, value in alone.items():
            place, _, rest = key.rpartition("loss/")
            long = f"{place}loss/{name}/{rest}" if "loss/" in key else f"{name}/{key}"
            assert metrics[long] == pytest.approx(value, rel=0, abs=0, nan_ok=True), key


def test_image_files_are_predicted_as_alone(single, batch, tmp_path):
    out, photo = tmp_path / "merged.safetensors", tmp_path / "photo.png"
    gvt.merge([*single.values()], out)
    picture_of(batch, photo)
    (merged,) = gvt.predict(out, photo)
    for name, path in single.items():
        (alone,) = gvt.predict(path, photo)
        check_same(alone.prediction, merged.prediction[name], [], [])


def picture_of(batch, path):
    pixels = (batch.images[0, 0] * 255).round().byte()
    Image.fromarray(pixels.numpy()).save(path)


def test_the_deployed_form_has_the_outputs_of_each_head(single, batch):
    deployed = gvt.merge([*single.values()]).deployed()
    outputs = dict(zip(deployed.outputs, deployed.module(batch.images), strict=True))
    for name, path in single.items():
        alone = gvt.load(path).deployed()
        for key, values in zip(alone.outputs, alone.module(batch.images), strict=True):
            assert torch.equal(bits(values), bits(outputs[f"{name}/{key}"]))


def test_heads_of_other_classes_keep_their_names(single, pet, batch):
    task = gvt.merge([single["label"], pet, single["boxes"]])
    data = task.origin["data"]
    assert [*data["classes"]] == [*"0123456789", "cat", "dog"]
    # The data of `label` and of `boxes` is the same, so it is one part.
    assert {name: [*part["classes"]] for name, part in data["parts"].items()} == {
        "label": [*"0123456789"],
        "pet": ["cat", "3", "dog"],
    }
    heads = task.origin["config"]["heads"]
    assert {name: head["learns_from"] for name, head in heads.items()} == {
        "label": "label",
        "pet": "pet",
        "boxes": "label",
    }
    assert task.vocabularies["pet"].numbers == (10, 3, 11)
    paths = {"label": single["label"], "pet": pet, "boxes": single["boxes"]}
    check_as_alone(task, batch, {name: (path, name) for name, path in paths.items()})


def test_a_saved_merge_of_other_classes(single, pet, batch, tmp_path, call):
    out, photo = tmp_path / "merged.safetensors", tmp_path / "photo.png"
    gvt.merge([single["ink"], pet], out)
    task = gvt.load(out)
    check_as_alone(task, batch, {"ink": (single["ink"], "ink"), "pet": (pet, "pet")})
    data = task.origin["config"]["data"]
    assert (data["name"], data["parts"].keys()) == ("mixed", {"ink", "pet"})

    picture_of(batch, photo)
    (merged,), (alone,) = gvt.predict(out, photo), gvt.predict(pet, photo)
    probable = [(row["class"], row["score"]) for row in alone.summary["top"]]
    of_pet = [(row["class"], row["score"]) for row in merged.summary["heads"]["pet"]["top"]]
    assert of_pet[: len(probable)] == probable
    done = call("predict", out, photo, "device=cpu", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "written to predictions\n")

    metrics = gvt.evaluate_checkpoint(out, split="test").metrics  # of each head, on its part
    for name, path in (("ink", single["ink"]), ("pet", pet)):
        alone = gvt.evaluate_checkpoint(path, split="test").metrics
        (key,) = (key for key in alone if key in ("accuracy", "mean_iou"))
        assert metrics[f"{name}/{key}"] == alone[key]


@pytest.mark.slow
def test_a_merged_checkpoint_is_merged_again(single, pet, batch, tmp_path):
    first = tmp_path / "first.safetensors"
    gvt.merge([single["label"], single["ink"]], first)
    task = gvt.merge([first, pet, single["boxes"]])
    names = {name: (path, name) for name, path in [*single.items(), ("pet", pet)]}
    check_as_alone(task, batch, names)
    prefixed = gvt.merge({"old": first, "": single["boxes"], "class": single["label"]})
    assert list(prefixed.heads) == ["old_label", "old_ink", "boxes", "class"]


def test_weights_of_losses_are_kept(single, tmp_path):
    task = gvt.merge([single["label"], single["ink"]])
    task.weights["ink"] = 0.5
    path = gvt.save(task, tmp_path / "weighted.safetensors")
    assert gvt.merge([single["boxes"], path]).weights == {"boxes": 1, "label": 1, "ink": 0.5}
    named = gvt.merge([single["boxes"], f"x={path}"])
    assert named.weights == {"boxes": 1, "x_label": 1, "x_ink": 0.5}


def test_heads_with_layers_of_their_own_keep_them(frozen, batch, tmp_path):
    classifier = {"name": "classifier"}
    paths = {name: frozen({name: classifier}, "task.share=stage2") for name in ("one", "two")}
    gvt.merge([*paths.values()], tmp_path / "merged.safetensors")
    task = gvt.load(tmp_path / "merged.safetensors")
    assert task.share == task.origin["config"]["task"]["share"] == "stage2"
    check_as_alone(task, batch, {name: (path, name) for name, path in paths.items()})


def test_a_head_gets_another_name(single, edited, tmp_path, call, batch):
    def other_head(_, tensors):
        for name in tensors:
            if "heads.label" in name:
                tensors[name] = tensors[name] + 1

    other, out = edited(single["label"], other_head), tmp_path / "d.safetensors"
    done = call("merge", single["label"], other, "-o", out, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr == (
        f"error: two heads are called label, in {single['label']} and in {other}; name one of "
        f"them: NAME={other}\n"
    )
    done = call("merge", single["label"], f"second={other}", "-o", out, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, f"{out}: label, second\n")
    names = {"label": (single["label"], "label"), "second": (other, "label")}
    check_as_alone(gvt.load(out), batch, names)


def test_averages_and_weights_as_trained(single, batch, common):
    paths = {**single, "digit": common}
    task = gvt.merge([*paths.values()])
    check_as_alone(task, batch, {name: (path, name) for name, path in paths.items()})
    raw = gvt.merge([*single.values()], averaged=False)
    for name, path in single.items():
        state = raw.heads[name].state_dict()
        alone = gvt.load(path, averaged=False).heads[name].state_dict()
        assert state.keys() == alone.keys()
        assert all(torch.equal(tensor, alone[key]) for key, tensor in state.items())
        assert any(not torch.equal(t, state[k]) for k, t in task.heads[name].state_dict().items())
    # The backbone was initialised from averages, and trained to other weights.
    with pytest.raises(gvt.UsageError, match="differs by up to"):
        gvt.merge([common, single["label"]], averaged=False)


def test_checkpoints_of_other_versions_are_merged(single, edited, batch):
    def older(document, _):
        del document["config"]["backbone"]["padding"]  # it was added later, with this default
        document["components"] = dict.fromkeys(document["components"], "gvt 0.0.1")
        document["environment"]["versions"]["gvt"] = "0.0.1"

    task = gvt.merge([edited(single["label"], older), single["ink"]])
    check_as_alone(task, batch, {name: (single[name], name) for name in ("label", "ink")})


def test_the_merged_task_gets_another_head_and_is_saved(single, batch, tmp_path):
    task = gvt.merge([single["label"], single["ink"]])
    gvt.add_head(task, "more", "classifier", hidden=[4])
    gvt.save(task, tmp_path / "more.safetensors")
    loaded = gvt.load(tmp_path / "more.safetensors")
    assert list(loaded.heads) == ["label", "ink", "more"]
    check_as_alone(loaded, batch, {name: (single[name], name) for name in ("label", "ink")})


class Brightness(gvt.Head):
    """A head that no plugin offers."""

    needs = predicts = ("class",)

    def __init__(self):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.tensor(9.0))

    def forward(self, features, batch):
        return batch.images.mean(dim=(1, 2, 3)) * self.scale

    def tensors(self, outputs):
        return {"class": outputs.long()}


@pytest.mark.filterwarnings("ignore:heads.mine. no recipe describes it")
def test_a_head_that_was_built_in_code(single, batch, tmp_path):
    def built():
        task = gvt.load(single["label"])
        task.add_head("mine", Brightness())
        task.remove_head("label")
        return task

    path, out = gvt.save(built(), tmp_path / "mine.safetensors"), tmp_path / "merged.safetensors"
    gvt.merge([single["ink"], gvt.open(path, task=built())], out)
    with pytest.raises(gvt.UsageError, match=r"heads\.mine: was built in code"):
        gvt.load(out)
    task = gvt.merge([single["ink"], gvt.open(path, task=built())])
    with torch.no_grad():
        task.heads["mine"].scale.zero_()
    loaded = gvt.load(out, task=task)
    alone = predictions(built(), batch)
    assert any(prediction["mine"]["class"] > 0 for prediction in alone)
    for one, other in zip(alone, predictions(loaded, batch), strict=True):
        assert torch.equal(one["mine"]["class"], other["mine"]["class"])
    check_as_alone(loaded, batch, {"ink": (single["ink"], "ink")})
