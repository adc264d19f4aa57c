"""COCO's metrics against pycocotools, and the error of an image."""

import contextlib
import io
import json
import math
import subprocess
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import gvt
from gvt_detect.metrics import DetectionMetric, mistakes

SIZE = (120, 160)


def things(boxes, labels, scores=None, masks=False):
    """Return boxes with labels and rectangular masks: a truth, or with scores a prediction."""
    found = {
        "boxes": torch.tensor(boxes, dtype=torch.float32).view(-1, 4),
        "labels": torch.tensor(labels, dtype=torch.int64),
    }
    if masks:
        found["masks"] = torch.zeros(len(labels), *SIZE, dtype=torch.uint8)
        for mask, (left, top, right, bottom) in zip(found["masks"], boxes, strict=True):
            mask[int(top) : int(bottom), int(left) : int(right)] = 1
    if scores is not None:
        found["scores"] = torch.tensor(scores, dtype=torch.float32)
        if masks:
            found["masks"] = found["masks"].bool()
    return found


def said(truth):
    """Return a truth as a prediction."""
    found = {**truth, "scores": torch.linspace(0.99, 0.6, len(truth["labels"]))}
    return found | ({"masks": truth["masks"].bool()} if "masks" in truth else {})


def measured(predictions, targets, classes=3, masks=False):
    metric = DetectionMetric(classes, masks)
    for prediction, target in zip(predictions, targets, strict=True):
        metric.update([prediction], [target])
    return metric.compute()


def random_image(seed, masks=False, noise=0.0):
    """Return a truth of some boxes, and a prediction of most of them, moved by noise."""
    source = torch.Generator().manual_seed(seed)
    count = int(torch.randint(0, 7, (), generator=source))
    corners = (torch.rand(count, 2, generator=source) * 70).round()
    sides = (8 + torch.rand(count, 2, generator=source) * 40).round()
    labels = torch.randint(0, 3, (count,), generator=source)
    boxes = torch.cat([corners, corners + sides], dim=1)
    moved = (boxes + noise * torch.randn(count, 4, generator=source)).round()
    moved[:, 2:] = moved[:, 2:].maximum(moved[:, :2] + 1)
    moved = moved.clamp(min=0)
    kept = torch.rand(count, generator=source) < 0.8
    scores = torch.rand(count, generator=source).sort(descending=True).values
    truth = things(boxes.tolist(), labels.tolist(), masks=masks)
    prediction = things(
        moved[kept].tolist(), labels[kept].tolist(), scores[: int(kept.sum())].tolist(), masks
    )
    return prediction, truth


def ignored(image):
    return image.get("ignored", torch.zeros(len(image["labels"]), dtype=torch.bool))


def by_hand(predictions, targets, kind):
    """Return the 12 values of pycocotools, with files as on disk."""
    from pycocotools import mask as coding
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    def entries(images, with_scores):
        for number, image in enumerate(images):
            for row, (left, top, right, bottom) in enumerate(image["boxes"].tolist()):
                entry = {"image_id": number, "category_id": int(image["labels"][row]) + 1}
                if kind == "bbox":
                    entry["bbox"] = [left, top, right - left, bottom - top]
                else:
                    pixels = image["masks"][row].numpy().astype("uint8")
                    entry["segmentation"] = coding.encode(pixels.copy(order="F"))
                if with_scores:
                    entry["score"] = float(image["scores"][row])
                else:
                    entry |= {"id": row + 100 * number + 1, "iscrowd": int(ignored(image)[row])}
                    entry["area"] = (right - left) * (bottom - top)
                yield entry

    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = {
            "info": {},
            "images": [{"id": n, "height": SIZE[0], "width": SIZE[1]} for n in range(len(targets))],
            "annotations": list(entries(targets, with_scores=False)),
            "categories": [{"id": n} for n in (1, 2, 3)],
        }
        truth.createIndex()
        judged = COCOeval(truth, truth.loadRes(list(entries(predictions, True))), kind)
        judged.evaluate()
        judged.accumulate()
        judged.summarize()
    return judged


ORDER = ("ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large")
ORDER += ("ar_1", "ar_10", "ar_100", "ar_small", "ar_medium", "ar_large")


@pytest.mark.parametrize("crowds", [False, True])
@pytest.mark.parametrize("kind", ["bbox", "segm"])
def test_the_figures_are_those_of_pycocotools(kind, crowds):
    pairs = [random_image(seed, masks=True, noise=2.0) for seed in range(12)]
    predictions, targets = zip(*pairs, strict=True)
    for target in targets if crowds else ():
        target["ignored"] = torch.arange(len(target["labels"])) % 3 == 1
    found = measured(predictions, targets, masks=kind == "segm")
    judged = by_hand(predictions, targets, kind)
    prefix = "mask_" if kind == "segm" else ""
    assert 0.1 < found[f"{prefix}ap"] < 0.9
    for name, value in zip(ORDER, judged.stats, strict=True):
        here = float(found[prefix + name])
        assert math.isnan(here) if value == -1 else here == pytest.approx(value, abs=1e-6), name
    precision = judged.eval["precision"]
    of_classes = precision[..., 0, -1].mean(axis=(0, 1))
    assert found[f"{prefix}ap_class"].tolist() == pytest.approx(of_classes.tolist())
    at_half = precision[0, :, :, 0, -1]
    assert found[f"{prefix}ap50_class"].tolist() == pytest.approx(at_half.mean(axis=0).tolist())
    curves = found[f"{prefix}precision_recall"]
    assert curves.names == ("recall", "precision")
    assert torch.allclose(curves.y.T.double(), torch.from_numpy(at_half))


BOX = st.tuples(*[st.integers(0, 50)] * 2, *[st.integers(1, 60)] * 2).map(
    lambda b: [b[0], b[1], b[0] + b[2], b[1] + b[3]]
)
IMAGES = st.lists(st.lists(st.tuples(BOX, st.integers(0, 2)), max_size=4), min_size=1, max_size=4)


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("where", ["boxes", "scores"])
def test_nan_is_an_error(where, value):
    truth = things([[10, 10, 40, 40]], [0])
    prediction = said(truth)
    prediction[where] = torch.full_like(prediction[where], value)
    with pytest.raises(gvt.NonFiniteError, match="not a finite number"):
        measured([prediction], [truth])


@settings(max_examples=25, deadline=None)
@given(IMAGES)
def test_the_truth_scores_one(images):
    targets = [things([b for b, _ in i], [n for _, n in i], masks=True) for i in images]
    found = measured([said(t) for t in targets], targets, masks=True)
    present = {n for i in images for _, n in i}
    for name in ("ap", "ap50", "ap75", "ar_100", "mask_ap", "mask_ap50", "mask_ar_100"):
        assert float(found[name]) == 1 or (not present and math.isnan(found[name])), name
    for name in ("ap_class", "ap50_class", "mask_ap_class"):
        values = found[name].tolist()
        assert all(v == 1 if n in present else math.isnan(v) for n, v in enumerate(values))
    if present:
        assert (found["precision_recall"].y[sorted(present)] == 1).all()
    assert mistakes([said(t) for t in targets], targets).tolist() == [0] * len(images)


def test_a_shifted_box_counts_up_to_its_iou():
    targets = [things([[0, 0, 100, 100]], [0])]
    found = measured([things([[0, 0, 100, 72]], [0], [0.9])], targets)  # an IoU of 0.72
    assert float(found["ap50"]) == 1
    assert float(found["ap75"]) == 0
    assert float(found["ap"]) == pytest.approx(0.5)  # 0.5, 0.55, 0.6, 0.65 and 0.7 of ten
    assert float(found["ap_large"]) == pytest.approx(0.5)
    assert math.isnan(found["ap_small"])


def test_no_detections_are_zero_and_a_class_without_objects_is_nan():
    targets = [things([[0, 0, 10, 10], [20, 20, 50, 50]], [0, 2]), things([], [])]
    found = measured([things([], [], [])] * 2, targets)
    assert [float(found[n]) for n in ("ap", "ap50", "ar_100", "ap_small")] == [0, 0, 0, 0]
    assert math.isnan(found["ap_large"])
    of_classes = found["ap_class"].tolist()
    assert of_classes[::2] == [0, 0]
    assert math.isnan(of_classes[1])


@pytest.mark.parametrize("masks", [False, True])
def test_a_false_positive_lowers_precision(masks):
    truth = things([[0, 0, 40, 40]], [0], masks=masks)
    nothing = things([], [], masks=masks)
    wrong = things([[5, 5, 30, 30]], [0], [0.95], masks=masks)
    right = things([[0, 0, 40, 40]], [0], [0.5], masks=masks)
    found = measured([right, wrong], [truth, nothing], masks=masks)
    for name in ("ap", "mask_ap") if masks else ("ap",):
        assert float(found[name]) == pytest.approx(0.5)


def test_without_samples_all_is_nan():
    found = DetectionMetric(2, masks=False).compute()
    assert all(math.isnan(found[name]) for name in ORDER)
    assert found["ap_class"].shape == (2,)
    assert found["precision_recall"].y.isnan().all()
    nothing = measured([things([], [], [])], [things([], [])])
    assert nothing.keys() == found.keys()
    assert math.isnan(nothing["ap"])


def test_predictions_without_masks_are_compared_by_boxes():
    truth = things([[0, 0, 40, 40]], [0], masks=True)
    found = measured([things([[0, 0, 40, 40]], [0], [0.9])], [truth], masks=True)
    assert float(found["ap"]) == 1
    assert not any(name.startswith("mask_") for name in found)


def test_many_detections_do_not_warn(recwarn):
    boxes = [[n % 100, n % 70, n % 100 + 20, n % 70 + 20] for n in range(150)]
    prediction = things(boxes, [0] * 150, torch.linspace(1, 0, 150).tolist())
    measured([prediction], [things(boxes[:2], [0, 0])])
    assert not recwarn.list


SHARE = """
import json, sys, torch
torch.distributed.init_process_group("gloo")
rank = torch.distributed.get_rank()
from gvt_detect.metrics import DetectionMetric
values = []
for shares in torch.load(sys.argv[1]):
    metric = DetectionMetric(3, masks=True)
    for prediction, target in shares[rank]:
        metric.update([prediction], [target])
    found = metric.compute()
    values.append({name: v.tolist() for name, v in found.items() if isinstance(v, torch.Tensor)})
with open(f"{sys.argv[1]}.{rank}", "w") as file:
    json.dump(values, file)
torch.distributed.destroy_process_group()
"""


@pytest.mark.slow
def test_processes_add_up_with_any_number_of_images(tmp_path):
    pairs = [random_image(seed, masks=True, noise=2.0) for seed in range(7)]
    alone = measured([p for p, _ in pairs], [t for _, t in pairs], masks=True)
    torch.save([[pairs[:5], pairs[5:]], [pairs, []], [[], []]], tmp_path / "pairs")
    (tmp_path / "share.py").write_text(SHARE)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += ["--nproc-per-node=2", str(tmp_path / "share.py"), str(tmp_path / "pairs")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    first, second = ((tmp_path / f"pairs.{rank}").read_text() for rank in range(2))
    assert first == second
    unequal, one_empty, nothing = json.loads(first)
    for name in ("ap", "ap_small", "ar_1", "mask_ap", "ap_class", "mask_ap50_class"):
        for values in (unequal, one_empty):
            assert values[name] == pytest.approx(alone[name].tolist(), nan_ok=True), name
    assert math.isnan(nothing["ap"])


def test_the_error_of_an_image():
    truth = things([[0, 0, 40, 40], [60, 0, 90, 40], [0, 60, 40, 100]], [0, 0, 1])
    right = [[0, 0, 40, 40], [60, 0, 90, 40], [0, 60, 40, 100]]
    cases = {
        "all": (things(right, [0, 0, 1], [0.9, 0.8, 0.7]), 0.0),
        "unsure ones do not count": (
            things([*right, [100, 50, 120, 80]], [0, 0, 1, 0], [0.9, 0.8, 0.7, 0.49]),
            0.0,
        ),
        "one too unsure": (things(right, [0, 0, 1], [0.9, 0.8, 0.49]), 1 - 4 / 5),
        "one of another class": (things(right, [0, 0, 2], [0.9, 0.8, 0.7]), 1 - 4 / 6),
        "one twice": (things([right[0]] * 2, [0, 0], [0.9, 0.8]), 1 - 2 / 5),
        "none": (things([], [], []), 1.0),
    }
    found = mistakes([p for p, _ in cases.values()], [truth] * len(cases))
    assert found.tolist() == pytest.approx([wrong for _, wrong in cases.values()])
    nothing = things([], [])
    assert mistakes([things([], [], []), cases["all"][0]], [nothing] * 2).tolist() == [0, 1]


def test_detections_are_matched_by_descending_score():
    truth = things([[0, 0, 40, 40], [10, 0, 50, 40]], [0, 0])
    # Each overlaps both; the surer one, though listed last, takes the one that it overlaps most.
    prediction = things([[4, 0, 44, 40], [0, 0, 40, 40]], [0, 0], [0.6, 0.9])
    assert mistakes([prediction], [truth]).tolist() == [0]
