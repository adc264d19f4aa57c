"""FCOS and SSD: padding, empty images, precision, and that they learn."""

import math

import pytest
import torch
from torch import nn

import gvt
from gvt_author.testing.stand_ins import TinyBackbone
from gvt_detect.places import of_truth

PYRAMID = {"p2": (16, 4), "p3": (16, 8), "p4": (16, 16), "p5": (16, 32)}
EMPTY = ([torch.zeros(0, 4)] * 2, [torch.zeros(0, dtype=torch.int64)] * 2)


@pytest.fixture(params=["fcos", "ssd"])
def name(request):
    return request.param


def head_of(name, **parameters):
    """Return a head whose new weights tell places apart, as trained ones do."""
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


def features_of(canvas, count=2, sizes=()):
    """Return random maps, which are 0 where an image is padding."""
    torch.manual_seed(1)
    found = {
        name: torch.rand(count, channels, *(math.ceil(side / stride) for side in canvas))
        for name, (channels, stride) in PYRAMID.items()
    }
    for row, size in enumerate(sizes):
        for name, of_map in found.items():
            height, width = (math.ceil(side / PYRAMID[name][1]) for side in size)
            of_map[row, :, height:] = 0
            of_map[row, :, :, width:] = 0
    return found


def cut(features, size):
    """Return maps without what is beyond an image's size."""
    cells = {n: [math.ceil(side / PYRAMID[n][1]) for side in size] for n in features}
    return {n: of_map[..., : cells[n][0], : cells[n][1]] for n, of_map in features.items()}


def batch_of(canvas, sizes=None, boxes=None, labels=None):
    sizes = tuple(sizes or (canvas,) * 2)
    if boxes is None:
        boxes = [torch.tensor([[8.0, 10, 70, 60], [3, 20, 20, 50]])] * len(sizes)
        labels = [torch.tensor([0, 2])] * len(sizes)
    targets = gvt.Targets({}, {"boxes": boxes, "labels": labels})
    return gvt.Batch(torch.zeros(len(sizes), 3, *canvas), gvt.Frame(sizes, canvas), targets=targets)


def loud(outputs):
    """Return outputs that are no numbers in the padding, and as they are elsewhere."""
    changed = {}
    for name in {"logits", "deltas", "centerness"} & set(outputs._fields):
        value = getattr(outputs, name)
        there = outputs.inside if value.ndim == 2 else outputs.inside[..., None]
        changed[name] = value.where(there, torch.nan)
    return outputs._replace(**changed)


@pytest.mark.parametrize(
    ("name", "parameters"),
    [("fcos", {"layers": 0}), ("fcos", {"layers": 2}), ("ssd", {"extra": 0})],
)
def test_losses_and_predictions_are_those_without_padding(name, parameters):
    size, canvas = (70, 101), (128, 192)
    head = head_of(name, **parameters)  # SSD's further layers carry their bias into the padding
    padded, found = features_of(canvas, 1, [size]), []
    alone = cut(padded, size)
    for features, of_batch in ((padded, canvas), (alone, size)):
        batch = batch_of(of_batch, [size])
        outputs = head(features, batch)
        found.append((head.loss(outputs, batch.targets), head.predict(outputs)))
    assert len(found[0][1][0]["scores"]) > 20
    torch.testing.assert_close(found[0], found[1], rtol=1e-4, atol=1e-4)


def test_batch_mates_change_nothing_about_an_image_in_fcos():
    sizes, canvas = ((70, 101), (128, 192)), (128, 192)
    head, features = head_of("fcos", layers=2), features_of(canvas)  # the padding is no zeros
    batch = batch_of(canvas, sizes)
    outputs = head(features, batch)
    together, losses = head.predict(outputs), head.loss(outputs, batch.targets)
    assert outputs.logits.isfinite().all() and outputs.deltas.isfinite().all()
    alone, objects = [], []
    for row, size in enumerate(sizes):
        of_one = {name: of_map[[row]] for name, of_map in features.items()}
        own = batch_of(size, [size])
        found = head(cut(of_one, size), own)
        (prediction,) = head.predict(found)
        assert len(prediction["scores"]) > 20
        torch.testing.assert_close(together[row], prediction, rtol=1e-4, atol=1e-4)
        places = of_truth(found.places, own.targets["boxes"][0], head.radius) >= 0
        objects.append(int(places.sum()))
        alone.append(head.loss(found, own.targets))
    # Each is the mean over the places that find an object.
    wanted = {
        name: sum(n * of[name] for n, of in zip(objects, alone, strict=True)) / sum(objects)
        for name in losses
    }
    torch.testing.assert_close(losses, wanted, rtol=1e-4, atol=1e-4)


def test_what_the_padding_says_counts_nowhere(name):
    canvas, sizes = (128, 256), ((128, 256), (70, 101))
    head, batch = head_of(name), batch_of(canvas, sizes)
    outputs = head(features_of(canvas), batch)
    assert outputs.inside[0].all() and not outputs.inside[1].all()
    noisy, found = loud(outputs), head.predict(outputs)
    assert noisy.logits.isnan().any()
    # The empty image has its negatives from within, too.
    for targets in (batch.targets, batch_of(canvas, sizes, *EMPTY).targets):
        losses = [head.loss(given, targets) for given in (noisy, outputs)]
        torch.testing.assert_close(*losses, rtol=0, atol=0)
    torch.testing.assert_close(head.predict(noisy), found, rtol=0, atol=0)
    for of_image, (height, width) in zip(found, sizes, strict=True):
        assert len(of_image["boxes"]) and (of_image["boxes"] >= 0).all()
        assert (of_image["boxes"] <= torch.tensor([width, height] * 2)).all()


def test_a_batch_without_a_single_object_trains(name):
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


def test_maps_that_show_a_margin_are_refused(name):
    with pytest.raises(gvt.ConfigError, match="20x20 cells for a picture of 64x64"):
        head_of(name)(features_of((160, 160)), batch_of((64, 64)))


def test_under_autocast_all_about_boxes_is_float32(name):
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


def test_forward_never_looks_at_targets_and_runs_no_layer_twice(name):
    head, calls = head_of(name), []
    for layer in set(last_layers(head)):
        layer.register_forward_hook(lambda *_: calls.append(1))
    batch = batch_of((64, 64))
    outputs = head(features_of((64, 64)), gvt.Batch(batch.images, batch.frame))
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
    """Return four pictures with squares whose colour is their class; the last one has none."""
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
    return gvt.Batch(images, gvt.Frame((canvas,) * 4, canvas), targets=targets)


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("fcos", {"maps": ["stage3"], "layers": 1}),
        ("ssd", {"maps": ["stage3"], "extra": 1, "extra_channels": 32, "sizes": [24, 32, 64]}),
    ],
)
def test_it_learns_where_things_are_and_what_they_are(name, parameters, learn):
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
