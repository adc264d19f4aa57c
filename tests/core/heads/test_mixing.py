"""One model from data that is labelled for different heads: mixed, trained, resumed, changed."""

from dataclasses import replace

import pytest
import torch
from PIL import Image

import gvt
from gvt_registry import default_registry

FAST = ["device=cpu", "train.precision=float32", "data.workers=0", "train.log_every=1"]
TINY_DETECTOR = {
    "name": "faster_rcnn",
    "hidden": 16,
    "rpn_batch": 16,
    "roi_batch": 16,
    "proposals_train": [30, 20],
    "proposals_predict": [30, 10],
}
SMALL_SCENES = {"name": "scenes", "size": 48, "count": 16, "held_out": 4, "channels": 1}


@pytest.fixture(autouse=True)
def nothing_registered(monkeypatch):
    monkeypatch.setattr(default_registry(), "_in_code", {})


def recipe(data, heads, **task):
    return {
        "task": {"name": "heads", **task},
        "data": {"batch_size": 4, **data},
        "backbone": {"name": "unet_encoder", "width": 8, "depth": 2},
        "heads": heads,
        "optimizers": {"model": {"name": "AdamW", "lr": 1e-3}},
        "train": {"steps": 4, "checkpoint_every": 2, "keep": 9},
        "evaluate": {"final": "test"},
    }


class Few:
    """The first samples of another data set."""

    splits = ("train", "val", "test")

    def __init__(self, split: str, of: gvt.Dataset, count: int) -> None:
        self.of, self.info, self.count = of, of.info, count

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        return self.of[index]


def of_two_kinds():
    """Whole digits of two classes, and scenes with boxes of all ten; their classes differ."""
    gvt.register("dataset", "few")(Few)
    digits = {"name": "mnist", "classes": [8, 3]}
    parts = {
        "digits": {"name": "few", "of": digits, "count": 16},
        "boxed": {**SMALL_SCENES, "targets": ["boxes", "labels"]},
    }
    heads = {
        "digit": {"name": "classifier", "learns_from": "digits"},
        "boxes": {**TINY_DETECTOR, "learns_from": "boxed"},
    }
    return recipe({"name": "mixed", "parts": parts, "shares": {"digits": 1, "boxed": 3}}, heads)


@pytest.mark.slow
def test_two_data_sets_with_different_labels_teach_one_backbone(tmp_path):
    run = gvt.run(of_two_kinds(), *FAST, f"run.root={tmp_path}", quiet=True)
    assert run.task.heads["digit"].layers[-1].out_features == 2
    assert {"test/digit/accuracy", "test/boxes/ap"} <= run.metrics.keys()
    assert {"test/boxes/ap_class/3", "test/digit/accuracy"} <= run.metrics.keys()
    # The classes of all parts: those of the first, then what others have besides.
    task = gvt.load(run.checkpoint)
    assert task.origin["data"]["classes"] == ["8", "3", *"01245679"]
    assert task.vocabularies["boxes"].numbers == (2, 3, 4, 1, 5, 6, 7, 8, 0, 9)
    batch = gvt.Batch.of_images(torch.rand(2, 1, 48, 48))
    said = task.predict(batch)[0]["digit"]
    assert said["scores"].shape == (10,)
    assert said["scores"][2:].sum() == 0
    # What is saved with another head of a part is loaded again.
    gvt.add_head(task, "again", "classifier", learns_from="digits", hidden=[4])
    kept = gvt.load(gvt.save(task, tmp_path / "three.safetensors"))
    assert kept.vocabularies["again"].classes == ("8", "3")
    same(kept.predict(batch), task.predict(batch))
    with pytest.raises(gvt.ConfigError, match=r"heads\.more: the parts of the data have other"):
        gvt.add_head(task, "more", "classifier")
    # Pictures of people's own are read with the channels that the parts have in common.
    Image.new("L", (60, 50)).save(tmp_path / "grey.png")
    (predicted,) = gvt.predict(run.checkpoint, tmp_path / "grey.png", "device=cpu")
    assert predicted.error == ""
    found = gvt.evaluate_checkpoint(run.folder)
    assert {k: v for k, v in found.metrics.items() if "digit" in k} == {
        k.removeprefix("test/"): v for k, v in run.metrics.items() if "test/" in k and "digit" in k
    }


@pytest.mark.slow
def test_mixed_data_resumes_with_the_same_bits(tmp_path, same_tensors):
    run = gvt.run(of_two_kinds(), *FAST, f"run.root={tmp_path}", quiet=True)
    final = run.checkpoint.rename(tmp_path / "undisturbed.safetensors")
    resumed = gvt.resume(run.checkpoint.with_name("step_00000002.safetensors"), quiet=True)
    same_tensors(final, resumed.checkpoint)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"learns_from": None},
            r"heads\.digit: .* learns_from=digits or boxed|heads\.digit\.learns",
        ),
        ({"learns_from": "digit"}, r"no part 'digit'; did you mean 'digits'"),
    ],
)
def test_a_head_has_to_say_which_part_it_learns_from(change, said, tmp_path):
    mixed = of_two_kinds()
    mixed["heads"]["digit"] = {k: v for k, v in {**mixed["heads"]["digit"], **change}.items() if v}
    with pytest.raises(gvt.ConfigError, match=said):
        gvt.run(mixed, *FAST, f"run.root={tmp_path}", quiet=True)


class Stripped:
    """Scenes of which every second picture lacks half of what is known of it."""

    splits = ("train", "val", "test")

    def __init__(self, split: str, of: gvt.Dataset) -> None:
        self.of, self.info = of, of.info

    def __len__(self):
        return len(self.of)

    def __getitem__(self, index):
        sample = self.of[index]
        kept = {0: {"class", "semantic"}, 2: {"boxes", "labels", "masks"}}.get(index % 4)
        targets = {k: v for k, v in sample.targets.items() if kept is None or k in kept}
        return replace(sample, targets=targets)


def stripped(**task):
    heads = {
        "label": {"name": "classifier"},
        "boxes": TINY_DETECTOR,
        "map": {"name": "fcn", "finest": 2},
    }
    return recipe({"name": "stripped", "of": SMALL_SCENES}, heads, **task)


@pytest.fixture
def stripping():
    gvt.register("dataset", "stripped")(Stripped)


@pytest.mark.slow
@pytest.mark.parametrize(
    "weighting", [pytest.param("fixed", marks=pytest.mark.slow), "uncertainty"]
)
def test_partial_labels_resume_with_the_same_bits(weighting, stripping, tmp_path, same_tensors):
    overrides = [*FAST, f"run.root={tmp_path}", f"task.weighting={weighting}"]
    run = gvt.run(stripped(), *overrides, quiet=True)
    final = run.checkpoint.rename(tmp_path / "undisturbed.safetensors")
    resumed = gvt.resume(run.checkpoint.with_name("step_00000002.safetensors"), quiet=True)
    same_tensors(final, resumed.checkpoint)
    learned = [n for n, _ in run.task.named_parameters() if n.startswith("weighting.log_variances")]
    assert len(learned) == (3 if weighting == "uncertainty" else 0)


def test_losses_are_means_over_the_samples_that_had_the_targets(stripping):
    """By hand: each head alone, on those four of eight pictures, and two more, that teach it."""
    torch.manual_seed(0)
    data = gvt.create("dataset", "stripped", split="train", of=SMALL_SCENES)
    backbone = gvt.create("backbone", "small_cnn", image_shape=(1, 48, 48), widths=[8, 8])
    facts = {"feature_info": backbone.feature_info, "num_classes": 10}
    label = gvt.create("head", "classifier", **facts)
    pixels = gvt.create("head", "fcn", **facts, background=True, finest=2)
    task = gvt.MultiHead(backbone, {"label": label, "map": pixels})
    placement = gvt.Placement.resolve("cpu", "float32")
    config = gvt.DataConfig(name="stripped", batch_size=8, workers=0, shuffle=False)
    loader = gvt.Loader(data, config, gvt.TrainConfig(steps=1), placement)
    batch = next(loader.groups())[0]
    found = task("supervised", batch, gvt.Step(0))
    taught = [0, 1, 3, 4, 5, 7]
    samples = [data[i] for i in taught]
    images = torch.stack([s.image for s in samples]).float() / 255
    features = backbone(images)
    of_class = torch.stack([s.targets["class"] for s in samples])
    by_hand = torch.nn.functional.cross_entropy(label(features, batch), of_class)
    torch.testing.assert_close(found["label/cross_entropy"], by_hand)
    logits = torch.nn.functional.interpolate(
        pixels.logits(features, gvt.Frame(((48, 48),), (48, 48))),
        (48, 48),
        mode="bilinear",
        align_corners=False,
    )
    of_pixels = torch.stack([s.targets["semantic"] for s in samples]).long()
    by_hand = torch.nn.functional.cross_entropy(logits, of_pixels)
    torch.testing.assert_close(found["map/cross_entropy"], by_hand)


@pytest.mark.slow
def test_an_added_head_learns_and_the_others_say_the_same_to_the_bit(tmp_path):
    heads = {"label": {"name": "classifier"}, "boxes": TINY_DETECTOR}
    before = recipe(SMALL_SCENES, heads)
    before["train"]["ema"] = {"decay": 0.5}
    run = gvt.run(before, *FAST, f"run.root={tmp_path}", quiet=True)
    trained = gvt.load(run.checkpoint)
    batch = gvt.Batch.of_images(torch.rand(3, 1, 48, 48))
    said = trained.predict(batch)

    # In a recipe ...
    added = {**before, "heads": {**heads, "map": {"name": "fcn", "finest": 2}}}
    added["init_from"] = str(run.checkpoint)
    frozen = dict.fromkeys(("backbone", "heads.label", "heads.boxes"), "never")
    added["train"] = {**before["train"], "unfreeze": frozen}
    later = gvt.run(added, *FAST, f"run.root={tmp_path}", quiet=True)
    same(gvt.load(later.checkpoint).predict(batch), said)

    # ... and in code, kept in a checkpoint that says what it is.
    task = gvt.load(run.checkpoint)
    gvt.add_head(task, "map", "fcn", finest=2, weight=0.5)
    untrained = task.heads["map"].scores[0].weight.detach().clone()
    settings = gvt.TrainConfig(steps=3, unfreeze=frozen)
    placement = gvt.Placement.resolve("cpu", "float32")
    data = gvt.create("dataset", split="train", **SMALL_SCENES)
    loader = gvt.Loader(data, gvt.DataConfig(name="scenes", batch_size=4), settings, placement)
    optimizers = {"model": gvt.OptimizerConfig(name="AdamW", lr=1e-2)}
    gvt.Trainer(task, loader, optimizers, settings, placement).fit()
    assert not torch.equal(task.heads["map"].scores[0].weight, untrained)
    kept = gvt.load(gvt.save(task, tmp_path / "kept" / "three_heads.safetensors"))
    assert kept.weights["map"] == 0.5
    task.eval().to(memory_format=torch.contiguous_format)  # which rounds otherwise
    same(kept.predict(batch), task.predict(batch))
    same(kept.predict(batch), said)

    kept.remove_head("map")
    kept.remove_head("boxes")
    alone = gvt.load(gvt.save(kept, tmp_path / "one_head.safetensors"))
    same(alone.predict(batch), [{"label": p["label"]} for p in said])


def same(predictions, before):
    """Check that every head of before says the same, bit by bit."""
    for now, then in zip(predictions, before, strict=True):
        for head, prediction in then.items():
            for key, value in prediction.items():
                assert torch.equal(now[head][key], value), (head, key)


def test_what_cannot_be_loaded_or_saved_is_one_line(tmp_path):
    run = gvt.run(
        recipe(SMALL_SCENES, {"label": {"name": "classifier"}}),
        *FAST,
        "train.steps=1",
        "evaluate.final=null",
        f"run.root={tmp_path}",
        quiet=True,
    )
    task = gvt.load(run.checkpoint)
    gvt.add_head(task, "of_three", "classifier", num_classes=3)
    loaded = gvt.load(gvt.save(task, tmp_path / "three.safetensors"))
    assert loaded.heads["of_three"].layers[-1].out_features == 3
    with pytest.raises(gvt.UsageError, match="is in the checkpoints folder of a run"):
        gvt.save(gvt.load(run.checkpoint), run.checkpoint)
    with pytest.raises(gvt.CheckpointError, match="cannot be written"):
        gvt.save(gvt.load(run.checkpoint), run.folder / "config.yaml" / "below.safetensors")
    broken = gvt.load(run.checkpoint)
    broken.heads["label"].layers[-1].bias.data[0] = float("nan")
    with pytest.raises(gvt.NonFiniteError):
        gvt.save(broken, tmp_path / "broken.safetensors")
    with pytest.raises(gvt.ConfigError, match=r"has no parameter 'widht'"):
        gvt.add_head(task, "wrong", "classifier", widht=3)
    assert "wrong" not in task.heads


def test_a_head_that_nothing_teaches_is_told_of(tmp_path):
    heads = {"label": {"name": "classifier"}, "map": {"name": "fcn", "finest": 2}}
    lacking = recipe({**SMALL_SCENES, "targets": ["class"]}, heads)
    with pytest.warns(UserWarning, match="head map learned nothing in a whole epoch: no sample"):
        gvt.run(lacking, *FAST, "evaluate.final=null", f"run.root={tmp_path}", quiet=True)
