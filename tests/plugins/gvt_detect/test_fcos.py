"""FCOS: torchvision's outputs, maps, points and their assignment."""

import math

import pytest
import torch
from torch import nn
from torchvision.models.detection import FCOS
from torchvision.models.detection.anchor_utils import AnchorGenerator

import gvt
from gvt_detect.places import of_truth, places_of

CANVAS = (128, 192)
PYRAMID = {"p2": (16, 4), "p3": (16, 8), "p4": (16, 16), "p5": (16, 32)}


class Below(nn.Module):
    """A gvt backbone with torchvision's interface: the maps in use, and their channels."""

    def __init__(self, backbone, maps, out_channels):
        super().__init__()
        self.backbone, self.maps, self.out_channels = backbone, maps, out_channels

    def forward(self, images):
        features = self.backbone(images)
        return {name: features[name] for name in self.maps}


def head_of(info=None, **parameters):
    torch.manual_seed(0)
    known = {"feature_info": info or PYRAMID, "num_classes": 3} | parameters
    return gvt.create("head", "fcos", **known)


def lively(head):
    """Return a head whose initial weights distinguish positions, like trained ones."""
    boxes = head.head["regression_head"]
    for layer in (head.head["classification_head"].cls_logits, boxes.bbox_reg, boxes.bbox_ctrness):
        nn.init.normal_(layer.weight, std=0.1)
    nn.init.constant_(boxes.bbox_reg.bias, 2.0)
    return head


# --- torchvision ------------------------------------------------------------------------------


def pyramid():
    torch.manual_seed(0)
    resnet = gvt.create("backbone", "timm", model="test_resnet", image_shape=(3, *CANVAS))
    names = [name for name, (_, stride) in resnet.feature_info.items() if stride >= 8]
    return gvt.create("backbone", "fpn", backbone=resnet, channels=32, stages=names, pool=True)


def theirs_of(head, backbone):
    sizes = tuple((stride,) for stride in head.strides)
    model = FCOS(
        Below(backbone, head.maps, 32),
        3,
        min_size=CANVAS[0],
        max_size=CANVAS[1],
        image_mean=[0.0] * 3,
        image_std=[1.0] * 3,
        anchor_generator=AnchorGenerator(sizes, ((1.0,),) * len(sizes)),
        score_thresh=head.selection.score_threshold,
        nms_thresh=head.selection.nms,
        topk_candidates=10_000,
        _skip_resize=True,
    )
    model.head.load_state_dict(head.head.state_dict())
    return model


def labelled():
    torch.manual_seed(2)
    boxes = [
        torch.tensor([[10.0, 12.5, 70.3, 60.1], [100.1, 30, 180.4, 120], [40.2, 20.3, 61.7, 45.9]]),
        torch.tensor([[33.5, 20.25, 99.1, 127.5], [1.5, 1.5, 190.2, 126.3]]),
        torch.zeros(0, 4),
    ]
    labels = [torch.tensor([0, 2, 1]), torch.tensor([2, 0]), torch.zeros(0, dtype=torch.int64)]
    targets = gvt.Targets({}, {"boxes": boxes, "labels": labels})
    return gvt.Batch.of_images(torch.rand(3, 3, *CANVAS), targets=targets)


def test_losses_predictions_and_gradients_are_torchvisions_in_either_mode():
    backbone, batch = pyramid().eval(), labelled()
    head = lively(
        head_of(backbone.feature_info, layers=4, groups=32, score_threshold=0.2, candidates=10_000)
    )
    theirs = theirs_of(head, backbone)
    theirs.train()
    backbone.eval()
    wanted = theirs(list(batch.images), batch.targets.per_image(3))
    names = {"classification": "classification", "bbox_regression": "box"}
    wanted = {names.get(key, "centerness"): loss for key, loss in wanted.items()}
    assert min(loss.item() for loss in wanted.values()) > 0.1
    sum(wanted.values()).backward()
    theirs.eval()
    with torch.no_grad():
        detections = theirs(list(batch.images))
    assert min(len(found["scores"]) for found in detections) > 20
    assert head.head.state_dict().keys() == theirs.head.state_dict().keys()
    for training in (True, False):
        head.train(training).zero_grad()
        outputs = head(backbone(batch.images), batch)
        losses = head.loss(outputs, batch.targets)
        sum(losses.values()).backward()
        torch.testing.assert_close(losses, wanted, rtol=1e-5, atol=1e-5)
        for ours, other in zip(head.parameters(), theirs.head.parameters(), strict=True):
            torch.testing.assert_close(ours.grad, other.grad, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(head.predict(outputs), detections, rtol=1e-4, atol=1e-4)


# --- maps and parameters ----------------------------------------------------------------------


def test_default_maps_and_ranges():
    assert head_of().maps == ["p3", "p4", "p5"]
    assert head_of().ranges == (64, 128)
    single = head_of({"a": (8, 4), "b": (12, 16), "c": (16, 32)})
    assert (single.maps, single.ranges) == (["b"], ())
    assert head_of(maps=["p2", "p5"], ranges=[20]).ranges == (20,)


def test_default_groups_have_eight_channels():
    for channels, groups in ((256, 32), (64, 8), (12, 3), (7, 7)):
        norm = head_of({"only": (channels, 8)}).head["regression_head"].conv[1]
        assert norm.num_groups == groups
    assert head_of(groups=2).head["classification_head"].conv[1].num_groups == 2
    assert not len(head_of(layers=0).head["classification_head"].conv)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"groups": 5}, "does not divide the 16 channels"),
        ({"ranges": [64]}, "2 ascending numbers, between the maps of strides 8, 16, 32"),
        ({"ranges": [64, 32]}, "2 ascending numbers"),
        ({"maps": ["p4", "p3", "p5"]}, "ascending numbers"),
        ({"maps": ["p9"]}, "the backbone has p2, p3, p4, p5"),
        ({"weights": {"objectness": 2.0}}, "weights for"),
        ({"layers": -1}, "layers"),
        ({"nms": 1.5}, "nms"),
    ],
)
def test_invalid_parameters_are_one_line(wrong, message):
    with pytest.raises(gvt.ConfigError, match=message) as error:
        head_of(**wrong)
    assert "\n" not in str(error.value)


def test_points_follow_the_declared_strides_for_any_canvas():
    canvas = (100, 72)
    features = {
        name: torch.rand(2, channels, *(math.ceil(side / stride) for side in canvas))
        for name, (channels, stride) in PYRAMID.items()
    }
    frame = gvt.Frame((canvas,) * 2, canvas)
    outputs = head_of()(features, gvt.Batch({"image": torch.zeros(2, 3, *canvas)}, frame))
    assert outputs.places.points[-12:, 0].unique().tolist() == [0, 32, 64]
    assert outputs.places.points[-12:, 1].unique().tolist() == [0, 32, 64, 96]
    assert outputs.logits.shape == (2, 13 * 9 + 7 * 5 + 4 * 3, 3)


# --- which object a place is to find ----------------------------------------------------------


def found_at(boxes, strides=(8,), ranges=(), radius=1.5, canvas=(64, 64)):
    """Return the points, (x, y), assigned to each box index, for each stride."""
    sizes = [tuple(math.ceil(side / stride) for side in canvas) for stride in strides]
    places = places_of(sizes, strides, ranges, torch.device("cpu"))
    matched = of_truth(places, torch.tensor(boxes).view(-1, 4), radius)
    return [
        {(*map(int, place), int(side)) for place, side in zip(points, sides, strict=True)}
        for index in range(len(boxes))
        for points, sides in [
            (
                places.points[matched == index].tolist(),
                (places.boxes[:, 2] - places.boxes[:, 0])[matched == index].tolist(),
            )
        ]
    ]


def test_points_near_the_centre_are_assigned():
    near = found_at([[0.0, 0, 64, 64]])[0]
    assert near == {(x, y, 8) for x in (24, 32, 40) for y in (24, 32, 40)}
    assert len(found_at([[0.0, 0, 64, 64]], radius=100.0)[0]) == 7 * 7


def test_a_point_on_the_edge_of_a_box_is_outside():
    assert found_at([[8.0, 8, 24, 24]]) == [{(16, 16, 8)}]


def test_a_point_is_assigned_the_smallest_object():
    large, small = found_at([[0.0, 0, 64, 64], [28.0, 28, 36, 36]])
    assert small == {(32, 32, 8)} and len(large) == 8
    assert found_at([[28.0, 28, 36, 36], [0.0, 0, 64, 64]]) == [small, large]


def test_the_ranges_of_the_maps_have_no_gaps():
    # From (32, 32) the sides are exactly 32 pixels away.
    on_bound = found_at([[0.0, 0, 64, 64]], (8, 16), (32.0,))[0]
    assert on_bound == {(x, y, 16) for x in (16, 32, 48) for y in (16, 32, 48)} | {
        place for place in on_bound if place[2] == 8
    }
    assert {(32, 32, 8), (32, 32, 16)} & on_bound == {(32, 32, 16)}
    assert found_at([[22.0, 22, 42, 42]], (8, 16), (32.0,))[0] == {
        (x, y, 8) for x in (24, 32, 40) for y in (24, 32, 40)
    }


def test_without_objects_no_point_is_assigned():
    places = places_of([(4, 4)], (8,), (), torch.device("cpu"))
    assert of_truth(places, torch.zeros(0, 4), 1.5).tolist() == [-1] * 16
    assert of_truth(places, torch.tensor([[9.0, 9, 9, 30]]), 1.5).tolist() == [-1] * 16
