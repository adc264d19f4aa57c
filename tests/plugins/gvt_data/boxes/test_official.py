"""Figures of COCO's files are those of COCO's own program, however pictures were fitted."""

import contextlib
import io
import json

import numpy as np
import pytest
from pycocotools import coco as official
from pycocotools.cocoeval import COCOeval

import gvt
from gvt_data.boxes.coco import COCO
from gvt_predict.coco_results import Results


def crowded(scene, seed):
    """Return scenes with some objects each."""
    source = np.random.default_rng(seed)
    scenes = []
    for name in "abcdef":
        objects = []
        for label in source.choice(["cell", "dot"], source.integers(1, 6)):
            left, top = source.integers(0, 60, 2).tolist()
            width, height = source.integers(8, 60, 2).tolist()
            objects.append((str(label), (left, top, left + width, top + height)))
        scenes.append(scene(name, (120, 120), objects))
    return scenes


@pytest.mark.filterwarnings("ignore:__array__")
@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("fit", [None, "crop", "within"])
def test_metrics_equal_the_official_ones(fit, seed, formats, as_document, scene, tmp_path):
    scenes = crowded(scene, seed)
    content = as_document(scenes)
    for annotation in content["annotations"][::4]:
        annotation["iscrowd"] = 1
    root = formats["coco"](tmp_path / "data", scenes, content)
    fitted = {} if fit is None else {"fit": fit, "size": (40, 90)}
    dataset = COCO("train", str(root), masks=False, **fitted)
    source = np.random.default_rng(seed)
    results = []
    for annotation in content["annotations"] * 2:
        box = np.array(annotation["bbox"]) + source.normal(0, 4, 4)
        entry = {key: annotation[key] for key in ("image_id", "category_id")}
        results.append({**entry, "bbox": box.tolist(), "score": float(source.random())})
    path = tmp_path / "results.json"
    path.write_text(json.dumps(results))
    parameters = {"feature_info": {"a": (4, 8)}, "num_classes": 2, "hidden": 4}
    metric = gvt.create("head", "faster_rcnn", **parameters).metric()
    read = Results.read(path, dataset.info.classes, dataset.info.category_ids)
    for index in range(len(dataset)):
        record = dataset[index].record
        metric.update([read.of(record)], [dict(record.truth())])
    with contextlib.redirect_stdout(io.StringIO()):
        truth = official.COCO(str(root / "annotations/instances_train2017.json"))
        judged = COCOeval(truth, truth.loadRes(results), "bbox")
        judged.evaluate()
        judged.accumulate()
        judged.summarize()
    figures = metric.compute()
    assert 0.1 < judged.stats[0] < 0.9
    for name, at in (("ap", 0), ("ap50", 1), ("ap75", 2), ("ar_100", 8)):
        assert float(figures[name]) == pytest.approx(judged.stats[at], abs=1e-6), name
