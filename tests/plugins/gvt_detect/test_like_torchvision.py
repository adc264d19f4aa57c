"""The heads equal torchvision's models, with the same weights on the same batch."""

import pytest
import torch
from torch import nn
from torchvision.models.detection import FasterRCNN, MaskRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.ops import MultiScaleRoIAlign

import gvt
from gvt_author.testing.stand_ins import TinyBackbone

CANVAS = (128, 192)
CLASSES = 3
NAMES = {
    "loss_objectness": "objectness",
    "loss_rpn_box_reg": "rpn_box",
    "loss_classifier": "classification",
    "loss_box_reg": "box",
    "loss_mask": "mask",
}


class Below(nn.Module):
    """A gvt backbone with torchvision's interface: the maps in use, and their channels."""

    def __init__(self, backbone, maps):
        super().__init__()
        self.backbone, self.maps = backbone, maps
        self.out_channels = backbone.feature_info[maps[0]][0]

    def forward(self, images):
        features = self.backbone(images)
        return {name: features[name] for name in self.maps}


def backbone_of(kind):
    torch.manual_seed(0)
    if kind == "single map":
        return TinyBackbone((3, *CANVAS))
    resnet = gvt.create("backbone", "timm", model="resnet18", image_shape=(3, *CANVAS))
    return gvt.create("backbone", "fpn", backbone=resnet, channels=16, pool=True)


def head_of(name, backbone):
    small = {"mask_layers": (16, 16)} if name == "mask_rcnn" else {}
    info = backbone.feature_info
    torch.manual_seed(1)
    head = gvt.create("head", name, feature_info=info, num_classes=CLASSES, hidden=32, **small)
    # So that boxes differ from their anchors, and one class from another.
    for layer in (head.rpn.head.bbox_pred, head.roi_heads.box_predictor.cls_score):
        nn.init.normal_(layer.weight, std=0.1)
    return head


def theirs_of(name, head, backbone):
    """Return torchvision's model with the same weights."""
    pooled = head.roi_heads.box_roi_pool.featmap_names
    parts = {
        "rpn_anchor_generator": AnchorGenerator(
            head.rpn.anchor_generator.sizes, ((0.5, 1.0, 2.0),) * len(head.maps)
        ),
        "box_roi_pool": MultiScaleRoIAlign(pooled, 7, 2),
        "box_head": type(head.roi_heads.box_head)(
            head.roi_heads.box_head.fc6.in_features, head.roi_heads.box_head.fc7.out_features
        ),
        "box_predictor": type(head.roi_heads.box_predictor)(32, CLASSES + 1),
    }
    if name == "mask_rcnn":
        width = backbone.feature_info[head.maps[0]][0]
        parts["mask_roi_pool"] = MultiScaleRoIAlign(pooled, 14, 2)
        parts["mask_head"] = type(head.roi_heads.mask_head)(width, (16, 16), 1)
        parts["mask_predictor"] = type(head.roi_heads.mask_predictor)(16, 16, CLASSES + 1)
    model = (MaskRCNN if name == "mask_rcnn" else FasterRCNN)(
        Below(backbone, head.maps),
        image_mean=[0.0] * 3,
        image_std=[1.0] * 3,
        _skip_resize=True,  # which it does in train mode only
        min_size=CANVAS[0],
        max_size=CANVAS[1],
        **parts,
    )
    model.rpn.load_state_dict(head.rpn.state_dict())
    model.roi_heads.load_state_dict(head.roi_heads.state_dict())
    return model


def batch_of():
    """Return three images of the canvas's size, the last one without objects."""
    torch.manual_seed(2)
    boxes = [
        torch.tensor([[10.0, 12.0, 70.0, 60.0], [100.0, 30.0, 180.0, 120.0], [0.0, 0.0, 9.0, 9.0]]),
        torch.tensor([[33.5, 20.25, 99.0, 127.5]]),
        torch.zeros(0, 4),
    ]
    masks = [torch.zeros(len(b), *CANVAS, dtype=torch.uint8) for b in boxes]
    for of_image, of_boxes in zip(masks, boxes, strict=True):
        for mask, (x1, y1, x2, y2) in zip(of_image, of_boxes.long().tolist(), strict=True):
            mask[y1:y2, x1 : (x1 + x2) // 2] = 1
    labels = [torch.tensor([0, 2, 1]), torch.tensor([2]), torch.zeros(0, dtype=torch.int64)]
    targets = gvt.Targets({}, {"boxes": boxes, "labels": labels, "masks": masks})
    return gvt.Batch.of_images(torch.rand(3, 3, *CANVAS), targets=targets)


@pytest.fixture(params=["faster_rcnn", "mask_rcnn"])
def name(request):
    return request.param


@pytest.mark.parametrize("kind", ["pyramid", "single map"])
def test_losses_predictions_and_gradients_are_torchvisions(name, kind):
    backbone, batch = backbone_of(kind).eval(), batch_of()
    head = head_of(name, backbone)
    theirs = theirs_of(name, head, backbone)
    truth = [{**target, "labels": target["labels"] + 1} for target in batch.targets.per_image(3)]

    theirs.train()
    backbone.eval()
    torch.manual_seed(3)
    wanted = {NAMES[key]: loss for key, loss in theirs(list(batch.images), truth).items()}
    sum(wanted.values()).backward()
    gradients = {n: p.grad for n, p in theirs.named_parameters() if "backbone" not in n}
    theirs.eval()
    with torch.no_grad():
        detections = theirs(list(batch.images))

    for training in (True, False):
        head.train(training)
        outputs = head(backbone(batch.images), batch)
        predictions = head.predict(outputs)
        torch.manual_seed(3)
        losses = head.loss(outputs, batch.targets)
        head.zero_grad()
        sum(losses.values()).backward()
        assert losses.keys() == wanted.keys()
        for key, loss in losses.items():
            torch.testing.assert_close(loss, wanted[key], rtol=1e-5, atol=1e-5)
        for key, parameter in head.named_parameters():
            torch.testing.assert_close(parameter.grad, gradients[key], rtol=1e-4, atol=1e-5)
        assert sum(len(p["boxes"]) for p in predictions) > 20
        for ours, found in zip(predictions, detections, strict=True):
            torch.testing.assert_close(ours["boxes"], found["boxes"], rtol=1e-5, atol=1e-5)
            torch.testing.assert_close(ours["scores"], found["scores"], rtol=1e-5, atol=1e-5)
            assert torch.equal(ours["labels"], found["labels"] - 1)
            if "masks" in found:
                assert torch.equal(ours["masks"], found["masks"][:, 0] > 0.5)
                assert ours["masks"].any()


def test_weights_have_torchvisions_names(name):
    backbone = backbone_of("pyramid")
    head = head_of(name, backbone)
    theirs = theirs_of(name, head, backbone).state_dict()
    assert list(head.state_dict()) == [key for key in theirs if not key.startswith("backbone.")]
