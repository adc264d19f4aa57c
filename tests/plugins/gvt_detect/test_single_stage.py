"""FCOS and SSD: empty images, precision, and learning."""

import math

import pytest
import torch
from torch import nn

import gvt
from gvt_author.testing.stand_ins import TinyBackbone

PYRAMID = {"p2": (16, 4), "p3": (16, 8), "p4": (16, 16), "p5": (16, 32)}
EMPTY = ([torch.zeros(0, 4)] * 2, [torch.zeros(0, dtype=torch.int64)] * 2)


@pytest.fixture(params=["fcos", "ssd"])
def name(request):
    return request.param


def head_of(name, **parameters):
    """Return a head whose initial weights distinguish positions, like trained ones."""
    torch.manual_seed(0)
    known = {"feature_info": PYRAMID, "num_classes": 3, "score_threshold": 0.05} | parameters
    head = gvt.create("head", name, **known)
    for layer in last_layers(head):
        nn.init.normal_(layer.weight, std=0.1)
    if name == "fcos":
        nn.init.constant_(head.head["regression_head"].bbox_reg.bias, 2.0)
    return head


def last_layers(head):
    """Return the layers whose outputs are logits and boxes."""
    if isinstance(head.head, nn.ModuleDict):
        classes, boxes = head.head["classification_head"], head.head["regression_head"]
        return [classes.cls_logits, boxes.bbox_reg, boxes.bbox_ctrness]
    return [*head.head.classification_head.module_list, *head.head.regression_head.module_list]


def features_of(canvas, count=2):
    """Return random maps."""
    torch.manual_seed(1)
    return {
        name: torch.rand(count, channels, *(math.ceil(side / stride) for side in canvas))
        for name, (channels, stride) in PYRAMID.items()
    }


def batch_of(canvas, sizes=None, boxes=None, labels=None):
    sizes = tuple(sizes or (canvas,) * 2)
    if boxes is None:
        boxes = [torch.tensor([[8.0, 10, 70, 60], [3, 20, 20, 50]])] * len(sizes)
        labels = [torch.tensor([0, 2])] * len(sizes)
    targets = gvt.Targets({}, {"boxes": boxes, "labels": labels})
    return gvt.Batch(
        {"image": torch.zeros(len(sizes), 3, *canvas)}, gvt.Frame(sizes, canvas), targets=targets
    )


def test_a_batch_without_objects_trains(name):
    head, batch = head_of(name), batch_of((64, 64), None, *EMPTY)
    losses = head.loss(head(features_of((64, 64)), batch), batch.targets)
    assert losses["box"].item() == 0 < losses["classification"].item() < math.inf
    sum(losses.values()).backward()
    assert all(p.grad.isfinite().all() for p in head.parameters())
    assert last_layers(head)[0].weight.grad.any()


def test_one_pixel_is_an_image_too(name):
    batch = batch_of((64, 64), [(1, 1)], [torch.tensor([[0.0, 0, 1, 1]])], [torch.tensor([1])])
    head = head_of(name, score_threshold=0.0)
    outputs = head(features_of((64, 64), 1), batch)
    assert outputs.inside.any()
    assert all(loss.isfinite() for loss in head.loss(outputs, batch.targets).values())
    found = head.predict(outputs)[0]["boxes"]
    assert len(found) and (found <= 1).all()


def test_maps_with_a_margin_are_refused(name):
    with pytest.raises(gvt.ConfigError, match="20x20 cells for an image of 64x64"):
        head_of(name)(features_of((160, 160)), batch_of((64, 64)))


def test_boxes_are_computed_in_float32_under_autocast(name):
    canvas = (64, 1040)
    head, features, batch = head_of(name), features_of(canvas), batch_of(canvas)
    exact = head(features, batch)
    with torch.autocast("cpu", torch.bfloat16):
        outputs = head({n: of_map.bfloat16() for n, of_map in features.items()}, batch)
        losses, found = head.loss(outputs, batch.targets), head.predict(outputs)
    where = "places" if name == "fcos" else "boxes"
    torch.testing.assert_close(getattr(outputs, where), getattr(exact, where), rtol=0, atol=0)
    tensors = [outputs.logits, outputs.deltas, *losses.values(), *(p["boxes"] for p in found)]
    assert {t.dtype for t in tensors} == {torch.float32}
    # They are no bfloat16 numbers that were merely widened.
    for values in tensors[:2]:
        assert not torch.equal(values, values.bfloat16().float())


def test_forward_ignores_targets_and_runs_each_layer_once(name):
    head, calls = head_of(name), []
    for layer in set(last_layers(head)):
        layer.register_forward_hook(lambda *_: calls.append(1))
    batch = batch_of((64, 64))
    outputs = head(features_of((64, 64)), gvt.Batch({"image": batch.images}, batch.frame))
    before = len(calls)
    head.loss(outputs, batch.targets)
    head.predict(outputs)
    # Two or three layers on each of three maps, or two on each of five.
    assert len(calls) == before == {"fcos": 9, "ssd": 10}[name]


def test_weights_multiply_losses(name):
    batch, features = batch_of((64, 64)), features_of((64, 64))
    plain, weighted = (
        head.loss(head(features, batch), batch.targets)
        for head in (head_of(name), head_of(name, weights={"box": 3.0, "classification": 0.5}))
    )
    factors = {"box": 3, "classification": 0.5}
    wanted = {key: factors.get(key, 1) * loss for key, loss in plain.items()}
    torch.testing.assert_close(weighted, wanted)


def colourful():
    """Return four images with squares whose colour is their class; the last one has none."""
    canvas = (64, 96)
    torch.manual_seed(0)
    boxes = [
        torch.tensor([[8.0, 12, 40, 44], [56, 20, 88, 52]]),
        torch.tensor([[30.0, 6, 62, 38]]),
        torch.tensor([[2.0, 2, 26, 26], [40, 30, 64, 54], [70, 4, 94, 28]]),
        torch.zeros(0, 4),
    ]
    labels = [torch.tensor(of_image) for of_image in ([0, 2], [2], [1, 0, 1])] + EMPTY[1][:1]
    images = torch.rand(4, 3, *canvas) * 0.2
    for image, of_boxes, of_labels in zip(images, boxes, labels, strict=True):
        for (x1, y1, x2, y2), label in zip(of_boxes.long().tolist(), of_labels, strict=True):
            image[label, y1:y2, x1:x2] += 0.8
    targets = gvt.Targets({}, {"boxes": boxes, "labels": labels})
    return gvt.Batch.of_images(images, targets=targets)


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("fcos", {"maps": ["stage3"], "layers": 1}),
        ("ssd", {"maps": ["stage3"], "extra": 1, "extra_channels": 32, "sizes": [24, 32, 64]}),
    ],
)
def test_it_learns_classes_and_boxes(name, parameters, learn):
    batch = colourful()
    torch.manual_seed(0)
    backbone = TinyBackbone((3, 64, 96), widths=(16, 32, 48))
    info = backbone.feature_info
    head = gvt.create("head", name, feature_info=info, num_classes=3, **parameters)
    task = gvt.MultiHead(backbone, {"boxes": head})
    learn(task, batch, steps=60, lr=3e-3)
    metric = task.metric()
    with torch.no_grad():
        metric.update(task.predict(batch), batch.targets.per_image(4))
    found = metric.compute()
    assert found["ap50"] > 0.95 and found["ap"] > 0.6
