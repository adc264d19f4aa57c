"""Checkpoints that cannot be merged, and the data of those that can."""

from types import SimpleNamespace

import pytest
import torch

import gvt
from gvt_multi.equal import check_same_settings, difference
from gvt_multi.mix import check_renumbered, mix_of
from gvt_multi.source import sources_of

pytestmark = pytest.mark.filterwarnings("ignore:data. .* no training sample")


def message_of(*checkpoints, error=gvt.UsageError, **more):
    with pytest.raises(error) as raised:
        gvt.merge([*checkpoints], **more)
    assert "\n" not in str(raised.value)
    return str(raised.value)


def changing(**settings):
    """Return a change of values in a document, by dotted paths with `__`."""

    def change(document, _):
        for path, value in settings.items():
            *sections, key = path.split("__")
            place = document
            for section in sections:
                place = place[section]
            place[key] = value

    return change


HINT = (
    "heads can only be merged on equal backbones: train them with init_from of one checkpoint, and "
    "train.unfreeze={backbone: never}"
)


@pytest.mark.parametrize(
    ("name", "amount", "shown"),
    [("stage2.0.weight", 0.25, "0.25"), ("stage1.1.running_var", 1, "1")],
)
def test_the_first_tensor_that_differs_is_named(single, edited, name, amount, shown):
    def moved(_, tensors):
        for key in [key for key in tensors if key.endswith(f"backbone.stages.{name}")]:
            tensors[key] = tensors[key] + amount

    other = edited(single["ink"], moved)
    assert message_of(single["label"], other) == (
        f"backbone.stages.{name}: differs by up to {shown} between {single['label']} and {other}; "
        f"{HINT}"
    )


def test_the_sign_of_a_zero_is_a_difference():
    one, two = torch.zeros(2), torch.tensor([0.0, -0.0])
    assert difference(one, one.clone(), "A", "B") == ""
    assert difference(one, two, "A", "B") == "differs by up to 0 between A and B"
    infinite = torch.tensor([torch.inf, 1])
    assert difference(infinite, infinite + 1, "A", "B") == "differs by up to 1 between A and B"
    assert difference(one, None, "A", "B") == "is only in the backbone of A"
    assert difference(one, one[None], "A", "B") == "its shape is [2] in A, and [1, 2] in B"
    assert difference(one, one.double(), "A", "B") == (
        "its dtype is torch.float32 in A, and torch.float64 in B"
    )


READER = {"channels": 1, "size": [32, 32], "fit": "crop"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"config__backbone__width": 8}, "backbone.width: 4 in {}, and 8 in {}"),
        ({"config__task__share": "stage2"}, "task.share: not set in {}, and stage2 in {}"),
        ({"config__backbone__name": "small_cnn"}, "backbone.name: unet_encoder in {}, and small_"),
        ({"data__image_shape": [1, 64, 64]}, "data.image_shape: [1, 32, 32] in {}, and [1, 64, 64"),
        ({"data__data_range": [-1.0, 1.0]}, "data.range: not set in {}, and [-1.0, 1.0] in {}"),
        ({"data__reader": READER}, "data.reader.channels: not set in {}, and 1 in {}"),
        ({"resolved__train__precision": "bfloat16"}, "train.precision: float32 in {}, and bfloat"),
        ({"resolved__train__compile": True}, "train.compile: False in {}, and True in {}"),
    ],
)
def test_a_setting_that_differs_is_named_with_both_values(single, edited, change, message):
    other = edited(single["ink"], changing(**change))
    assert message_of(single["label"], other).startswith(
        message.replace("{}", str(single["label"]), 1).replace("{}", str(other))
    )


def test_readers_are_compared_by_key(single, edited):
    one = edited(single["label"], changing(data__reader=READER))
    two = edited(single["ink"], changing(data__reader=READER | {"fit": "pad"}))
    assert message_of(one, two).startswith(f"data.reader.fit: crop in {one}, and pad in {two}; ")
    again = edited(single["ink"], changing(data__reader=READER))
    assert gvt.merge([one, again]).origin["data"]["reader"] == READER


def test_settings_of_predictions_that_differ_are_named(single, edited):
    one = edited(single["label"], changing(config__predict={"flips": True}))
    two = edited(single["ink"], changing(config__predict={"flips": False}))
    with pytest.warns(UserWarning, match="^predict.flips: True in .*, and False in ") as warned:
        task = gvt.merge([one, two])
    assert [str(warning.message).rpartition("; ")[2] for warning in warned] == [
        "the merged checkpoint has the former"
    ]
    assert task.origin["config"]["predict"]["flips"] is True


def test_weights_that_a_backbone_began_with_may_be_elsewhere(single, edited):
    def pretrained(file):
        backbone = {"name": "fpn", "channels": 4, "backbone": {"name": "timm", "weights": file}}
        return changing(config__backbone=backbone)

    one, two = (edited(single[n], pretrained(f"{n}.safetensors")) for n in ("label", "ink"))
    sources = sources_of([one, two], averaged=True)
    assert check_same_settings(*sources) is None
    (other,) = sources_of([one, edited(single["ink"], pretrained(None))], averaged=True)[1:]
    assert check_same_settings(sources[0], other) is None


def test_what_cannot_be_merged(single, edited, tmp_path):
    label, ink = single["label"], single["ink"]
    assert message_of(label) == "merge takes at least two checkpoints, not 1"
    assert message_of() == "merge takes at least two checkpoints, not 0"
    assert message_of(label, ink, f"x={label}") == f"{label} is given twice; give each one once"
    assert message_of(label, label.parents[1]) == f"{label} is given twice; give each one once"
    gan = edited(ink, changing(config__task={"name": "gan"}))
    assert message_of(label, gan) == (
        f"{gan}: its task is gan; only heads of the task heads can be merged"
    )
    coded = edited(ink, changing(config__backbone={"name": "(code)"}))
    assert message_of(coded, label).startswith(f"{coded}: backbone: was built in code, ")
    mine = edited(ink, changing(config__heads__ink={"name": "(code)"}))
    assert message_of(mine, label).startswith(f"{mine}: heads.ink: was built in code, ")
    apart = edited(ink, changing(config__task={"name": "heads", "apart": 2}))
    assert message_of(apart, label) == f"{apart}: task.apart is 2; it cannot be merged"
    assert message_of(label, gvt.open("classify.imagenet")).startswith("classify.imagenet is a ")
    assert message_of(label, tmp_path / "a", error=gvt.CheckpointError).startswith("no checkpoint")
    assert message_of(label, f"pool={tmp_path}").endswith("or has no checkpoint yet")
    assert (
        message_of(f"keys={label}", ink) == "a head cannot be called 'keys'; give it another name"
    )


def test_where_a_merged_checkpoint_cannot_be_saved(single, edited, tmp_path):
    label, ink = single["label"], edited(single["ink"], changing())
    before = ink.read_bytes()
    assert message_of(label, ink, out=ink) == f"{ink} is one of the checkpoints to merge"
    assert ink.read_bytes() == before
    run = label.parents[1]
    for out in (run / "merged.safetensors", run / "checkpoints" / "new" / "m.safetensors"):
        assert message_of(label, ink, out=out) == (
            f"{out} is inside of the run folder {run}; choose a path outside of it"
        )
        assert not out.exists()


def info_of(classes, **more):
    return gvt.DataInfo(classes, (1, 8, 8), **more).document()


def test_parts_of_mixed_data(single, edited):
    cats, dogs = info_of(["cat", "3"]), info_of(["dog"], samples=4)
    mixed = {**info_of(["cat", "3", "dog"]), "parts": {"cats": cats, "dogs": dogs}}
    one = edited(single["label"], changing(data=mixed, config__heads__label__learns_from="cats"))
    two = edited(single["ink"], changing(data=mixed, config__heads__ink__learns_from="dogs"))
    three = edited(single["boxes"], changing(data=info_of(["3", "4"])))

    same = mix_of(sources_of([one, two], averaged=True))
    assert (same.info.document(), same.learns_from) == (
        gvt.DataInfo.from_document(mixed).document(),
        {"label": "cats", "ink": "dogs"},
    )
    assert same.data.name == "scenes"
    mix = mix_of(sources_of([one, f"new={two}", three], averaged=True))
    assert mix.data.name == "(code)"  # the parts of scenes are not known
    assert mix.learns_from == {"label": "cats", "new": "new_dogs", "boxes": "boxes"}
    assert mix.info.classes == ("cat", "3", "dog", "4")
    assert mix.vocabularies["boxes"].numbers == (1, 3)
    assert mix.info.samples is None

    clash = edited(single["ink"], changing(data={**mixed, "parts": {"cats": dogs}}))
    clash = edited(clash, changing(config__heads__ink__learns_from="cats"))
    assert message_of_mix(one, clash) == (
        f"two parts of the data are called cats, the second in {clash}; name its heads: "
        f"NAME={clash}"
    )
    twice = edited(single["ink"], changing(data=info_of(["a", "a"])))
    assert message_of_mix(one, twice) == (
        "a is the name of 2 classes of ink, but classes are merged by name"
    )


def test_data_of_the_same_classes_is_one_data_set(single, edited):
    counts, digits = (2,) * 10, [*"0123456789"]
    few = info_of(digits, samples=4, class_counts=counts, fingerprint="one")
    many = info_of(digits, samples=8, fingerprint="two", background=True)
    one = edited(single["label"], changing(data=few))
    two = edited(single["ink"], changing(data=many))
    mix = mix_of(sources_of([one, two], averaged=True))
    assert (mix.learns_from, mix.info.parts) == ({}, {})
    assert (mix.info.samples, mix.info.fingerprint) == (None, None)
    assert (mix.info.class_counts, mix.info.background) == (counts, True)
    assert mix.data.name == "scenes"
    other = edited(single["ink"], changing(data=many, config__data__seed=1))
    assert mix_of(sources_of([one, other], averaged=True)).data.name == "(code)"
    # With other counts, the classifier, which may be weighted by them, needs those of its data.
    more = edited(single["boxes"], changing(data=info_of(digits, class_counts=(9,) * 10)))
    mix = mix_of(sources_of([one, two, more], averaged=True))
    assert {name: part.class_counts for name, part in mix.info.parts.items()} == {
        "label": counts,
        "ink": None,
        "boxes": (9,) * 10,
    }


def message_of_mix(*checkpoints):
    with pytest.raises(gvt.UsageError) as raised:
        mix_of(sources_of(checkpoints, averaged=True))
    return str(raised.value)


@pytest.mark.parametrize(
    ("predicts", "classes", "message"),
    [
        (("masks", "labels", "scores"), 3, "gives each pixel several labels"),
        (("semantic", "scores"), 256, "gives each pixel a class, and there are 258 classes in all"),
    ],
)
def test_pixels_that_cannot_have_the_classes_of_all_parts(
    single, edited, predicts, classes, message
):
    many = info_of([f"c{i}" for i in range(classes)])
    one = edited(single["ink"], changing(data=info_of(["a"], background=True)))
    two = edited(single["boxes"], changing(data=many))
    sources = sources_of([one, two], averaged=True)
    mix = mix_of(sources)
    head = SimpleNamespace(predicts=predicts)
    others = SimpleNamespace(predicts=("boxes", "labels", "scores", "masks"))
    for source, fake in zip(sources, (head, others), strict=True):
        source.task = SimpleNamespace(heads=dict.fromkeys(("ink", "boxes"), fake))
    with pytest.raises(gvt.UsageError, match=message):
        check_renumbered(mix, sources)
    sources[0].task = sources[1].task
    assert check_renumbered(mix, sources) is None
