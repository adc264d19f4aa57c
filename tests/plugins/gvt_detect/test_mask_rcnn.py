"""Mask R-CNN: learning of masks, and their position in the image."""

import pytest
import torch
import torch.nn.functional as F
from torchvision.models.detection.roi_heads import paste_masks_in_image

import gvt
from gvt_author.testing.stand_ins import TinyBackbone
from gvt_detect.mask_rcnn import PASTED, _pasted

CANVAS = (64, 96)


def head_of(info, **parameters):
    torch.manual_seed(0)
    known = {"feature_info": info, "num_classes": 3, "hidden": 16, "mask_layers": [8, 8]}
    return gvt.create("head", "mask_rcnn", **(known | parameters))


def task_of(**parameters):
    torch.manual_seed(0)
    backbone = TinyBackbone((3, *CANVAS), widths=(16, 32, 48))
    return gvt.MultiHead(backbone, {"masks": head_of(backbone.feature_info, **parameters)})


def discs():
    """Return two images of discs, whose masks differ from their boxes; the second is padded."""
    torch.manual_seed(0)
    sizes = (CANVAS, (48, 70))
    centres = [[(26, 26, 18), (44, 72, 18)], [(24, 40, 20)]]
    images, ragged = torch.rand(2, 3, *CANVAS) * 0.2, {"boxes": [], "labels": [], "masks": []}
    y, x = torch.meshgrid(*(torch.arange(side) + 0.5 for side in CANVAS), indexing="ij")
    for image, size, of_image in zip(images, sizes, centres, strict=True):
        masks = torch.stack(
            [(y - row).square() + (x - column).square() < r * r for row, column, r in of_image]
        )
        masks[:, size[0] :], masks[:, :, size[1] :] = False, False
        image.add_(masks.any(dim=0), alpha=0.8)
        image[:, size[0] :], image[:, :, size[1] :] = 0, 0
        edges = [
            [max(0, column - r), max(0, row - r), min(size[1], column + r), min(size[0], row + r)]
            for row, column, r in of_image
        ]
        ragged["boxes"].append(torch.tensor(edges, dtype=torch.float32))
        ragged["labels"].append(torch.ones(len(of_image), dtype=torch.int64))
        ragged["masks"].append(masks.to(torch.uint8))
    return gvt.Batch({"image": images}, gvt.Frame(sizes, CANVAS), targets=gvt.Targets({}, ragged))


@pytest.mark.slow
def test_it_learns_masks_in_the_image():
    batch = discs()
    task = task_of(hidden=64, anchor_sizes=[[32, 40]], roi_batch=32, proposals_train=[200, 60])
    optimizer = torch.optim.Adam(task.parameters(), lr=2e-3)
    for index in range(80):
        losses = task("supervised", batch, gvt.Step(index))
        optimizer.zero_grad()
        sum(losses.values()).backward()
        optimizer.step()
    assert list(losses) == ["objectness", "rpn_box", "classification", "box", "mask"]
    with torch.no_grad():
        predictions = [of_heads["masks"] for of_heads in task.predict(batch)]
    for row, prediction in enumerate(predictions):
        truth = batch.targets["masks"][row] > 0
        masks = prediction["masks"]
        assert masks.dtype == torch.bool and masks.shape == (len(prediction["boxes"]), *CANVAS)
        found = masks[: len(truth)].flatten(1)
        both = (found[:, None] & truth.flatten(1)).sum(dim=-1)
        either = (found[:, None] | truth.flatten(1)).sum(dim=-1)
        assert ((both / either).amax(dim=0) > 0.75).all()
        height, width = batch.frame.sizes[row]
        assert not masks[:, height:].any() and not masks[:, :, width:].any()


def test_the_mask_loss_for_any_dtype_and_size_of_the_canvas():
    batch, found = discs(), []
    head = task_of().heads["masks"]
    features = {name: torch.rand(2, c, 64 // s, 96 // s) for name, (c, s) in _info(head).items()}
    as_whole = [
        F.pad(m[:, :h, :w], (0, 96 - w, 0, 64 - h), value=1)
        for m, (h, w) in zip(batch.targets["masks"], batch.frame.sizes, strict=True)
    ]
    variants = [
        batch.targets["masks"],
        [masks.bool() for masks in batch.targets["masks"]],
        [masks.float() for masks in batch.targets["masks"]],
        as_whole,  # what lies in the padding is nobody's
    ]
    for masks in variants:
        ragged = {**batch.targets.ragged, "masks": masks}
        torch.manual_seed(0)
        found.append(head.loss(head(features, batch), gvt.Targets({}, ragged))["mask"])
    assert len({loss.item() for loss in found}) == 1


def _info(head):
    return {"stage3": (48, 8)} if head.maps == ["stage3"] else pytest.fail(str(head.maps))


def test_a_batch_without_objects_trains():
    task = task_of()
    nothing = {
        "boxes": [torch.zeros(0, 4)] * 2,
        "labels": [torch.zeros(0, dtype=torch.int64)] * 2,
        "masks": [torch.zeros(0, *CANVAS, dtype=torch.uint8)] * 2,
    }
    batch = gvt.Batch.of_images(torch.rand(2, 3, *CANVAS), targets=gvt.Targets({}, nothing))
    losses = task("supervised", batch, gvt.Step(0))
    sum(losses.values()).backward()
    assert all(loss.isfinite() for loss in losses.values())
    assert all(p.grad.isfinite().all() for p in task.parameters())
    assert task.heads["masks"].rpn.head.cls_logits.weight.grad.abs().sum() > 0


def test_no_detections_have_no_masks():
    task = task_of(score_threshold=1.0)
    with torch.no_grad():
        prediction = task.predict(discs())[1]["masks"]
    assert (prediction["masks"].shape, prediction["masks"].dtype) == ((0, *CANVAS), torch.bool)


def test_masks_pasted_in_parts_are_those_pasted_at_once():
    torch.manual_seed(0)
    size, canvas, count = (50, 70), (64, 96), 2 * PASTED + 3
    near = torch.rand(count, 2) * 40
    boxes = torch.cat([near, near + 5 + torch.rand(count, 2) * 5], dim=1)
    masks = torch.rand(count, 1, 28, 28)
    found = _pasted(masks, boxes, size, canvas)
    assert torch.equal(found[:, :50, :70], paste_masks_in_image(masks, boxes, size)[:, 0] > 0.5)
    assert not found[:, 50:].any() and not found[:, :, 70:].any()
    assert found.any(dim=0)[:50, :70].any()


def test_under_autocast_the_mask_loss_is_float32():
    task = task_of()
    with torch.autocast("cpu", torch.bfloat16):
        losses = task("supervised", discs(), gvt.Step(0))
        predictions = task.predict(discs())
    assert losses["mask"].dtype == torch.float32 and losses["mask"].isfinite()
    assert predictions[0]["masks"]["masks"].dtype == torch.bool


def test_no_mask_layers_is_one_clear_line():
    with pytest.raises(gvt.ConfigError, match="mask_layers is empty"):
        task_of(mask_layers=[])


def test_it_needs_masks_and_its_mask_loss_has_a_weight():
    head = head_of({"stage": (8, 16)}, weights={"mask": 2.0})
    assert head.needs == ("boxes", "labels", "masks")
    batch = discs()
    outputs = head({"stage": torch.rand(2, 8, 4, 6)}, batch)
    found = []
    for head.weights in ({}, {"mask": 2.0}):
        torch.manual_seed(0)
        found.append(head.loss(outputs, batch.targets)["mask"])
    torch.testing.assert_close(2 * found[0], found[1])
