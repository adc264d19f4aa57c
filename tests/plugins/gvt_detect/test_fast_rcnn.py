"""Fast R-CNN: torchvision's second stage on proposals from outside the model."""

import pytest
import torch
from torch import nn
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.roi_heads import RoIHeads
from torchvision.ops import MultiScaleRoIAlign, RoIPool, box_iou

import gvt

CANVAS = (96, 128)
CLASSES = 3
PYRAMID = {"p2": (8, 4), "p3": (8, 8), "p4": (8, 16), "p5": (8, 32)}
SINGLE = {"only": (8, 16)}


def head_of(info=None, seed=0, **parameters):
    torch.manual_seed(seed)
    known = {"feature_info": info or PYRAMID, "num_classes": CLASSES, "hidden": 16} | parameters
    head = gvt.create("head", "fast_rcnn", **known)
    nn.init.normal_(head.roi_heads.box_predictor.cls_score.weight, std=0.3)
    return head


def features_of(info, canvas=CANVAS, count=3):
    torch.manual_seed(1)
    return {
        name: torch.rand(count, channels, *(-(-side // stride) for side in canvas))
        for name, (channels, stride) in info.items()
    }


def boxes_of(count, canvas=CANVAS, seed=2):
    source = torch.Generator().manual_seed(seed)
    height, width = canvas
    corner = torch.rand(count, 2, generator=source) * torch.tensor([width * 0.7, height * 0.7])
    side = 6 + torch.rand(count, 2, generator=source) * torch.tensor([width, height])
    limit = torch.tensor([width, height])
    return torch.cat([corner, (corner + side).minimum(limit)], dim=1)


def batch_of(proposals=None, boxes=None, sizes=None):
    boxes = [boxes_of(3), boxes_of(1, seed=3), torch.zeros(0, 4)] if boxes is None else boxes
    labels = [torch.arange(len(of_image)) % CLASSES for of_image in boxes]
    count = len(boxes)
    inputs = {} if proposals is None else {"proposals": proposals}
    return gvt.Batch(
        {"image": torch.zeros(count, 3, *CANVAS), **inputs},
        gvt.Frame(tuple(sizes or [CANVAS] * count), CANVAS),
        gvt.Targets({}, {"boxes": boxes, "labels": labels}),
    )


# --- beside torchvision ----------------------------------------------------------------------


@pytest.mark.parametrize("roi", ["pool", "align"])
@pytest.mark.parametrize("info", [PYRAMID, SINGLE], ids=["pyramid", "single map"])
def test_losses_predictions_and_gradients_are_torchvisions(info, roi):
    proposals = [boxes_of(40, seed=4), boxes_of(90, seed=5), boxes_of(20, seed=6)]
    batch, features = batch_of(proposals), features_of(info)
    head = head_of(info, roi=roi)
    aligned = MultiScaleRoIAlign(list(info), 7, 2)
    theirs = RoIHeads(
        aligned if roi == "align" else head.roi_heads.box_roi_pool,
        TwoMLPHead(8 * 49, 16),
        FastRCNNPredictor(16, CLASSES + 1),
        *(0.5, 0.5, 64, 0.25, None, 0.05, 0.5, 100),
    )
    theirs.load_state_dict(head.roi_heads.state_dict())
    sizes = list(batch.frame.sizes)
    truth = [{**target, "labels": target["labels"] + 1} for target in batch.targets.per_image(3)]
    torch.manual_seed(7)
    _, wanted = theirs.train()(features, list(proposals), sizes, truth)
    sum(wanted.values()).backward()
    with torch.no_grad():
        detections, _ = theirs.eval()(features, list(proposals), sizes)

    for training in (True, False):
        outputs = head.train(training)(features, batch)
        predictions = head.predict(outputs)
        torch.manual_seed(7)
        losses = head.loss(outputs, batch.targets)
        head.zero_grad()
        sum(losses.values()).backward()
        torch.testing.assert_close(losses["classification"], wanted["loss_classifier"])
        torch.testing.assert_close(losses["box"], wanted["loss_box_reg"])
        assert float(losses["box"].detach()) > 0
        for name, parameter in theirs.named_parameters():
            own = head.roi_heads.get_parameter(name)
            torch.testing.assert_close(own.grad, parameter.grad)
        assert sum(len(found["boxes"]) for found in predictions) > 20
        for found, theirs_found in zip(predictions, detections, strict=True):
            torch.testing.assert_close(found["boxes"], theirs_found["boxes"])
            torch.testing.assert_close(found["scores"], theirs_found["scores"])
            assert torch.equal(found["labels"], theirs_found["labels"] - 1)


def test_pooling_is_that_of_the_paper():
    features = features_of(SINGLE)
    boxes = [boxes_of(30, seed=4), torch.zeros(0, 4), boxes_of(5, seed=6)]
    pooler = head_of(SINGLE).roi_heads.box_roi_pool
    wanted = RoIPool(7, 1 / 16)(features["only"], boxes)
    assert torch.equal(pooler(features, boxes, [CANVAS] * 3), wanted)


def test_each_region_is_pooled_from_the_map_of_its_size():
    canvas = (512, 512)
    features = features_of(PYRAMID, canvas)
    sides = torch.tensor([460.0, 20, 230, 150, 60, 500])
    boxes = [
        torch.stack([sides * 0, sides * 0 + 5, sides, sides], dim=1),
        torch.zeros(0, 4),
        torch.tensor([[300.0, 100, 450, 250], [300, 100, 330, 130]]),
    ]
    levels = torch.tensor([3, 0, 2, 1, 0, 3, 1, 0])
    pooled = head_of().roi_heads.box_roi_pool(features, boxes, [canvas] * 3)
    for index, (name, (_, stride)) in enumerate(PYRAMID.items()):
        wanted = RoIPool(7, 1 / stride)(features[name], boxes)
        assert torch.equal(pooled[levels == index], wanted[levels == index])


# --- proposals -------------------------------------------------------------------------------


def test_proposals_of_the_data_are_used():
    head, features = head_of(proposer="windows", proposals=50), features_of(PYRAMID)
    proposals = [boxes_of(30, seed=seed) for seed in (4, 5, 6)]
    given, made = head(features, batch_of(proposals)), head(features, batch_of())
    assert all(map(torch.equal, given.proposals, proposals))
    assert [len(boxes) for boxes in made.proposals] == [50] * 3
    of_given, of_made = (head.predict(outputs)[0]["boxes"] for outputs in (given, made))
    assert len(of_given) and len(of_made)
    assert box_iou(of_given, of_made).amax(dim=1).min() < 0.99
    fewer = head_of(proposals=10)(features, batch_of(proposals))
    assert [len(boxes) for boxes in fewer.proposals] == [10] * 3


def test_true_boxes_are_proposals_in_the_losses_only():
    head, features = head_of(), features_of(PYRAMID)
    proposals = [torch.tensor([[0.0, 0, 6, 6]])] * 3  # which no object is near
    batch = batch_of(proposals, [torch.tensor([[60.0, 50, 110, 90]])] * 3)
    outputs = head(features, batch)
    assert all(map(torch.equal, outputs.proposals, proposals))
    before = head.predict(outputs)
    assert head.loss(outputs, batch.targets)["box"] > 0
    for prediction, again in zip(before, head.predict(outputs), strict=True):
        assert torch.equal(prediction["boxes"], again["boxes"])
        assert (prediction["boxes"][:, :2] < 30).all()


@pytest.mark.parametrize("roi", ["pool", "align"])
@pytest.mark.parametrize("info", [PYRAMID, SINGLE], ids=["pyramid", "single map"])
@pytest.mark.parametrize("box_loss", ["smooth_l1", "giou"])
def test_without_proposals(roi, info, box_loss):
    head, features = head_of(info, roi=roi, box_loss=box_loss), features_of(info)
    none = [torch.zeros(0, 4)] * 3
    # None anywhere; in some images only; and none where there is an object either.
    for proposals, boxes in ((none, None), ([*none[:2], boxes_of(9)], None), (none, none)):
        batch = batch_of(proposals, boxes)
        outputs = head(features, batch)
        losses = head.loss(outputs, batch.targets)
        assert all(map(torch.isfinite, losses.values()))
        sum(losses.values()).backward()
        assert (float(losses["classification"].detach()) == 0) == (boxes is none)
        found = head.predict(outputs)
        assert [len(p["boxes"]) > 0 for p in found] == [len(b) > 0 for b in proposals]
        assert found[0]["boxes"].shape == (0, 4) and found[0]["labels"].dtype == torch.int64


def test_a_quarter_of_the_sampled_regions_are_objects():
    truth = torch.tensor([[40.0, 30, 90, 80]])
    near = truth + torch.rand(100, 4, generator=torch.Generator().manual_seed(0)) * 4
    head = head_of()
    batch = batch_of([torch.cat([near, boxes_of(400, (30, 128))])], [truth])
    outputs = head(features_of(PYRAMID, count=1), batch)
    regions = head._sampled(outputs.proposals, head._truth(batch.targets))
    assert len(regions.labels[0]) == 64 and int((regions.labels[0] > 0).sum()) == 16


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"maps": ["p9"]}, "the backbone has p2, p3, p4, p5"),
        ({"weights": {"objectness": 1.0}}, "weights for"),
        ({"roi": "mean"}, "roi"),
        ({"proposer": "guessing"}, "proposer"),
        ({"proposals": 0}, "proposals"),
    ],
)
def test_invalid_parameters_are_one_line(wrong, message):
    with pytest.raises(gvt.ConfigError, match=message) as error:
        head_of(**wrong)
    assert "\n" not in str(error.value)


def test_maps_with_a_margin_are_refused():
    features = {"only": torch.zeros(3, 8, 20, 20)}
    with pytest.raises(gvt.ConfigError, match="20x20 cells for an image of 96x128"):
        head_of(SINGLE)(features, batch_of([boxes_of(3)] * 3))


# --- learning --------------------------------------------------------------------------------


def test_it_learns_from_cached_proposals_flipped_with_the_images(tmp_path):
    scenes = {"size": 64, "count": 24, "objects": [1, 2], "digit_size": [20, 30]}
    dataset = gvt.create(
        "dataset",
        "proposals",
        split="train",
        of={"name": "scenes", **scenes},
        cache=str(tmp_path),
    )
    config = gvt.DataConfig(
        name="proposals",
        batch_size=6,
        workers=0,
        transforms=[{"name": "RandomHorizontalFlip"}],
    )
    placement = gvt.Placement.resolve("cpu", "float32")
    batches = gvt.Loader(dataset, config, gvt.TrainConfig(steps=24), placement).groups()
    torch.manual_seed(0)
    backbone = gvt.create("backbone", "unet_encoder", width=8, depth=3, image_shape=(3, 64, 64))
    info = backbone.feature_info
    head = gvt.create("head", "fast_rcnn", feature_info=info, num_classes=10, hidden=64)
    task = gvt.MultiHead(backbone, {"digits": head})
    optimizer = torch.optim.AdamW(task.parameters(), 5e-3)
    seen = []
    for step in range(24):
        (batch,) = next(batches)
        losses = task("supervised", batch, gvt.Step(step))
        optimizer.zero_grad()
        sum(losses.values()).backward()
        optimizer.step()
        seen.append(float(sum(losses.values()).detach()))
    assert len(list(tmp_path.rglob("*.safetensors"))) == 24
    assert sum(seen[-5:]) < 0.75 * sum(seen[:5])
