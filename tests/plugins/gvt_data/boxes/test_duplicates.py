"""Objects that are annotated twice in one image count once, in training and in evaluation."""

import json

import numpy as np
import pytest
import torch

import gvt
from gvt_data.boxes.annotation import Thing
from gvt_data.boxes.box_set import MASKS, REPEATED
from gvt_data.boxes.coco import COCO
from gvt_data.boxes.duplicates import SAME, duplicates
from gvt_predict.coco_results import Results

FORMATS = ("voc", "coco", "yolo")
BOX, OTHER = (2.0, 3.0, 22.0, 13.0), (10.0, 5.0, 40.0, 30.0)


def opened(name, root, **parameters):
    """Return the training split of a format."""
    usual = {"voc": {"corners": "exact"}, "yolo": {"val": 0.0}}
    parameters = {**usual.get(name, {}), **parameters}
    return gvt.create("dataset", name, split="train", root=str(root), **parameters)


@pytest.mark.parametrize("name", FORMATS)
def test_a_repeated_box_counts_once_with_a_warning(name, formats, scene, tmp_path):
    objects = [("cell", BOX), ("dot", OTHER), ("cell", BOX), ("dot", BOX), ("cell", BOX)]
    scenes = [scene("a", (30, 40), objects), scene("b", (30, 40), [("cell", BOX)])]
    root = formats[name](tmp_path / "data", scenes)
    with pytest.warns(UserWarning, match=r"^split train: objects annotated twice .*: 2 \(.*\) is"):
        dataset = opened(name, root)
    sample = dataset[0]
    boxes = [pytest.approx(box, abs=1e-4) for box in (BOX, OTHER, BOX)]
    assert sample.targets["boxes"].tolist() == boxes
    assert sample.targets["labels"].tolist() == [0, 1, 1]
    assert sample.record.truth()["boxes"].tolist() == boxes
    assert sample.record.truth()["labels"].tolist() == [0, 1, 1]
    assert len(dataset[1].targets["boxes"]) == 1
    assert dataset.info.left_out == {REPEATED: 2}
    assert dataset.info.problems == {}
    if name == "coco":
        assert sample.targets["masks"].shape == (3, 30, 40)


@pytest.mark.filterwarnings("ignore:split train", "ignore:__array__")
@pytest.mark.parametrize("name", FORMATS)
def test_a_perfect_detector_is_perfect(name, formats, scene, tmp_path):
    scenes = [scene(n, (30, 40), [("cell", BOX), ("cell", BOX), ("dot", OTHER)]) for n in "ab"]
    dataset = opened(name, formats[name](tmp_path / "data", scenes))
    results = [
        {
            "file_name": f"{n}.png",
            "category_name": label,
            "bbox": [left, top, right - left, bottom - top],
            "score": 0.9,
        }
        for n in "ab"
        for label, (left, top, right, bottom) in (("cell", BOX), ("dot", OTHER))
    ]
    path = tmp_path / "results.json"
    path.write_text(json.dumps(results))
    read = Results.read(path, dataset.info.classes)
    facts = {"feature_info": {"a": (4, 8)}, "num_classes": 2, "hidden": 4}
    metric = gvt.create("head", "faster_rcnn", **facts).metric()
    for index in range(2):
        record = dataset[index].record
        metric.update([read.of(record)], [dict(record.truth())])
    assert float(metric.compute()["ap"]) == 1


def twins(*things):
    boxes = np.array([thing.box for thing in things], np.float32)
    return duplicates(things, boxes, (60, 60))


def corners(left, top, right, bottom):
    return [[left, top, right, top, right, bottom, left, bottom]]


def test_boxes_are_the_same_up_to_rounding():
    moved = tuple(edge + 0.9 * SAME for edge in BOX)
    away = (BOX[0] + 2 * SAME, *BOX[1:])
    things = [Thing("a", box) for box in (BOX, moved, away)]
    assert twins(*things) == {1: 0}
    assert twins(Thing("a", BOX), Thing("b", BOX)) == {}
    assert twins(*[Thing("a", BOX)] * 4) == {1: 0, 2: 0, 3: 0}


def test_an_object_that_counts_stays_before_one_that_is_ignored():
    crowd, plain = Thing("a", BOX, ignored=True), Thing("a", BOX)
    assert twins(crowd, plain) == {0: 1}
    assert twins(crowd, crowd) == {1: 0}


def test_an_outline_stays_before_a_box():
    outlined = Thing("a", BOX, corners(*BOX))
    assert twins(Thing("a", BOX), outlined) == {0: 1}
    again = Thing("a", BOX, [[22, 3, 22, 13, 2, 13, 2, 3]])
    assert twins(outlined, again) == {1: 0}


def test_outlines_that_differ_are_two_objects():
    one = Thing("a", BOX, [[2, 3, 22, 3, 2, 13]])
    other = Thing("a", BOX, [[22, 13, 22, 3, 2, 13]])
    assert twins(one, other) == {}
    assert twins(one, other, one) == {2: 0}


@pytest.mark.filterwarnings("ignore:split train")
def test_two_outlines_in_one_box_are_two_masks_and_one_box(formats, as_document, scene, tmp_path):
    scenes = [scene("a", (30, 40), [("cell", BOX), ("cell", BOX)])]
    content = as_document(scenes)
    content["annotations"][0]["segmentation"] = [[2, 3, 22, 3, 2, 13]]
    content["annotations"][1]["segmentation"] = [[22, 13, 22, 3, 2, 13]]
    root = formats["coco"](tmp_path / "data", scenes, content)
    assert COCO("train", str(root))[0].targets["masks"].shape == (2, 30, 40)
    assert COCO("train", str(root), masks=False)[0].targets["boxes"].shape == (1, 4)


@pytest.mark.filterwarnings("ignore:split train")
def test_a_box_beside_its_outline_does_not_cost_the_masks(formats, as_document, scene, tmp_path):
    scenes = [scene("a", (30, 40), [("cell", BOX), ("cell", BOX)])]
    content = as_document(scenes)
    content["annotations"][0]["segmentation"] = []
    root = formats["coco"](tmp_path / "data", scenes, content)
    dataset = COCO("train", str(root))
    assert dataset[0].targets["masks"].sum() == 200
    assert MASKS not in dataset.info.left_out


def test_the_fingerprint_is_that_of_each_once(formats, scene, tmp_path):
    once = formats["yolo"](tmp_path / "once", [scene("a", (30, 40), [("cell", BOX)])])
    twice = formats["yolo"](tmp_path / "twice", [scene("a", (30, 40), [("cell", BOX)] * 2)])
    with pytest.warns(UserWarning, match="twice"):
        dataset = opened("yolo", twice)
    assert dataset.info.fingerprint == opened("yolo", once).info.fingerprint
    assert torch.equal(dataset[0].targets["boxes"], opened("yolo", once)[0].targets["boxes"])
