"""Heads that share the first layers of a backbone, each with the later ones to itself."""

import copy

import pytest
import torch
from torch import nn

import gvt

CLASSES = 3
SCENES = {
    "name": "scenes", "size": 32, "objects": [1, 1], "digit_size": [14, 22], "count": 24,
    "held_out": 4,
}  # fmt: skip
RECIPE = {
    "recipe": "shared",
    "task": {"name": "heads", "share": "stage2"},
    "data": {**SCENES, "batch_size": 8},
    "backbone": {"name": "unet_encoder", "width": 4, "depth": 2},
    "heads": {"label": {"name": "classifier"}, "pixels": {"name": "fcn"}},
    "optimizers": {"model": {"name": "AdamW", "lr": 0.01}},
    "train": {"steps": 2},
    "evaluate": {"final": None},
    "device": "cpu",
}


def parts():
    torch.manual_seed(0)
    backbone = gvt.create("backbone", "unet_encoder", image_channels=3, width=4, depth=2)
    of_data = {"num_classes": CLASSES, "background": False}
    heads = {
        "label": gvt.create("head", "classifier", backbone=backbone, num_classes=CLASSES),
        "pixels": gvt.create("head", "fcn", backbone=backbone, **of_data),
    }
    return backbone, heads


def shared(share="stage2", **parameters):
    backbone, heads = parts()
    return gvt.MultiHead(backbone, heads, share=share, **parameters)


def batch(labelled=(True,) * 4):
    torch.manual_seed(1)
    size = len(labelled)
    images = torch.rand(size, 3, 16, 16)
    dense = {
        "class": torch.arange(size) % CLASSES,
        "semantic": torch.randint(0, CLASSES, (size, 16, 16)),
    }
    return gvt.Batch(
        {"image": images},
        gvt.Frame.of(images),
        gvt.Targets(dense=dense, present={"class": torch.tensor(labelled)}),
        records=[gvt.Record(f"image {i}", (16, 16)) for i in range(size)],
    )


def assert_same(one, other):
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


def predicted(task, samples):
    with torch.no_grad():
        predictions = task.eval().predict(samples)
    return {
        f"{i}/{head}/{key}": value
        for i, prediction in enumerate(predictions)
        for head, of_head in prediction.items()
        for key, value in of_head.items()
    }


def losses_of(task, samples):
    return task.train()("supervised", samples, gvt.Step(0))


def step_of(task, samples):
    optimizer = torch.optim.SGD(task.parameters(), lr=0.1)
    sum(losses_of(task, samples).values()).backward()
    optimizer.step()
    optimizer.zero_grad()


@pytest.mark.parametrize("share", ["stage1", "stage2", "stage3"])
def test_it_begins_as_without_sharing(share):
    assert_same(losses_of(shared(share), batch()), losses_of(shared(None), batch()))
    assert_same(predicted(shared(share), batch()), predicted(shared(None), batch()))
    held_out = [task.eval().evaluate(batch(), gvt.Step(0)) for task in (shared(share), shared())]
    assert_same(*({n: loss for n, (loss, _) in losses.items()} for _, losses in held_out))


def test_names_of_weights():
    names = {name.split(".stages")[0] for name in shared().state_dict() if "heads." not in name}
    assert names == {"backbone", "branches.label", "branches.pixels"}
    backbone, heads = parts()
    alone = {f"backbone.{name}" for name in backbone.state_dict()}
    alone |= {f"heads.{n}.{name}" for n, head in heads.items() for name in head.state_dict()}
    assert {*gvt.MultiHead(backbone, heads).state_dict()} == alone


def test_each_head_trains_layers_of_its_own_and_both_the_trunk():
    task = shared()
    label, pixels = task.branches["label"], task.branches["pixels"]
    first = copy.deepcopy(task.state_dict())
    assert_same(label.state_dict(), pixels.state_dict())
    assert not {*label.parameters()} & {*pixels.parameters()}
    step_of(task, batch(labelled=(False,) * 4))
    after = task.state_dict()
    changed = {n.split(".stages")[0] for n, t in after.items() if not torch.equal(t, first[n])}
    assert {n for n in changed if not n.startswith("heads")} == {"backbone", "branches.pixels"}
    step_of(task, batch())
    assert not torch.equal(label.stages["stage3"][1][0].weight, first[next(iter(first))])
    assert any(
        not torch.equal(a, b) for a, b in zip(label.parameters(), pixels.parameters(), strict=True)
    )


def test_one_pass_of_the_trunk_and_one_of_each_branch_for_the_samples_of_its_head():
    task, sizes = shared(), {}

    def counts(name):
        def hook(module, inputs, output):
            sizes.setdefault(name, []).append(len(output["stage1"]))

        return hook

    task.backbone.register_forward_hook(counts("trunk"))
    for name, branch in task.branches.items():
        branch.register_forward_hook(counts(name))
    losses_of(task, batch(labelled=(True, False, False, True)))
    assert sizes == {"trunk": [4], "label": [2], "pixels": [4]}


def test_a_head_learns_from_the_samples_that_have_its_targets():
    task = shared().eval()
    of_some = task.evaluate(batch(labelled=(True, False, False, True)), gvt.Step(0))[1]
    of_these = task.evaluate(batch().select(torch.tensor([0, 3])), gvt.Step(0))[1]
    torch.testing.assert_close(of_some["label/cross_entropy"], of_these["label/cross_entropy"])


def test_a_head_that_is_added_begins_with_the_layers_of_the_first_one():
    task = shared()
    step_of(task, batch())
    before = predicted(task, batch())
    head = gvt.create("head", "classifier", backbone=task.whole, num_classes=2)
    task.add_head("more", head)
    assert_same(task.branches["more"].state_dict(), task.branches["label"].state_dict())
    assert not {*task.branches["more"].parameters()} & {*task.branches["label"].parameters()}
    after = predicted(task, batch())
    assert_same({n: after[n] for n in before}, before)
    task.remove_head("label")
    assert list(task.branches) == ["pixels", "more"]
    assert {n.split("/")[1] for n in predicted(task, batch())} == {"pixels", "more"}


def test_one_head_computes_what_it_computes_without_sharing():
    tasks = []
    for share in ("stage1", None):
        backbone, heads = parts()
        tasks.append(gvt.MultiHead(backbone, {"label": heads["label"]}, share=share))
        step_of(tasks[-1], batch())
    assert_same(*(predicted(task, batch()) for task in tasks))


@pytest.mark.slow
def test_the_deployed_form_computes_the_predictions():
    task = shared()
    step_of(task, batch())
    form = task.eval().deployed()
    images = batch().images
    program = torch.export.export(
        form.module, (images,), dynamic_shapes=form.dynamic_shapes((images,))
    ).module()
    of_images = predicted(task, batch())
    for outputs in (form.module(images), program(images)):
        named = dict(zip(form.outputs, outputs, strict=True))
        for name in ("label/class", "pixels/semantic"):
            rows = torch.stack([of_images[f"{i}/{name}"] for i in range(4)])
            assert torch.equal(named[name], rows)


def test_what_cannot_be_shared_is_one_line():
    with pytest.raises(ValueError, match=r"no map 'stage7'; did you mean .*'stage2'"):
        shared("stage7")
    plain = nn.Conv2d(3, 3, 1)
    plain.feature_info = {"map": (3, 1)}
    with pytest.raises(ValueError, match=r"share: a Conv2d is not a gvt\.Backbone"):
        gvt.MultiHead(plain, parts()[1], share="map")


@pytest.mark.parametrize(
    ("backbone", "says"),
    [
        ({}, "task: MultiHead: the backbone has no map 'stage9'; did you mean "),
        ({"name": "timm", "model": "test_vit", "stages": [2, 6]}, "test_vit cannot be split at"),
    ],
)
def test_a_recipe_that_cannot_share_is_one_line(backbone, says, tmp_path):
    share = "stage2" if backbone else "stage9"
    recipe = {
        **RECIPE,
        "task": {"name": "heads", "share": share},
        "backbone": backbone or RECIPE["backbone"],
    }
    with pytest.raises(gvt.ConfigError, match=says) as caught:
        gvt.run(recipe, f"run.root={tmp_path}", quiet=True)
    assert "\n" not in str(caught.value)


def test_a_run_resumes_with_the_same_bits_and_its_checkpoint_predicts_the_same(tmp_path):
    root = f"run.root={tmp_path}"
    whole = gvt.run(RECIPE, root, "train.steps=4", quiet=True)
    half = gvt.run(RECIPE, root, quiet=True)
    assert half.step == 2
    again = gvt.resume(half.folder, "train.steps=4", quiet=True)
    assert_same(again.task.state_dict(), whole.task.state_dict())
    loaded = gvt.load(whole.folder)
    assert loaded.share == "stage2"
    samples = gvt.Batch.of_images(torch.rand(2, 3, 32, 32))
    predictions = predicted(whole.task, samples)
    for name, value in predicted(loaded, samples).items():
        torch.testing.assert_close(value, predictions[name])


def test_a_frozen_backbone_is_the_trunk(tmp_path):
    overrides = (f"run.root={tmp_path}", "train.unfreeze.backbone=never")
    runs = [gvt.run(RECIPE, *overrides, f"train.steps={n}", quiet=True) for n in (1, 2)]
    before, after = (run.task.state_dict() for run in runs)
    same = {name.split(".stages")[0] for name in before if torch.equal(before[name], after[name])}
    changed = {name.split(".stages")[0] for name in before if name.endswith("weight")} - same
    assert "backbone" in same
    assert {"branches.label", "branches.pixels"} <= changed


def test_a_weighting_combines_the_gradients_of_the_trunk_only(tmp_path):
    root, states = f"run.root={tmp_path}", []
    for every in (None, 1):
        task = {**RECIPE["task"], "weighting": {"name": "fixed", "cosines_every": every}}
        run = gvt.run({**RECIPE, "task": task}, root, quiet=True)
        states.append(run.task.state_dict())
    for name, tensor in states[0].items():
        torch.testing.assert_close(states[1][name], tensor, rtol=1e-3, atol=1e-4, msg=name)
    (phase,) = run.task.phases
    assert phase.shared == ("backbone",)
    assert "cosine/label/pixels" in (run.folder / "metrics.jsonl").read_text()
