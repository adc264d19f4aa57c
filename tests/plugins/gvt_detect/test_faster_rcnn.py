"""Faster R-CNN: maps and anchors, padding, counts, precision, losses and detections."""

import math

import pytest
import torch
from torchvision.ops import box_iou

import gvt
from gvt_author.testing.stand_ins import TinyBackbone

PYRAMID = {"p2": (8, 4), "p3": (8, 8), "p4": (8, 16), "p5": (8, 32), "pool": (8, 64)}
STAGES = {"stage1": (4, 2), "stage2": (8, 4), "stage3": (12, 8), "stage4": (16, 16)}


def head_of(info=None, name="faster_rcnn", seed=0, **parameters):
    torch.manual_seed(seed)
    known = {"feature_info": info or PYRAMID, "num_classes": 3, "hidden": 16} | parameters
    return gvt.create("head", name, **known)


def lively(head):
    """Return a head whose initial weights distinguish positions, like trained ones."""
    for layer in (head.rpn.head.conv[0][0], head.rpn.head.cls_logits, head.rpn.head.bbox_pred):
        torch.nn.init.normal_(layer.weight, std=0.1)
    return head


def features_of(info, canvas, count=2):
    """Return random maps of the sizes of a backbone's."""
    torch.manual_seed(1)
    return {
        name: torch.rand(count, channels, *(math.ceil(side / stride) for side in canvas))
        for name, (channels, stride) in info.items()
    }


def batch_of(canvas, sizes=None, boxes=None, labels=None):
    sizes = tuple(sizes or (canvas,) * 2)
    if boxes is None:
        boxes = [torch.tensor([[8.0, 10, 70, 60], [3, 20, 20, 50]])] * len(sizes)
        labels = [torch.tensor([0, 2])] * len(sizes)
    targets = gvt.Targets({}, {"boxes": boxes, "labels": labels})
    images = torch.zeros(len(sizes), 3, *canvas)
    return gvt.Batch({"image": images}, gvt.Frame(sizes, canvas), targets=targets)


def without_objects(count=2):
    return [torch.zeros(0, 4)] * count, [torch.zeros(0, dtype=torch.int64)] * count


@pytest.mark.parametrize("name", ["faster_rcnn", "mask_rcnn"])
@pytest.mark.parametrize("box_loss", ["smooth_l1", "giou"])
def test_losses_without_objects_and_proposals_are_zero(name, box_loss):
    head = head_of(name=name, box_loss=box_loss)
    boxes, labels = without_objects()
    outputs = head(features_of(PYRAMID, (96, 128)), batch_of((96, 128), None, boxes, labels))
    # As where every anchor was made too small to be a proposal.
    proposals = outputs.proposals._replace(boxes=torch.zeros_like(outputs.proposals.boxes))
    masks = [torch.zeros(0, 96, 128, dtype=torch.uint8)] * 2
    targets = gvt.Targets({}, {"boxes": boxes, "labels": labels, "masks": masks})
    losses = head.loss(outputs._replace(proposals=proposals), targets)
    assert all(map(torch.isfinite, losses.values()))
    of_regions = {"classification", "box", "mask"} & set(losses)
    assert [float(losses[of].detach()) for of in of_regions] == [0] * len(of_regions)
    sum(losses.values()).backward()
    for layer in (head.roi_heads.box_predictor.cls_score, head.roi_heads.box_predictor.bbox_pred):
        assert not layer.weight.grad.any()


# --- maps and anchors ------------------------------------------------------------------------


def test_default_maps():
    assert head_of(PYRAMID).maps == list(PYRAMID)
    assert head_of({"fine": (8, 2), **PYRAMID}).maps == list(PYRAMID)
    assert head_of({"a": (8, 1), "b": (8, 2)}).maps == ["a", "b"]
    assert head_of(STAGES | {"stage5": (20, 32)}).maps == ["stage4"]
    assert head_of({"only": (8, 32)}).maps == ["only"]
    # The maps of a vision transformer have one size; they are no pyramid.
    assert head_of({"a": (8, 16), "b": (8, 16)}).maps == ["b"]


def test_default_anchors():
    assert head_of().rpn.anchor_generator.sizes == ((32,), (64,), (128,), (256,), (512,))
    assert head_of(STAGES).rpn.anchor_generator.sizes == ((32, 64, 128, 256, 512),)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"maps": ["stage3", "stage4"]}, "add the backbone fpn"),
        ({"maps": ["stage9"]}, "the backbone has stage1, stage2, stage3, stage4"),
        ({"maps": ["stage4", "stage4"]}, "the backbone has"),
        ({"maps": []}, "the backbone has"),
        ({"anchor_sizes": [[8], [16]]}, "has 2 lists for 1 maps, of strides 16"),
        ({"anchor_sizes": [[]]}, "at least one anchor"),
        ({"aspect_ratios": []}, "at least one anchor"),
        ({"anchor_sizes": [[1]]}, "less than a pixel wide"),
        ({"anchor_sizes": [[0]]}, "anchor_sizes"),
        ({"rpn_iou": [0.3, 0.7]}, "has to be the higher"),
        ({"rpn_iou": [0.7, 1.3]}, "rpn_iou"),
        ({"weights": {"mask": 2.0}}, "weights for"),
        ({"weights": {"box": -1.0}}, "weights"),
        ({"soft_nms": "quadratic"}, "soft_nms"),
        ({"nms": 1.5}, "nms"),
        ({"proposals_train": [0, 10]}, "proposals_train"),
        ({"max_detections": 0}, "max_detections"),
    ],
)
def test_invalid_parameters_are_one_line(wrong, message):
    with pytest.raises(gvt.ConfigError, match=message) as error:
        head_of(STAGES, **wrong)
    assert "\n" not in str(error.value)


def test_every_map_has_the_same_number_of_anchors():
    with pytest.raises(gvt.ConfigError, match="the same number for every map"):
        head_of(anchor_sizes=[[32], [64], [128], [256], [256, 512]])


def test_anchors_follow_the_declared_strides_for_any_canvas():
    # 224 is no multiple of 64: dividing it by the map's 4 cells would give 56.
    head = head_of(aspect_ratios=[1.0])
    found = head(features_of(PYRAMID, (224, 224)), batch_of((224, 224))).proposals
    centres = (found.anchors[:, :2] + found.anchors[:, 2:]) / 2
    coarsest = centres[-found.counts[-1] :]
    assert coarsest[:, 0].unique().tolist() == [0, 64, 128, 192]
    assert found.counts == [56 * 56, 28 * 28, 14 * 14, 7 * 7, 4 * 4]


def test_pooling_follows_the_declared_strides_for_any_first_batch():
    canvas, sizes = (512, 512), [(250, 250)] * 2
    head = head_of()
    first = head(features_of(PYRAMID, canvas), batch_of(canvas, sizes))
    head.predict(first)  # from which torchvision would take 1/2 as the finest map's scale
    assert head.roi_heads.box_roi_pool.scales == [1 / 4, 1 / 8, 1 / 16, 1 / 32]
    info = {"stage": (1, 16)}
    ramp = {"stage": torch.arange(16.0).repeat(1, 1, 16, 1)}
    single = head_of(info)
    single.roi_heads.box_roi_pool(ramp, [torch.tensor([[0.0, 0, 16, 16]])], [(100, 100)])
    box = torch.tensor([[64.0, 64, 192, 192]])
    pooled = single.roi_heads.box_roi_pool(ramp, [box], [(256, 256)])
    assert float(pooled.mean()) == pytest.approx((64 + 192) / 2 / 16)


def test_the_area_of_a_region_selects_its_map_also_with_gaps():
    def square(side):
        return torch.tensor([[0.0, 0, side, side]])

    boxes = [square(side) for side in (20, 60, 120, 230, 460, 2000)]
    levels = head_of().roi_heads.box_roi_pool.map_levels
    assert levels(boxes).tolist() == [0, 0, 1, 2, 3, 3]
    levels = head_of(maps=["p2", "p4"]).roi_heads.box_roi_pool.map_levels
    assert levels(boxes).tolist() == [0, 0, 0, 1, 1, 1]


def test_maps_with_a_margin_are_refused():
    features = features_of({"stage": (8, 16)}, (160, 160))
    head = head_of({"stage": (8, 16)})
    with pytest.raises(gvt.ConfigError, match="10x10 cells for an image of 64x64"):
        head(features, batch_of((64, 64)))


# --- padding ---------------------------------------------------------------------------------


def test_proposals_and_boxes_stay_in_the_image():
    canvas, sizes = (128, 256), ((128, 256), (70, 101))
    head = lively(head_of(score_threshold=0.0))
    torch.nn.init.normal_(head.roi_heads.box_predictor.bbox_pred.weight, std=1.0)
    outputs = head(features_of(PYRAMID, canvas), batch_of(canvas, sizes))
    found = [p["boxes"] for p in head.predict(outputs)]
    for of_images in (found, *(head.rpn.kept(outputs.proposals, mode) for mode in (True, False))):
        for boxes, (height, width) in zip(of_images, sizes, strict=True):
            assert len(boxes)
            assert (boxes >= 0).all() and (boxes <= torch.tensor([width, height] * 2)).all()
            assert (boxes[:, 2:] > boxes[:, :2]).all()


def test_one_pixel_is_an_image_too():
    boxes = [torch.tensor([[0.0, 0, 1, 1]])]
    batch = batch_of((64, 64), [(1, 1)], boxes, [torch.tensor([1])])
    head = head_of()
    outputs = head(features_of(PYRAMID, (64, 64), count=1), batch)
    assert all(loss.isfinite() for loss in head.loss(outputs, batch.targets).values())
    assert (head.predict(outputs)[0]["boxes"] <= 1).all()


# --- modes, counts, precision ----------------------------------------------------------------


@pytest.mark.parametrize("training", [True, False])
def test_the_number_of_proposals_in_either_mode(training, monkeypatch):
    head = lively(head_of(proposals_train=(9, 5), proposals_predict=(30, 20))).train(training)
    batch = batch_of((128, 128))
    outputs = head(features_of(PYRAMID, (128, 128)), batch)
    counts = {"loss": [], "predict": []}
    kept = head.rpn.kept
    for name, of_loss in (("loss", True), ("predict", False)):
        monkeypatch.setattr(
            head.rpn,
            "kept",
            lambda found, training, name=name: (
                counts[name].extend(map(len, boxes := kept(found, training))) or boxes
            ),
        )
        head.loss(outputs, batch.targets) if of_loss else head.predict(outputs)
        assert {module.training for module in head.modules()} == {training}
    assert counts == {"loss": [5, 5], "predict": [20, 20]}


def test_the_mode_is_restored_after_an_error():
    head = head_of().eval()
    found = head(features_of(PYRAMID, (64, 64)), batch_of((64, 64))).proposals
    with pytest.raises(RuntimeError):
        head.rpn.kept(found._replace(counts=[1]), training=True)
    assert not head.rpn.training


def test_forward_ignores_targets_and_runs_each_layer_once():
    head = head_of()
    calls = []
    head.rpn.head.cls_logits.register_forward_hook(lambda *_: calls.append(1))
    batch = batch_of((64, 64))
    blind = gvt.Batch({"image": batch.images}, batch.frame)
    outputs = head(features_of(PYRAMID, (64, 64)), blind)
    head.loss(outputs, batch.targets)
    head.predict(outputs)
    assert len(calls) == len(PYRAMID)


def test_boxes_are_computed_in_float32_under_autocast():
    info, canvas = {"stage": (8, 16)}, (64, 1040)
    head = lively(head_of(info))
    features, batch = features_of(info, canvas), batch_of(canvas)
    exact = head(features, batch).proposals
    judged = []
    head.roi_heads.box_predictor.register_forward_hook(lambda *call: judged.extend(call[2]))
    with torch.autocast("cpu", torch.bfloat16):
        outputs = head(features, batch)
        losses = head.loss(outputs, batch.targets)
        predictions = head.predict(outputs)
    found = outputs.proposals
    assert torch.equal(found.anchors, exact.anchors)
    tensors = [found.objectness, found.deltas, found.boxes, *judged, *losses.values()]
    assert {t.dtype for t in (*tensors, *(p["boxes"] for p in predictions))} == {torch.float32}
    # They are no bfloat16 numbers that were merely widened.
    for values in (found.objectness, found.deltas, *judged):
        assert not torch.equal(values, values.bfloat16().float())


# --- losses ----------------------------------------------------------------------------------


def test_a_batch_without_objects_trains():
    head, features = head_of(), features_of(PYRAMID, (64, 64))
    batch = batch_of((64, 64), None, *without_objects())
    losses = head.loss(head(features, batch), batch.targets)
    assert all(loss.isfinite() for loss in losses.values())
    assert losses["box"].item() == losses["rpn_box"].item() == 0
    sum(losses.values()).backward()
    assert all(p.grad.isfinite().all() for p in head.parameters())
    for layer in (head.rpn.head.cls_logits, head.roi_heads.box_predictor.cls_score):
        assert layer.weight.grad.abs().sum() > 0


def test_a_true_box_without_overlap_has_no_positive_anchor():
    head = head_of({"stage": (8, 32)}, anchor_sizes=[[4]], aspect_ratios=[1.0])
    boxes = [torch.tensor([[14.0, 14, 18, 18]]), torch.tensor([[30.0, 30, 34, 34]])]
    batch = batch_of((64, 64), None, boxes, [torch.tensor([0])] * 2)
    features = features_of({"stage": (8, 32)}, (64, 64))
    seen = []
    compute = head.rpn.compute_loss
    head.rpn.compute_loss = lambda *given: seen.append(given[2]) or compute(*given)
    head.rpn.losses(head(features, batch).proposals, boxes)
    untouched, touched = seen[0]
    assert untouched.tolist() == [0, 0, 0, 0]
    assert touched.tolist() == [0, 0, 0, 1]


def test_weights_multiply_losses():
    found = {}
    for name, weights in (("plain", None), ("weighted", {"box": 3.0, "objectness": 0.5})):
        head, batch = head_of(weights=weights), batch_of((64, 64))
        outputs = head(features_of(PYRAMID, (64, 64)), batch)
        torch.manual_seed(0)
        found[name] = head.loss(outputs, batch.targets)
    for name, factor in (("box", 3), ("objectness", 0.5), ("classification", 1), ("rpn_box", 1)):
        torch.testing.assert_close(found["weighted"][name], factor * found["plain"][name])


def test_giou_compares_decoded_boxes():
    head, batch = head_of(box_loss="giou", roi_batch=4, roi_positive=1.0), batch_of((128, 128))
    torch.nn.init.zeros_(head.roi_heads.box_predictor.bbox_pred.weight)
    torch.nn.init.zeros_(head.roi_heads.box_predictor.bbox_pred.bias)
    regions = []
    sample = head.roi_heads.select_training_samples
    head.roi_heads.select_training_samples = lambda *given: (
        regions.append(sample(*given)) or (regions[0])
    )
    loss = head.loss(head(features_of(PYRAMID, (128, 128)), batch), batch.targets)["box"]
    # With deltas of 0, the boxes are the regions.
    boxes, matched, labels, _ = regions[0]
    expected = 0.0
    for row in range(2):
        truth = batch.targets["boxes"][row][matched[row]]
        for box, wanted, label in zip(boxes[row], truth, labels[row], strict=True):
            if label:
                iou = float(box_iou(box[None], wanted[None]))
                hull = torch.cat([box[:2].minimum(wanted[:2]), box[2:].maximum(wanted[2:])])
                areas = [float((b[2] - b[0]) * (b[3] - b[1])) for b in (box, wanted, hull)]
                union = (areas[0] + areas[1]) / (1 + iou)
                expected += 1 - iou + (areas[2] - union) / areas[2]
    assert expected > 0
    assert float(loss.detach()) == pytest.approx(expected / sum(map(len, labels)), rel=1e-4)


# --- predictions -----------------------------------------------------------------------------


def test_soft_nms_keeps_more_boxes():
    canvas, found = (128, 128), {}
    for soft in (None, "linear", "gaussian"):
        head = lively(
            head_of(
                proposals_predict=(200, 80),
                score_threshold=0.1,
                nms=0.3,
                soft_nms=soft,
                max_detections=240,
            )
        )
        outputs = head(features_of(PYRAMID, canvas), batch_of(canvas))
        found[soft] = head.predict(outputs)[0]
    for soft, prediction in found.items():
        scores = prediction["scores"]
        assert (scores > 0.1).all()
        assert scores.tolist() == sorted(scores.tolist(), reverse=True)
        assert len(prediction["boxes"]) == len(prediction["labels"]) == len(scores), soft
    counts = {soft: len(prediction["scores"]) for soft, prediction in found.items()}
    assert 0 < counts[None] < counts["linear"] < 240
    assert counts[None] < counts["gaussian"] < 240
    assert torch.equal(found[None]["boxes"][0], found["linear"]["boxes"][0])


def test_no_more_detections_than_asked_for():
    head = lively(head_of(max_detections=3, score_threshold=0.0))
    outputs = head(features_of(PYRAMID, (128, 128)), batch_of((128, 128)))
    assert [len(p["scores"]) for p in head.predict(outputs)] == [3, 3]
    head.roi_heads.score_thresh = 1.0
    empty = head.predict(outputs)[0]
    assert (empty["boxes"].shape, empty["labels"].dtype) == ((0, 4), torch.int64)


@pytest.mark.slow
def test_it_learns_classes_and_boxes(learn):
    canvas = (64, 96)
    torch.manual_seed(0)
    boxes = [torch.tensor([[8.0, 12, 40, 44], [56, 20, 88, 52]]), torch.tensor([[30.0, 6, 62, 38]])]
    labels = [torch.tensor([0, 2]), torch.tensor([2])]
    images = torch.rand(2, 3, *canvas) * 0.2
    for image, of_boxes, of_labels in zip(images, boxes, labels, strict=True):
        for (x1, y1, x2, y2), label in zip(of_boxes.long().tolist(), of_labels, strict=True):
            image[label, y1:y2, x1:x2] += 0.8
    frame = gvt.Frame((canvas,) * 2, canvas)
    batch = gvt.Batch(
        {"image": images}, frame, targets=gvt.Targets({}, {"boxes": boxes, "labels": labels})
    )
    backbone = TinyBackbone((3, *canvas), widths=(16, 32, 48))
    head = head_of(
        backbone.feature_info,
        hidden=64,
        anchor_sizes=[[24, 32, 40]],
        roi_batch=64,
        proposals_train=(200, 100),
    )
    task = gvt.MultiHead(backbone, {"boxes": head})
    learn(task, batch, steps=120, lr=2e-3)
    with torch.no_grad():
        predictions = [of_heads["boxes"] for of_heads in task.predict(batch)]
    for prediction, of_boxes, of_labels in zip(predictions, boxes, labels, strict=True):
        found = prediction["boxes"][: len(of_boxes)]
        overlaps, which = box_iou(of_boxes, found).max(dim=1)
        assert (overlaps > 0.7).all()
        assert torch.equal(prediction["labels"][which], of_labels)
        assert prediction["scores"][len(of_boxes) - 1] > 0.8
