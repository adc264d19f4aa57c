"""Segmentation heads: what they share, on several backbones."""

import pytest
import torch
import torch.nn.functional as F

import gvt
from gvt.seeding import seed_everything
from gvt_author.testing.stand_ins import TinyBackbone

HEADS = {
    "unet": {},
    "unet up transpose": {"up": "transpose", "norm": "none"},
    "unet up nearest": {"up": "nearest"},
    "fpn": {"channels": 8, "width": 8},
    "deeplab": {"width": 8},
    "deeplab 8": {"width": 8, "output_stride": 8},
    "fcn": {},
}
BACKBONES = {
    "tiny": TinyBackbone,
    "small_cnn": lambda shape: gvt.create(
        "backbone", "small_cnn", image_shape=shape, widths=[4, 6, 8]
    ),
    "unet_encoder": lambda shape: gvt.create(
        "backbone", "unet_encoder", image_shape=shape, width=4
    ),
    "one map": lambda shape: gvt.create(
        "backbone", "unet_encoder", image_shape=shape, width=4, depth=0
    ),
    "resnet18": lambda shape: gvt.create("backbone", "timm", model="resnet18", image_shape=shape),
}
SIZES = [(64, 64), (37, 51), (33, 90)]
MODES = {"multiclass": (3, True), "binary": (2, False), "multilabel": (3, True)}
IGNORED = 255


def head_of(name, info, **parameters):
    known = {"feature_info": info, "num_classes": 3} | HEADS.get(name, {}) | parameters
    return gvt.create("head", name.split()[0], **known)


def batch_of(size, mode="multiclass", count=2, channels=4):
    """Return a batch whose second image is smaller than the canvas."""
    height, width = size
    sizes = ((height, width), (height - 5, width - 3))[:count]
    semantic = torch.randint(channels, (count, *size))
    masks = [torch.randint(2, (3, *size)) for _ in range(count)]
    images = torch.rand(count, 3, *size)
    for row, (h, w) in enumerate(sizes):
        for x in (semantic[row], *masks[row]):
            x[h:], x[:, w:] = IGNORED, IGNORED
        images[row, :, h:], images[row, :, :, w:] = 0, 0
    masks = [m.where(m != IGNORED, 0) for m in masks]
    if mode == "multilabel":
        targets = gvt.Targets({}, {"masks": masks, "labels": [torch.tensor([0, 2, 2])] * count})
    else:
        targets = gvt.Targets({"semantic": semantic})
    return gvt.Batch({"image": images}, gvt.Frame(sizes, size), targets=targets)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("backbone", BACKBONES)
@pytest.mark.parametrize("name", HEADS)
def test_every_head_fits_every_backbone_and_size(name, backbone, size):
    seed_everything(0)
    below = BACKBONES[backbone]((3, *size))
    head = head_of(name, below.feature_info, background=True)
    batch = batch_of(size)
    outputs = head(below(batch.images), batch)
    assert outputs["logits"].shape == (2, 4, *size)
    losses = head.loss(outputs, batch.targets)
    assert list(losses) == ["cross_entropy"]
    losses["cross_entropy"].backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in head.parameters())
    for prediction in head.predict(outputs):
        assert prediction["semantic"].shape == size
        assert prediction["semantic"].dtype == torch.int64
        torch.testing.assert_close(prediction["scores"].sum(0), torch.ones(size))
        assert torch.equal(prediction["semantic"], prediction["scores"].argmax(0))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", ["unet", "fpn", "deeplab", "fcn"])
def test_every_head_has_every_mode(name, mode):
    classes, background = MODES[mode]
    below = TinyBackbone((3, 37, 51))
    head = head_of(name, below.feature_info, num_classes=classes, background=background, mode=mode)
    batch = batch_of((37, 51), mode, channels=2)
    task = gvt.MultiHead(below, {"mask": head})
    found = task("supervised", batch, gvt.Step(0))
    sum(found.values()).backward()
    assert all(loss.isfinite() for loss in found.values())
    predictions = task.predict(batch)
    truths = batch.targets.per_image(2)
    metric = task.metric()
    metric.update(predictions, truths)
    assert 0 <= metric.compute()["mean_iou"] <= 1
    assert task.errors(predictions, truths)["mask"].shape == (2,)
    for prediction in (of_heads["mask"] for of_heads in predictions):
        again = head.decide(prediction["scores"])
        assert again.keys() == prediction.keys()
        assert all(torch.equal(again[key], prediction[key]) for key in again)


@pytest.mark.parametrize(("classes", "background", "foreground"), [(2, False, 1), (1, True, 0)])
def test_the_single_logit_is_that_of_the_foreground(classes, background, foreground):
    head = head_of("fcn", {"a": (1, 1)}, num_classes=classes, background=background, mode="binary")
    logits = torch.tensor([[[[4.0, -2.0, 1.0]]]])
    semantic = torch.tensor([[[foreground, 1 - foreground, IGNORED]]])
    [prediction] = head.predict({"logits": logits})
    assert prediction["scores"].shape == (2, 1, 3)
    torch.testing.assert_close(prediction["scores"][foreground], logits[0, 0].sigmoid())
    assert torch.equal(prediction["semantic"][0, :2], semantic[0, 0, :2])
    loss = head.loss({"logits": logits}, gvt.Targets({"semantic": semantic}))
    expected = F.binary_cross_entropy_with_logits(logits[0, 0, 0, :2], torch.tensor([1.0, 0.0]))
    torch.testing.assert_close(loss["cross_entropy"], expected)


def test_several_losses_are_weighted_and_named():
    head = head_of(
        "fcn",
        {"a": (4, 1)},
        losses={"ce": "cross_entropy", "overlap": {"name": "dice", "smooth": 2.0}},
        weights={"overlap": 0.25},
    )
    logits, semantic = torch.randn(2, 3, 4, 4), torch.randint(3, (2, 4, 4))
    found = head.loss({"logits": logits}, gvt.Targets({"semantic": semantic}))
    dice = gvt.create("loss", "dice", smooth=2.0)(logits, semantic)
    assert found.keys() == {"ce", "overlap"}
    torch.testing.assert_close(found["ce"], F.cross_entropy(logits, semantic))
    torch.testing.assert_close(found["overlap"], 0.25 * dice)


def test_a_loss_of_torch_by_name():
    torchs = {"name": "CrossEntropyLoss", "ignore_index": IGNORED}
    logits, semantic = torch.randn(1, 3, 4, 4), torch.randint(3, (1, 4, 4))
    semantic[0, 0] = IGNORED
    outputs, targets = {"logits": logits}, gvt.Targets({"semantic": semantic})
    theirs = head_of("fcn", {"a": (4, 1)}, losses={"loss": torchs}).loss(outputs, targets)
    ours = head_of("fcn", {"a": (4, 1)}).loss(outputs, targets)
    torch.testing.assert_close(theirs["loss"], ours["cross_entropy"])


def test_class_weights_move_with_the_head():
    weighted = {"name": "cross_entropy", "class_weights": [1.0, 2.0, 3.0]}
    head = head_of("fcn", {"a": (4, 1)}, losses={"ce": weighted}).to("meta")
    assert head.losses["ce"].class_weights.device.type == "meta"
    assert not any("class_weights" in name for name in head.state_dict())


def test_the_error_of_an_image_is_one_minus_its_mean_iou():
    head = head_of("fcn", {"a": (4, 1)})
    said = [{"semantic": torch.tensor([[0, 0, 1, 1]])}, {"semantic": torch.tensor([[2, 2, 2, 2]])}]
    truth = [
        {"semantic": torch.tensor([[0, 1, 1, IGNORED]])},
        {"semantic": torch.full((1, 4), IGNORED)},
    ]
    torch.testing.assert_close(head.errors(said, truth), torch.tensor([0.5, 0.0]))


def test_a_pyramids_maps_are_used_as_they_are():
    info = {"a": (16, 4), "b": (16, 8), "c": (16, 16)}
    assert head_of("fpn", info).pyramid is None
    assert head_of("fpn", {"a": (16, 4), "b": (32, 8)}).pyramid is not None


@pytest.mark.parametrize(
    ("info", "stride", "high", "low"),
    [
        ({"a": (4, 2), "b": (4, 4), "c": (4, 8), "d": (4, 16), "e": (4, 32)}, 16, "d", "b"),
        ({"a": (4, 2), "b": (4, 4), "c": (4, 8), "d": (4, 16), "e": (4, 32)}, 8, "c", "b"),
        # A backbone that dilates has its deepest maps at the same stride.
        ({"b": (4, 4), "c": (4, 8), "d": (4, 8), "e": (4, 8)}, 8, "e", "b"),
        ({"a": (4, 1), "b": (4, 2)}, 16, "b", "a"),
        ({"a": (4, 16), "b": (4, 16)}, 8, "a", None),
    ],
)
def test_deeplab_pools_the_map_of_its_output_stride(info, stride, high, low):
    head = head_of("deeplab", info, output_stride=stride)
    assert (head.high, head.low) == (high, low)


@pytest.mark.parametrize(("stride", "rates"), [(16, [6, 12, 18]), (8, [12, 24, 36])])
def test_deeplab_has_the_papers_rates(stride, rates):
    head = head_of("deeplab", {"a": (4, 4), "b": (8, stride)}, output_stride=stride)
    depthwise = [m for m in head.pooling.modules() if getattr(m, "groups", 1) > 1]
    assert [m.dilation for m in depthwise] == [(rate, rate) for rate in rates]


@pytest.mark.parametrize(
    ("parameters", "says"),
    [
        ({"mode": "binary"}, "binary needs two classes.*there are 3"),
        ({"num_classes": 1}, "multiclass needs two classes"),
        ({"losses": {}}, "losses is empty"),
        ({"losses": {"a": "dise"}}, "losses: .*dise"),
        ({"weights": {"b": 1.0}}, r"weights for \['b'\]"),
        ({"widths": [4]}, "widths: has 1; .*need 2 to 4"),
    ],
)
def test_invalid_parameters_are_one_line(parameters, says):
    info = {"a": (4, 4), "b": (8, 8), "c": (8, 16)}
    with pytest.raises(gvt.ConfigError, match=says) as caught:
        head_of("unet", info, **parameters)
    assert "\n" not in str(caught.value)


LITE0 = {"a": (16, 2), "b": (24, 4), "c": (40, 8), "d": (112, 16), "e": (320, 32)}


@pytest.mark.parametrize(
    ("info", "num_classes", "old", "widths"),
    [
        (LITE0, 11, [112, 40, 24, 16, 8], [256, 128, 64, 32, 16]),
        (LITE0, 40, [112, 40, 24, 16, 8], [256, 128, 64, 40, 40]),
        (LITE0, 200, [112, 40, 24, 16, 8], [256, 128, 64, 64, 64]),
        ({"a": (64, 2), "b": (1024, 16)}, 3, [64, 32], [64, 32]),
        ({"a": (192, 16)}, 3, [96, 48, 24, 12], [128, 64, 32, 16]),
        ({"a": (16, 14)}, 3, [8, 4, 2, 1], [112, 56, 28, 14]),
        ({"a": (8, 1), "b": (16, 2)}, 3, [8], [16]),
        ({"a": (64, 1), "b": (128, 2)}, 3, [64], [64]),
        ({"a": (8, 1)}, 3, [], []),
    ],
)
def test_a_unet_is_wide_enough_for_its_classes_on_any_backbone(info, num_classes, old, widths):
    def widths_of(**parameters):
        head = head_of("unet", info, num_classes=num_classes, **parameters)
        return [step.convs[0].out_channels for step in head.steps]

    assert widths_of() == widths_of(widths="auto") == widths
    assert widths_of(widths=None) == old


@pytest.mark.parametrize("name", ["unet", "fpn", "deeplab", "fcn"])
def test_it_learns(name):
    """Bright squares on a dark ground, tested at other positions."""
    seed_everything(0)
    below = gvt.create("backbone", "unet_encoder", image_channels=1, width=8, depth=3)
    parameters = {"finest": 1} if name in ("fpn", "fcn") else {}
    head = head_of(name, below.feature_info, num_classes=2, **parameters)
    task = gvt.MultiHead(below, {"mask": head})
    optimizer = torch.optim.AdamW(task.parameters(), lr=1e-2)

    def batch(count):
        semantic = torch.zeros(count, 32, 32, dtype=torch.int64)
        for row, (top, left) in enumerate(torch.randint(0, 20, (count, 2)).tolist()):
            semantic[row, top : top + 12, left : left + 12] = 1
        images = semantic[:, None] * 0.5 + torch.rand(count, 1, 32, 32) * 0.5
        targets = gvt.Targets({"semantic": semantic})
        return gvt.Batch.of_images(images, targets=targets)

    for index in range(40):
        optimizer.zero_grad()
        sum(task("supervised", batch(8), gvt.Step(index)).values()).backward()
        optimizer.step()
    held_out = batch(8)
    held_out = gvt.Batch(
        {"image": held_out.images},
        held_out.frame,
        targets=held_out.targets,
        records=[gvt.Record("square", (32, 32))] * 8,
    )
    found = gvt.evaluate(task, [held_out], classes=["dark", "bright"]).metrics
    assert found["mean_iou"] > 0.8  # deeplab draws at stride 4
    assert found["iou/bright"] > 0.75


@pytest.mark.parametrize("mode", MODES)
def test_the_deployed_form_decides_like_a_prediction(mode):
    count, background = MODES[mode]
    backbone = TinyBackbone((3, 32, 32))
    head = head_of(
        "fcn", backbone.feature_info, num_classes=count, background=background, mode=mode
    )
    task = gvt.MultiHead(backbone, {"head": head}).eval()
    form = task.deployed()
    assert list(form.outputs) == [*head.needs, "scores"]
    images = torch.rand(3, 3, 37, 50)
    with torch.no_grad():
        tensors = dict(zip(form.outputs, form.module(images), strict=True))
        predictions = task.predict(gvt.Batch.of_images(images))
    for row, prediction in enumerate(predictions):
        assert prediction["head"].keys() == tensors.keys()
        for key, value in prediction["head"].items():
            torch.testing.assert_close(tensors[key][row], value)
