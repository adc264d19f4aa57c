"""SSD: torchvision's outputs, default boxes, their matching, and negatives."""

import math

import pytest
import torch
from torch import nn
from torchvision.models.detection.anchor_utils import DefaultBoxGenerator
from torchvision.models.detection.ssd import SSD
from torchvision.ops import box_iou

import gvt
from gvt_author.testing.stand_ins import TinyBackbone

SIDE = 128
STAGES = {"stage2": (8, 4), "stage3": (12, 8), "stage4": (16, 16)}


def head_of(info=None, **parameters):
    torch.manual_seed(0)
    known = {"feature_info": info or STAGES, "num_classes": 3, "extra_channels": 16} | parameters
    return gvt.create("head", "ssd", **known)


def frame_of(canvas, count=2):
    return gvt.Frame((canvas,) * count, canvas)


def features_of(canvas, info=STAGES, count=2):
    torch.manual_seed(1)
    return {
        name: torch.rand(count, channels, *(math.ceil(side / stride) for side in canvas))
        for name, (channels, stride) in info.items()
    }


# --- torchvision ------------------------------------------------------------------------------


class Below(nn.Module):
    """A backbone with the maps that a head adds, for torchvision's SSD."""

    def __init__(self, backbone, head):
        super().__init__()
        self.backbone, self.maps, self.extra = backbone, head.maps, head.extra
        self.out_channels = [12, 16, 16, 16]

    def forward(self, images):
        features = self.backbone(images)
        maps = [features[name] for name in self.maps]
        for block in self.extra:
            maps.append(block(maps[-1]))
        return dict(enumerate(maps))


def theirs_of(head, backbone):
    generator = head.anchor_generator
    model = SSD(
        Below(backbone, head),
        DefaultBoxGenerator(
            generator.aspect_ratios,
            scales=[size / SIDE for size in generator.scales],
            steps=generator.steps,
            clip=False,
        ),
        (SIDE, SIDE),
        4,
        image_mean=[0.0] * 3,
        image_std=[1.0] * 3,
        score_thresh=head.selection.score_threshold,
        nms_thresh=head.selection.nms,
        detections_per_img=head.selection.max_detections,
        topk_candidates=10_000,
    )
    model.head.load_state_dict(head.head.state_dict())
    return model


def labelled():
    torch.manual_seed(2)
    boxes = [
        torch.tensor([[10.0, 12.5, 70.3, 60.1], [80.1, 30, 120.4, 120], [40.2, 20.3, 61.7, 45.9]]),
        torch.tensor([[33.5, 20.25, 99.1, 127.5], [1.5, 1.5, 20.2, 16.3]]),
    ]
    targets = gvt.Targets(
        {}, {"boxes": boxes, "labels": [torch.tensor([0, 2, 1]), torch.tensor([2, 0])]}
    )
    return gvt.Batch(
        {"image": torch.rand(2, 3, SIDE, SIDE)}, frame_of((SIDE, SIDE)), targets=targets
    )


def test_losses_predictions_and_gradients_are_torchvisions_in_either_mode():
    backbone, batch = TinyBackbone((3, SIDE, SIDE)), labelled()
    head = head_of(backbone.feature_info, score_threshold=0.2, candidates=10_000)
    theirs = theirs_of(head, backbone)
    truth = [{**target, "labels": target["labels"] + 1} for target in batch.targets.per_image(2)]
    wanted = theirs(list(batch.images), truth)
    wanted["box"] = wanted.pop("bbox_regression")
    assert min(loss.item() for loss in wanted.values()) > 0.1
    sum(wanted.values()).backward()
    gradients = [p.grad.clone() for p in (*theirs.head.parameters(), *head.extra.parameters())]
    theirs.eval()
    with torch.no_grad():
        detections = theirs(list(batch.images))
    assert min(len(found["scores"]) for found in detections) > 20
    for training in (True, False):
        head.train(training).zero_grad()
        outputs = head(backbone(batch.images), batch)
        losses = head.loss(outputs, batch.targets)
        sum(losses.values()).backward()
        torch.testing.assert_close(losses, wanted, rtol=1e-5, atol=1e-5)
        ours = [p.grad for p in (*head.head.parameters(), *head.extra.parameters())]
        torch.testing.assert_close(ours, gradients, rtol=1e-4, atol=1e-5)
        for one, other in zip(head.predict(outputs), detections, strict=True):
            assert torch.equal(one["labels"], other["labels"] - 1)
            for key in ("boxes", "scores"):
                torch.testing.assert_close(one[key], other[key], rtol=1e-4, atol=1e-4)


# --- maps and default boxes -------------------------------------------------------------------


def test_default_and_added_maps():
    assert (head_of().maps, head_of().strides) == (["stage3", "stage4"], (8, 16, 32, 64))
    fine = {"a": (8, 2), "b": (12, 4)}
    assert (head_of(fine).maps, head_of(fine, extra=0).strides) == (["b"], (4,))
    # The maps of a vision transformer have one stride.
    assert head_of({"a": (8, 16), "b": (8, 16)}).maps == ["b"]
    assert head_of(maps=["stage2"], extra=1).strides == (4, 8)


@pytest.mark.parametrize("canvas", [(64, 64), (65, 97), (31, 7), (1, 1)])
def test_added_maps_have_as_many_cells_as_their_stride_says(canvas):
    outputs = head_of()(
        features_of(canvas), gvt.Batch({"image": torch.zeros(2, 3, *canvas)}, frame_of(canvas))
    )
    cells = [math.ceil(canvas[0] / s) * math.ceil(canvas[1] / s) for s in (8, 16, 32, 64)]
    count = 4 * cells[0] + 6 * sum(cells[1:])
    assert outputs.boxes.shape == (count, 4) and outputs.logits.shape == (2, count, 4)
    assert outputs.inside.all()


def test_default_boxes_are_in_pixels_for_any_canvas():
    head, found = head_of(extra=0), []
    for canvas in ((64, 64), (96, 160)):
        outputs = head(
            features_of(canvas), gvt.Batch({"image": torch.zeros(2, 3, *canvas)}, frame_of(canvas))
        )
        found.append(outputs.boxes[:4])
    assert torch.equal(*found)
    middles = (found[0][:, :2] + found[0][:, 2:]) / 2
    sides = found[0][:, 2:] - found[0][:, :2]
    torch.testing.assert_close(middles, torch.full((4, 2), 4.0))
    wide, high = 32 * 2**0.5, 32 / 2**0.5
    squares = [[32.0, 32.0], [(32 * 64) ** 0.5] * 2]
    torch.testing.assert_close(sides, torch.tensor([*squares, [wide, high], [high, wide]]))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"maps": ["stage9"]}, "the backbone has stage2, stage3, stage4"),
        ({"sizes": [16, 32]}, "5 ascending numbers, one for each map of strides 8, 16, 32, 64"),
        ({"sizes": [16, 32, 64, 32, 64]}, "5 ascending numbers"),
        ({"sizes": [16, 32, 32, 64, 128]}, "5 ascending numbers"),
        ({"maps": ["stage4", "stage3"], "extra": 0}, "ascending numbers"),
        ({"aspect_ratios": [[2], [2]]}, "has 2 lists for 4 maps"),
        ({"weights": {"centerness": 2.0}}, "weights for"),
        ({"iou": 1.5}, "iou"),
        ({"extra": -1}, "extra"),
    ],
)
def test_invalid_parameters_are_one_line(wrong, message):
    with pytest.raises(gvt.ConfigError, match=message) as error:
        head_of(**wrong)
    assert "\n" not in str(error.value)


# --- what is matched with what ----------------------------------------------------------------


def test_each_object_has_its_best_box_and_the_rest_is_by_overlap():
    matcher = head_of().matcher
    ious = torch.tensor([[0.6, 0.3, 0.1, 0.0], [0.55, 0.0, 0.2, 0.1], [0.0, 0.4, 0.0, 0.0]])
    # The first box is the best one of two objects, and goes to the one that it overlaps more.
    assert matcher(ious).tolist() == [0, 2, -1, -1]
    assert matcher(ious[1:]).tolist() == [0, 1, -1, -1]


def test_an_object_without_overlap_is_not_assigned():
    ious = torch.tensor([[0.0, 0.0, 0.0], [0.0, 0.7, 0.0]])
    assert head_of().matcher(ious).tolist() == [-1, 1, -1]


@pytest.mark.parametrize("negatives", [1.0, 3.0])
def test_the_hardest_negatives_of_each_image_count(negatives):
    head, canvas = head_of(extra=0, negatives=negatives), (32, 32)
    # One object is on exactly one default box, and the second image is empty.
    boxes = [torch.tensor([[-4.0, -4, 28, 28]]), torch.zeros(0, 4)]
    labels = [torch.tensor([1]), torch.zeros(0, dtype=torch.int64)]
    features = features_of(canvas)
    outputs = head(features, gvt.Batch({"image": torch.zeros(2, 3, *canvas)}, frame_of(canvas)))
    positive = [head.matcher(box_iou(boxes[0], outputs.boxes)) >= 0]
    positive.append(torch.zeros_like(positive[0]))
    losses = -outputs.logits.log_softmax(dim=2)
    wanted, count = torch.tensor(0.0), int(positive[0].sum())
    for of_image, there in zip(losses, positive, strict=True):
        wanted = wanted + of_image[there, 2].sum()
        most = int(negatives * max(int(there.sum()), 1))
        wanted = wanted + of_image[~there, 0].sort(descending=True).values[:most].sum()
    targets = gvt.Targets({}, {"boxes": boxes, "labels": labels})
    torch.testing.assert_close(head.loss(outputs, targets)["classification"], wanted / count)
    assert count >= 1
