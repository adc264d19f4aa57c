"""YOLO, version 1: outputs, losses by hand, padding, shared cells, and learning."""

import math

import pytest
import torch

import gvt
from gvt_author.testing.stand_ins import TinyBackbone
from gvt_detect.detections import Selection
from gvt_detect.yolo_grid import Outputs

INFO = {"fine": (4, 8), "coarse": (8, 16)}
SIZE = (100, 200)
"""Size of the images in tests by hand; a grid of 2 x 2 has cells of 50 x 100 pixels."""

BOX = [15, 17, 65, 53]
"""Its centre is (40, 35), in the first cell at (0.4, 0.7); its sides are 0.25 and 0.36 of SIZE."""

EXACT = [0.4, 0.7, 0.5, 0.6]


def head_of(info=None, **parameters):
    torch.manual_seed(0)
    known = {"feature_info": info or INFO, "num_classes": 2} | parameters
    return gvt.create("head", "yolo_grid", **known)


def by_hand(**parameters):
    return head_of(grid=2, **parameters)


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


def outputs_of(first, images=1, confidence=0.1):
    """Return outputs with a first cell (12,), and no objects in the others."""
    cells = torch.zeros(images, 2, 2, 12)
    cells[..., [4, 9]] = confidence
    cells[..., 10:] = 9.0  # classes count only where there is an object
    cells[0, 0, 0] = torch.tensor(first)
    return Outputs(cells.requires_grad_(), (SIZE,) * images)


# Of the true box's centre, as wide and half as high in roots: an IoU of 0.09 / 0.36 = 0.25.
FAR = [0.4, 0.7, 0.5, 0.3, 0.3]
# As high and 0.4 instead of 0.5 in width: 0.16 / 0.25 = 0.64, so that this one is responsible.
NEAR = [0.4, 0.7, 0.4, 0.6, 0.9]


# --- outputs ---------------------------------------------------------------------------------


@pytest.mark.parametrize("hidden", [(), (5,), (6, 5)])
@pytest.mark.parametrize(("grid", "boxes", "classes"), [(7, 2, 20), (3, 1, 2)])
def test_outputs_are_as_many_as_in_the_paper(hidden, grid, boxes, classes):
    head = head_of(num_classes=classes, grid=grid, boxes=boxes, hidden=hidden)
    cells = head(features_of((112, 112)), batch_of((112, 112))).cells
    assert cells.shape == (2, grid, grid, boxes * 5 + classes)
    assert cells[0].numel() == grid * grid * (boxes * 5 + classes)
    if hidden:
        assert head.last.out_features == cells[0].numel()


def test_the_default_is_a_grid_of_seven_with_two_boxes():
    outputs = head_of(num_classes=20)(features_of((112, 112)), batch_of((112, 112)))
    assert outputs.cells[0].numel() == 1470


def test_each_cell_sees_its_own_part_of_the_image():
    head = head_of(grid=4)
    features = {"coarse": torch.zeros(1, 8, 4, 4)}
    features["coarse"][0, :, 1, 3] = 1
    with torch.no_grad():
        cells = head(features, batch_of((64, 64), [(64, 64)])).cells[0]
    changed = (cells != cells[0, 0]).any(dim=-1)
    assert changed.nonzero().tolist() == [[1, 3]]


def test_boxes_begin_in_the_middle_of_their_cells_and_of_several_sizes():
    for hidden in ((), (5,)):
        head = head_of(hidden=hidden)
        torch.nn.init.zeros_(head.last.weight)
        with torch.no_grad():
            cells = head(features_of((112, 112)), batch_of((112, 112))).cells
        expected = torch.tensor([0.5, 0.5, 1 / 3, 1 / 3, 0.5, 0.5, 2 / 3, 2 / 3])
        assert torch.equal(cells[0, 3, 5, [0, 1, 2, 3, 5, 6, 7, 8]], expected)


# --- the loss --------------------------------------------------------------------------------


def test_the_loss_by_hand():
    outputs = outputs_of([*FAR, *NEAR, 0.7, 0.2], images=2)
    losses = by_hand().loss(outputs, targets_of([[BOX], []], [[0], []]))
    # In the first image seven boxes are of no object, one of them with a confidence of 0.3, and
    # in the second eight.
    expected = {
        "coordinates": 5 * 0.1**2 / 2,
        "confidence": (0.9 - 0.64) ** 2 / 2,
        "no_object": 0.5 * (0.3**2 + 6 * 0.1**2 + 8 * 0.1**2) / 2,
        "classes": (0.3**2 + 0.2**2) / 2,
    }
    assert {name: loss.item() for name, loss in losses.items()} == pytest.approx(expected)


def test_the_default_factors_are_the_papers():
    outputs, targets = outputs_of([*FAR, *NEAR, 0.7, 0.2]), targets_of([[BOX]], [[0]])
    usual = by_hand().loss(outputs, targets)
    other = by_hand(lambda_coord=10, lambda_noobj=0).loss(outputs, targets)
    assert other["coordinates"].item() == pytest.approx(2 * usual["coordinates"].item())
    assert other["no_object"] == 0
    assert other["confidence"] == usual["confidence"] and other["classes"] == usual["classes"]


def test_exact_outputs_have_no_loss():
    for responsible in (0, 1):
        boxes = [[*EXACT, 1.0], [0.5, 0.5, 0.1, 0.1, 0.0]]
        if responsible:
            boxes.reverse()
        outputs = outputs_of([*boxes[0], *boxes[1], 0.0, 1.0], confidence=0.0)
        losses = by_hand().loss(outputs, targets_of([[BOX]], [[1]]))
        assert sum(losses.values()).item() == pytest.approx(0, abs=1e-10)


def test_the_target_confidence_is_the_detached_iou():
    outputs = outputs_of([*FAR, *NEAR, 0.7, 0.2])
    by_hand().loss(outputs, targets_of([[BOX]], [[0]]))["confidence"].backward()
    moved = outputs.cells.grad.flatten().nonzero().flatten().tolist()
    assert moved == [9]  # the confidence of the first cell's second box


def test_without_overlap_the_closest_box_is_responsible():
    # Without a width there is no overlap; of the second box the centre is closer.
    outputs = outputs_of([0.9, 0.7, 0, 0, 0.2, 0.5, 0.7, 0, 0, 0.4, 0.7, 0.2])
    losses = by_hand().loss(outputs, targets_of([[BOX]], [[0]]))
    assert losses["confidence"].item() == pytest.approx(0.4**2)
    assert losses["coordinates"].item() == pytest.approx(5 * (0.1**2 + 0.5**2 + 0.6**2))


@pytest.mark.parametrize("root", [0.0, 1e-20, -0.3])
def test_a_box_without_a_width_has_a_bounded_gradient_that_widens_it(root):
    outputs = outputs_of([0.4, 0.7, root, root, 0.5] * 2 + [0.7, 0.2])
    losses = by_hand().loss(outputs, targets_of([[BOX]], [[0]]))
    sum(losses.values()).backward()
    gradient = outputs.cells.grad
    assert gradient.isfinite().all()
    assert gradient[0, 0, 0, 2:4].tolist() == pytest.approx([10 * (root - 0.5), 10 * (root - 0.6)])


@pytest.mark.parametrize("turned", [False, True])
def test_the_largest_object_in_a_cell_is_kept(turned):
    boxes, labels = [[35, 20, 45, 30], BOX], [1, 0]  # the first one's centre is (40, 25)
    if turned:
        boxes, labels = boxes[::-1], labels[::-1]
    outputs, head = outputs_of([*FAR, *NEAR, 0.7, 0.2]), by_hand()
    assert head.loss(outputs, targets_of([boxes], [labels])) == head.loss(
        outputs, targets_of([[BOX]], [[0]])
    )


def test_objects_in_several_cells_all_count():
    cells = [[150, 0, 190, 30], [10, 60, 90, 100], [120, 70, 130, 80], BOX]
    outputs = outputs_of([*FAR, *NEAR, 0.7, 0.2])
    losses = by_hand().loss(outputs, targets_of([cells], [[0, 1, 1, 0]]))
    sum(losses.values()).backward()
    # Every cell has one box that answers, and so gradients of classes.
    assert outputs.cells.grad[..., 10:].abs().sum(dim=-1).count_nonzero() == 4
    assert outputs.cells.grad[..., [2, 7]].count_nonzero() <= 4


def test_an_object_at_the_very_edge_is_of_the_last_cell():
    outputs = outputs_of([*FAR, *NEAR, 0.7, 0.2])
    losses = by_hand().loss(outputs, targets_of([[[200, 100, 200, 100]]], [[1]]))
    sum(losses.values()).backward()
    assert outputs.cells.grad.isfinite().all()
    assert outputs.cells.grad[0, :, :, 10:].any(dim=-1).nonzero().tolist() == [[1, 1]]


def test_a_batch_without_an_object_trains_the_confidences_alone():
    head = head_of()
    outputs = head(features_of((64, 64)), batch_of((64, 64)))
    losses = head.loss(outputs, targets_of([[], []], [[], []]))
    assert losses["no_object"].item() > 0
    assert [losses[n].item() for n in ("coordinates", "confidence", "classes")] == [0, 0, 0]
    sum(losses.values()).backward()
    moved = head.last.weight.grad.flatten(1).any(dim=1)
    assert head.last.weight.grad.isfinite().all()
    assert moved.nonzero().flatten().tolist() == [4, 9]


# --- predictions -----------------------------------------------------------------------------


def test_exact_outputs_are_decoded_to_the_true_box():
    first = [*EXACT, 0.9, 0.5, 0.5, 0.1, 0.1, 0.2, 0.25, 0.8]
    outputs = outputs_of(first, confidence=0.0)
    found = by_hand(score_threshold=0.5).predict(outputs)[0]
    torch.testing.assert_close(found["boxes"].detach(), torch.tensor([BOX]).float())
    assert found["labels"].tolist() == [1]
    assert found["scores"].tolist() == pytest.approx([0.9 * 0.8])


def test_a_box_is_where_its_cell_is_and_ends_with_its_image():
    cells = torch.zeros(1, 2, 2, 12)
    cells[0, 1, 0] = torch.tensor([0.5, 0.5, 0.5, 0.5, 1, 0, 0, 0, 0, 0, 1, 0])
    cells[0, 0, 1] = torch.tensor([0.5, 0.5, 0, 0, 0, 1, 0.5, 1, 1, 0.6, 0, 1])
    found = by_hand().predict(Outputs(cells, (SIZE,)))[0]
    assert found["boxes"].tolist() == [[25, 62.5, 75, 87.5], [100, 0, 200, 75]]
    assert found["labels"].tolist() == [0, 1]


def test_scores_of_linear_outputs_are_shares():
    # The product of two negative numbers is no likelihood, and no score is above 1.
    below, above = [*EXACT, -2.0], [*EXACT, 3.0]
    nothing = by_hand().predict(outputs_of([*below, *below, -0.9, -0.9], confidence=0.0))[0]
    assert len(nothing["scores"]) == 0
    certain = by_hand().predict(outputs_of([*above, *below, 2.0, -1.0], confidence=0.0))[0]
    assert certain["scores"].tolist() == [1]


def test_limits_on_detections():
    head = head_of(score_threshold=0.0, max_detections=3, nms=1.0)
    outputs = head(features_of((112, 112)), batch_of((112, 112)))
    loud = outputs._replace(cells=outputs.cells + 0.3)
    assert [len(found["scores"]) for found in head.predict(loud)] == [3, 3]
    head.selection = Selection(score_threshold=1.0)
    assert [found["boxes"].shape for found in head.predict(loud)] == [(0, 4)] * 2


# --- padding, precision, modes ---------------------------------------------------------------


def test_boxes_are_computed_in_float32_under_autocast():
    head = head_of(hidden=(8,), convolutions=(6,)).eval()
    features, batch = features_of((64, 1040)), batch_of((64, 1040))
    with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
        outputs = head(features, batch)
        losses = head.loss(outputs, targets_of([[BOX], []], [[0], []]))
        predictions = head.predict(Outputs(outputs.cells + 0.4, outputs.sizes))
    tensors = [outputs.cells, *losses.values(), predictions[0]["boxes"], predictions[0]["scores"]]
    assert {tensor.dtype for tensor in tensors} == {torch.float32}
    assert not torch.equal(outputs.cells, outputs.cells.bfloat16().float())


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"grid": 0}, "grid"),
        ({"boxes": 0}, "boxes"),
        ({"hidden": [0]}, "hidden"),
        ({"lambda_coord": -1}, "lambda_coord"),
        ({"nms": 1.5}, "nms"),
        ({"feature": "finest"}, "the backbone has fine, coarse"),
    ],
)
def test_invalid_parameters_are_one_line(wrong, message):
    with pytest.raises(gvt.ConfigError, match=message) as error:
        head_of(**wrong)
    assert "\n" not in str(error.value)


# --- learning --------------------------------------------------------------------------------


def test_it_learns_four_pictures(learn):
    canvas, source = (64, 64), torch.Generator().manual_seed(0)
    images = torch.rand(4, 3, *canvas, generator=source) * 0.2
    boxes = [[[4, 6, 24, 26], [36, 30, 60, 54]], [[20, 10, 50, 30]], [], [[8, 30, 20, 62]]]
    labels = [[0, 1], [1], [], [0]]
    for image, of_image, names in zip(images, boxes, labels, strict=True):
        for (x1, y1, x2, y2), label in zip(of_image, names, strict=True):
            image[label, y1:y2, x1:x2] += 0.8
    targets = targets_of(boxes, labels)
    batch = gvt.Batch.of_images(images, targets=targets)
    backbone = TinyBackbone((3, *canvas), widths=(8, 16, 32, 32))
    head = head_of(backbone.feature_info, grid=4, convolutions=(32,))
    task = gvt.MultiHead(backbone, {"boxes": head})
    learn(task, batch, steps=120, lr=5e-3)
    metric = task.metric()
    with torch.no_grad():
        predictions = task.predict(batch)
    metric.update(predictions, targets.per_image(4))
    assert metric.compute()["ap50"] > 0.95
    assert task.errors(predictions, targets.per_image(4))["boxes"].max() == 0
