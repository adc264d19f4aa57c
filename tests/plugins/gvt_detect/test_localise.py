"""Localisation: losses by hand, padding, the choice of the object, and learning."""

import math

import pytest
import torch
from torch.nn.functional import cross_entropy

import gvt
from gvt.loop.evaluation import evaluate
from gvt_author.testing.stand_ins import TinyBackbone
from gvt_detect.localise import Outputs

INFO = {"fine": (4, 8), "coarse": (8, 16)}


def head_of(info=None, **parameters):
    torch.manual_seed(0)
    known = {"feature_info": info or INFO, "num_classes": 3} | parameters
    return gvt.create("head", "localise", **known)


def batch_of(canvas, sizes=None):
    sizes = tuple(sizes or (canvas,) * 2)
    return gvt.Batch({"image": torch.zeros(len(sizes), 3, *canvas)}, gvt.Frame(sizes, canvas))


def features_of(canvas, count=2):
    torch.manual_seed(1)
    return {
        name: torch.rand(count, channels, *(math.ceil(side / stride) for side in canvas))
        for name, (channels, stride) in INFO.items()
    }


def targets_of(boxes, labels):
    tensors = [torch.tensor(of_image).float().view(-1, 4) for of_image in boxes]
    return gvt.Targets({}, {"boxes": tensors, "labels": [torch.tensor(i).long() for i in labels]})


# 100 x 200 pixels, and an object of shares (0.3, 0.5, 0.2, 0.4).
SIZE = (100, 200)
BOX = [40, 30, 80, 70]
LOGITS = torch.tensor([[2.0, 0, 0], [0, 1, 0]])
FOUND = torch.tensor([[0.35, 0.5, 0.4, 0.4], [0.9, 0.9, 0.1, 0.1]])


def outputs_of(logits=LOGITS, boxes=FOUND):
    return Outputs(logits.clone().requires_grad_(), boxes.clone().requires_grad_(), (SIZE,) * 2)


def test_losses_by_hand_and_their_linear_mix():
    # Smooth L1 up to 0.1: 0.05 is squared, 0.5 * 0.05 ** 2 / 0.1, and 0.2 gives 0.2 - 0.1 / 2.
    box = 0.0125 + 0.15
    classification = math.log(math.exp(2) + 2) - 2
    targets = targets_of([[BOX], []], [[0], []])
    for weight in (0, 0.25, 1):
        found = head_of(weight=weight).loss(outputs_of(), targets)
        assert found["classification"].item() == pytest.approx((1 - weight) * classification)
        assert found["box"].item() == pytest.approx(weight * box)
    halves = head_of().loss(outputs_of(), targets)
    assert sum(halves.values()).item() == pytest.approx((classification + box) / 2)


def test_giou_by_hand():
    # In pixels found is (30, 30, 110, 70), which holds the true box of half its area.
    found = head_of(box_loss="giou").loss(outputs_of(), targets_of([[BOX], []], [[0], []]))
    assert found["box"].item() == pytest.approx(0.5 * (1 - 0.5), rel=1e-5)


def test_an_image_without_objects_has_no_gradient():
    outputs = outputs_of()
    losses = head_of().loss(outputs, targets_of([[BOX], []], [[0], []]))
    sum(losses.values()).backward()
    assert outputs.logits.grad[0].any() and outputs.boxes.grad[0].any()
    assert not outputs.logits.grad[1].any() and not outputs.boxes.grad[1].any()


@pytest.mark.parametrize("box_loss", ["smooth_l1", "giou"])
def test_a_batch_without_an_object_has_no_losses(box_loss):
    head = head_of(box_loss=box_loss)
    outputs = head(features_of((64, 64)), batch_of((64, 64)))
    assert head.loss(outputs, targets_of([[], []], [[], []])) == {}


def test_batches_without_an_object_do_not_make_validation_losses_smaller():
    canvas = (64, 64)
    backbone = TinyBackbone((3, *canvas))
    task = gvt.MultiHead(backbone, {"object": head_of(backbone.feature_info)})
    records = [gvt.Record(str(row), canvas) for row in range(2)]
    given = [targets_of([BOX, BOX], [[0], [1]]), targets_of([[], []], [[], []])]
    images = torch.rand(2, 3, *canvas, generator=torch.Generator().manual_seed(0))
    frame = gvt.Frame((canvas,) * 2, canvas)
    batches = [gvt.Batch({"image": images}, frame, targets=of, records=records) for of in given]
    one, both = (evaluate(task, some).metrics for some in (batches[:1], batches))
    assert one["loss/box"] > 0 and one["loss/classification"] > 0
    assert one == both


def test_the_largest_object_is_learned():
    alone = head_of().loss(outputs_of(), targets_of([[BOX], [BOX]], [[0], [1]]))
    others = targets_of([[[0, 0, 9, 9], BOX], [BOX, [90, 0, 91, 90]]], [[2, 0], [1, 2]])
    assert head_of().loss(outputs_of(), others) == alone


def test_exact_outputs_are_decoded_to_the_true_box_in_the_image():
    sizes = (SIZE, (100, 160))
    exact = torch.tensor([[0.3, 0.5, 0.2, 0.4], [0.95, 0.5, 0.3, 1.0]])
    first, second = head_of().predict(Outputs(LOGITS, exact, sizes))
    torch.testing.assert_close(first["boxes"], torch.tensor([BOX]).float())
    # 128 to 176, and the image ends at 160 of the canvas's 200 pixels.
    torch.testing.assert_close(second["boxes"], torch.tensor([[128.0, 0, 160, 100]]))
    assert first["labels"].tolist() == [0] and second["labels"].tolist() == [1]
    likely = math.exp(2) / (math.exp(2) + 2)
    assert first["scores"].tolist() == pytest.approx([likely])


def test_under_autocast_boxes_are_float32():
    head, features, batch = head_of(hidden=(8,)), features_of((64, 1040)), batch_of((64, 1040))
    with torch.autocast("cpu", torch.bfloat16):
        outputs = head(features, batch)
        losses = head.loss(outputs, targets_of([[BOX], [BOX]], [[0], [1]]))
        predictions = head.predict(outputs)
    tensors = [outputs.logits, outputs.boxes, *losses.values(), predictions[0]["boxes"]]
    assert {tensor.dtype for tensor in tensors} == {torch.float32}
    assert not torch.equal(outputs.boxes, outputs.boxes.bfloat16().float())


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"weight": 1.5}, "weight"),
        ({"weight": -0.1}, "weight"),
        ({"grid": 0}, "grid"),
        ({"hidden": [0]}, "hidden"),
        ({"beta": 0}, "beta"),
        ({"box_loss": "l3"}, "box_loss"),
        ({"feature": "finest"}, "the backbone has fine, coarse"),
    ],
)
def test_invalid_parameters_are_one_line(wrong, message):
    with pytest.raises(gvt.ConfigError, match=message) as error:
        head_of(**wrong)
    assert "\n" not in str(error.value)


def test_it_learns_class_and_box(learn):
    canvas, source = (56, 64), torch.Generator().manual_seed(0)
    images, boxes, labels = torch.rand(6, 3, *canvas, generator=source) * 0.2, [], []
    for index, image in enumerate(images):
        x, y, side = (int(torch.randint(low, 28, (), generator=source)) for low in (0, 0, 12))
        image[index % 3, y : y + side, x : x + side] += 0.8
        boxes.append([[x, y, x + side, y + side]])
        labels.append([index % 3])
    targets = targets_of(boxes, labels)
    batch = gvt.Batch.of_images(images, targets=targets)
    backbone = TinyBackbone((3, *canvas), widths=(8, 16, 32))
    head = head_of(backbone.feature_info, grid=6, hidden=(64,), weight=0.8)
    task = gvt.MultiHead(backbone, {"object": head})
    learn(task, batch, steps=80, lr=5e-3)
    metric = task.metric()
    with torch.no_grad():
        metric.update(task.predict(batch), targets.per_image(6))
        outputs = head(backbone(images), batch)
    figures = metric.compute()
    assert figures["accuracy"] == figures["localised"] == 1 and figures["iou"] > 0.75
    assert cross_entropy(outputs.logits, torch.tensor(labels).flatten()) < 0.2
