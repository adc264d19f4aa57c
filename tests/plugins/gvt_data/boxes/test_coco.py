"""COCO's JSON: masks, crowds, where files are, and everything that may be wrong in one."""

import codecs
import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from pycocotools import mask as coco_mask

import gvt
from gvt_data.boxes.annotation import AssumedWarning
from gvt_data.boxes.coco import COCO


def ring(size=(30, 40)):
    """Return a mask (H, W) that no polygon without a hole is."""
    mask = np.zeros(size, np.uint8)
    mask[4:20, 6:26] = 1
    mask[8:14, 10:20] = 0
    return mask


def run_lengths(mask, form):
    """Return a mask as an RLE, compressed or not."""
    encoded = coco_mask.encode(np.asfortranarray(mask))
    if form == "text":
        return {"size": list(mask.shape), "counts": encoded["counts"].decode()}
    flat = mask.flatten(order="F")
    changes = np.flatnonzero(np.diff(flat)) + 1
    counts = np.diff([0, *changes, flat.size]).tolist()
    return {"size": list(mask.shape), "counts": counts if flat[0] == 0 else [0, *counts]}


@pytest.mark.parametrize("form", ["text", "list"])
def test_masks_are_run_lengths_or_polygons(form, formats, as_document, tmp_path):
    content = as_document()
    first = content["annotations"][0]
    first |= {"segmentation": run_lengths(ring(), form), "bbox": [6, 4, 20, 16]}
    dataset = COCO("train", str(formats["coco"](tmp_path / "data", content=content)))
    targets = dataset[0].targets
    assert targets["masks"].dtype == torch.uint8
    assert torch.equal(targets["masks"][0], torch.from_numpy(ring()))
    assert targets["masks"][1].sum() == 30 * 25  # the outline around (10, 5, 40, 30)
    assert targets["masks"][1, 5:30, 10:40].all()
    assert dataset[2].targets["masks"].shape == (0, 20, 20)
    half = COCO("train", str(tmp_path / "data"), size=(15, 20), fit="stretch")[0].targets
    assert torch.equal(half["masks"][0], torch.from_numpy(ring()[1::2, 1::2]))
    assert half["boxes"][0].tolist() == [3, 2, 13, 10]
    without = COCO("train", str(tmp_path / "data"), masks=False)
    assert set(without[0].targets) == {"boxes", "labels"}


@pytest.mark.parametrize("fit", ["crop", "pad", "stretch"])
def test_masks_are_resized_with_boxes(fit, formats, tmp_path):
    dataset = COCO("train", str(formats["coco"](tmp_path / "data")), size=(64, 44), fit=fit)
    for index in range(2):
        targets = dataset[index].targets
        for mask, box in zip(targets["masks"], targets["boxes"], strict=True):
            rows, columns = np.nonzero(mask.numpy())
            hull = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
            assert np.abs(np.array(hull) - box.numpy()).max() <= 1


def test_an_image_has_masks_if_all_its_objects_do(formats, as_document, tmp_path):
    content = as_document()
    content["annotations"][0]["segmentation"] = []
    dataset = COCO("train", str(formats["coco"](tmp_path / "data", content=content)))
    assert ["masks" in dataset[index].targets for index in range(3)] == [False, True, True]
    assert ["masks" in dataset[index].record.truth() for index in range(3)] == [False, True, True]
    assert dataset.info.left_out == {"masks, where an object has no outline": 1}
    for annotation in content["annotations"]:
        annotation.pop("segmentation")
    dataset = COCO("train", str(formats["coco"](tmp_path / "other", content=content)))
    assert dataset.info.left_out == {}
    assert not any("masks" in dataset[index].targets for index in range(3))


def test_crowds_are_left_out_and_counted(formats, as_document, tmp_path):
    content = as_document()
    content["annotations"][1] |= {
        "iscrowd": 1,
        "segmentation": run_lengths(ring(), "list"),
        "bbox": [6, 4, 20, 16],
    }
    root = str(formats["coco"](tmp_path / "data", content=content))
    dataset = COCO("train", root, size=(15, 20), fit="stretch")
    assert dataset[0].targets["labels"].tolist() == [0]
    assert dataset[0].targets["masks"].shape == (1, 15, 20)
    assert dataset.info.left_out == {"crowd": 1}
    assert dataset.info.problems == {}
    truth = dataset[0].record.truth()
    assert truth["ignored"].tolist() == [False, True]
    assert truth["labels"].tolist() == [0, 1]
    assert truth["boxes"].tolist() == [[2, 3, 22, 13], [6, 4, 26, 20]]
    assert torch.equal(truth["masks"][1], torch.from_numpy(ring()))
    ordinary = as_document()
    other = COCO("train", str(formats["coco"](tmp_path / "other", content=ordinary)))
    assert other.info.fingerprint != dataset.info.fingerprint


def test_a_crowd_without_an_outline_takes_no_masks_away(formats, as_document, tmp_path):
    content = as_document()
    content["annotations"][1] |= {"iscrowd": 1, "segmentation": []}
    dataset = COCO("train", str(formats["coco"](tmp_path / "data", content=content)))
    assert dataset.info.left_out == {"crowd": 1}
    assert len(dataset[0].targets["masks"]) == 1
    masks = dataset[0].record.truth()["masks"]  # of the crowd its box, (10, 5, 40, 30)
    assert masks[1].sum() == masks[1, 5:30, 10:40].sum() == 25 * 30


def test_numbers_of_images_and_classes_are_kept(formats, as_document, tmp_path):
    content = as_document()
    content["categories"] = [{"id": 90, "name": "dot"}, {"id": 4, "name": "cell"}]
    for annotation in content["annotations"]:
        annotation["category_id"] = {10: 4, 11: 90}[annotation["category_id"]]
    root = str(formats["coco"](tmp_path / "data", content=content))
    dataset = COCO("train", root)
    assert dataset.info.classes == ("cell", "dot")
    assert dataset.info.category_ids == (4, 90)
    assert [dataset[index].record.id for index in range(3)] == [1, 2, 3]
    assert dataset[0].targets["labels"].tolist() == [0, 1]
    turned = COCO("train", root, classes=["dot", "cell"])
    assert turned.info.category_ids == (90, 4)
    assert turned[0].targets["labels"].tolist() == [1, 0]
    with pytest.warns(UserWarning, match=r"2 unknown labels: .*annotation 2 \(dot\)"):
        only = COCO("train", root, classes=["cell"], on_error="skip")
    assert only.info.category_ids == (4,)
    with pytest.raises(gvt.DataError, match="no category is called cat; there are cell, dot"):
        COCO("train", root, classes=["cat"])


def layout(root, draws, content, annotations, folder):
    """Write a JSON file and pictures somewhere."""
    (root / annotations).parent.mkdir(parents=True, exist_ok=True)
    (root / annotations).write_text(json.dumps(content))
    for picture in content["images"]:
        draws(root / folder / picture["file_name"], (picture["height"], picture["width"]))


@pytest.mark.parametrize(
    ("annotations", "folder"),
    [
        ("annotations/instances_val2017.json", "val2017"),
        ("annotations/instances_val2014.json", "val2014"),
        ("annotations/instances_val2017.json", "images/val2017"),
        ("valid/_annotations.coco.json", "valid"),
        ("val.json", "val"),
        ("val.json", "images"),
        ("annotations/val.json", "images/val"),
    ],
)
def test_usual_places_are_found(annotations, folder, draws, as_document, tmp_path):
    layout(tmp_path, draws, as_document(), annotations, folder)
    assert len(COCO("val", str(tmp_path))) == 3
    with pytest.raises(gvt.DataError, match=r"has no file for split train; it has .*val"):
        COCO("train", str(tmp_path))


@pytest.mark.parametrize(
    "parameters",
    [
        {"annotations": "labels/{split}/boxes.json", "images": "pictures/{split}"},
        {"annotations": {"train": "labels/train/boxes.json"}, "images": "pictures/train"},
    ],
)
def test_other_places_can_be_set(parameters, draws, as_document, tmp_path):
    annotations = parameters["annotations"]
    layout(tmp_path, draws, as_document(), "labels/train/boxes.json", "pictures/train")
    assert len(COCO("train", str(tmp_path), val=0.0, **parameters)) == 3
    with pytest.warns(AssumedWarning, match=r"3 of 3 files .*pictures/train/a\.png"):
        assert len(COCO("train", str(tmp_path), val=0.0, annotations=annotations)) == 3
    for name in ("a.png", "b.png", "c.png"):
        (tmp_path / "pictures/train" / name).unlink()
    with pytest.raises(gvt.DataError, match=r"none of the images of .* was found below"):
        COCO("train", str(tmp_path), val=0.0, annotations=annotations)
    with pytest.raises(gvt.DataError, match=r"there is no folder .*nowhere"):
        COCO("train", str(tmp_path), **{**parameters, "images": "nowhere"})


@pytest.mark.parametrize(
    ("annotations", "message"),
    [
        ("not.json", r"there is no file .*not\.json"),
        ("not_{split}.json", r"no file .*not_\{split\}\.json"),
        ({"training": "all.json"}, "no split is called training"),
        (None, r"there are .*all\.json, .*other\.json; choose one"),
    ],
)
def test_absent_files_are_an_error(annotations, message, draws, as_document, tmp_path):
    for name in ("all.json", "other.json"):
        layout(tmp_path, draws, as_document(), name, "images")
    with pytest.raises(gvt.DataError, match=message):
        COCO("train", str(tmp_path), annotations=annotations)


def test_a_single_file_is_shared_out(draws, as_document, scene, tmp_path):
    many = [scene(f"n{number}", (20, 20), [("cell", (1, 1, 9, 9))]) for number in range(20)]
    layout(tmp_path, draws, as_document(many), "all.json", "images")
    parts = {s: COCO(s, str(tmp_path), val=0.3, test=0.2) for s in COCO.splits}
    ids = [dataset[i].record.id for dataset in parts.values() for i in range(len(dataset))]
    assert sorted(ids) == [*range(1, 21)]
    assert min(map(len, parts.values())) > 0
    with pytest.raises(gvt.DataError, match=r"no images for split test; give data\.test"):
        COCO("test", str(tmp_path))


def test_the_files_of_all_splits_agree(draws, as_document, tmp_path):
    content = as_document()
    layout(tmp_path, draws, content, "train.json", "train")
    layout(tmp_path, draws, content, "val.json", "val")
    extra = {**content, "categories": [*content["categories"], {"id": 2, "name": "ant"}]}
    (tmp_path / "val.json").write_text(json.dumps(extra))
    train, val = (COCO(split, str(tmp_path)) for split in ("train", "val"))
    assert train.info.classes == val.info.classes == ("ant", "cell", "dot")
    for wrong, message in (
        ({"id": 10, "name": "ant"}, "category 10 is ant, but cell in another split's file"),
        (
            {"id": 2, "name": "cell"},
            "category cell has different ids in the splits' files",
        ),
    ):
        changed = [wrong, *[item for item in content["categories"] if item["id"] != wrong["id"]]]
        changed = [
            item
            for index, item in enumerate(changed)
            if not (index and item["name"] == wrong["name"])
        ]
        (tmp_path / "val.json").write_text(json.dumps({**content, "categories": changed}))
        with pytest.raises(gvt.DataError, match=message):
            COCO("train", str(tmp_path))


def without(entry, key):
    """Remove a key."""
    entry.pop(key)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: without(c, "categories"), r"\.json: categories: Field required"),
        (lambda c: without(c, "annotations"), r"\.json: has no annotations, like the files of t"),
        (lambda c: c["images"].append(None), r"1 malformed image entry \(.*images\[3\]: should be"),
        (lambda c: without(c["images"][2], "file_name"), r"images\[2\]\.file_name: Field required"),
        (lambda c: c["images"][0].update(id="a"), r"images\[0\]\.id: should be a valid integer"),
        (
            lambda c: c["annotations"][0].update(bbox=[1, 2, 3]),
            r"annotation 1 \(cell\): bbox has 3",
        ),
        (lambda c: c["annotations"][0].update(bbox=[1, 2, 3, "x"]), r"annotations\[0\]\.bbox\[3\]"),
        (lambda c: c.update(images={}), r"images: should be a valid (list|array)"),
        (
            lambda c: c["images"][1].update(id=1),
            r"images\[1\]: a\.png and b\.png have the same id 1",
        ),
        (lambda c: c["images"][1].update(file_name="a.png"), r"a\.png has the ids 1 and 2"),
        (lambda c: c["categories"][1].update(id=10), "cell and dot have the same id 10"),
        (lambda c: c["categories"][1].update(name="cell"), "10 and 11 are all called cell"),
        (lambda c: c.update(categories=[]), "there are no categories"),
        (lambda c: c["annotations"][0].update(segmentation="m"), "neither run lengths nor"),
        (lambda c: c["annotations"][0].update(segmentation=[[1, 2, 3, 4]]), "three points"),
        (lambda c: c["annotations"][0].update(segmentation=[["a"] * 6]), "goes through a"),
        (lambda c: c["annotations"][0].update(segmentation={"size": [1]}), r"its size is \[1\]"),
        (lambda c: c["images"][0].update(width=10.0**308 * 10), r"images\[0\]\.width: .*finite"),
        (
            lambda c: c["images"][0].update(file_name=""),
            r"images\[0\]\.file_name: '' is not a file",
        ),
        (lambda c: c["images"][0].update(file_name="."), r"images\[0\]\.file_name: '\.' is not"),
        (lambda c: c["images"][0].update(file_name="n" * 300), "1 missing image .*nnnn"),
        (lambda c: [i.update(file_name=f"{i['id']}" * 300) for i in c["images"]], "none of the im"),
    ],
)
def test_a_file_that_is_wrong_is_one_line(change, message, formats, as_document, tmp_path):
    content = as_document()
    change(content)
    root = formats["coco"](tmp_path / "data", content=content)
    with pytest.raises(gvt.DataError, match=message) as caught:
        COCO("train", str(root))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"images": [' + "[" * 5000])
def test_invalid_json_is_one_line(text, formats, tmp_path):
    root = formats["coco"](tmp_path / "data")
    (root / "annotations/instances_train2017.json").write_text(text)
    with pytest.raises(gvt.DataError, match=r"instances_train2017\.json: .+") as caught:
        COCO("train", str(root))
    assert "\n" not in str(caught.value)


def test_annotations_of_unknown_images_are_a_problem(formats, as_document, tmp_path):
    content = as_document()
    content["annotations"][0]["image_id"] = 77
    content["annotations"][1]["category_id"] = 55
    root = str(formats["coco"](tmp_path / "data", content=content))
    with pytest.raises(gvt.DataError) as caught:
        COCO("train", root)
    assert "1 unknown label, 1 annotation of an unknown image" in str(caught.value)
    assert "annotation 1 (image_id 77)" in str(caught.value)
    assert "annotation 2 (category_id 55)" in str(caught.value)
    with pytest.warns(UserWarning, match="1 annotation of an unknown image"):
        dataset = COCO("train", root, on_error="skip")
    assert dataset[0].targets["boxes"].shape == (0, 4)
    assert len(dataset[1].targets["boxes"]) == 1


def test_the_truth_is_of_the_original_size(formats, tmp_path):
    dataset = COCO("train", str(formats["coco"](tmp_path / "data")), size=(7, 7), fit="crop")
    sample = dataset[0]
    truth = pickle.loads(pickle.dumps(sample.record)).truth()
    assert truth["boxes"].tolist() == [[2, 3, 22, 13], [10, 5, 40, 30]]
    assert truth["boxes"].dtype == torch.float32
    assert truth["labels"].dtype == torch.int64
    assert truth["masks"].dtype == torch.uint8
    assert truth["ignored"].tolist() == [False, False]
    expected = torch.zeros(2, 30, 40, dtype=torch.uint8)
    expected[0, 3:13, 2:22] = expected[1, 5:30, 10:40] = 1
    assert torch.equal(truth["masks"], expected)
    empty = dataset[2].record.truth()
    assert empty["boxes"].shape == (0, 4)
    assert empty["masks"].shape == (0, 20, 20)
    boxes = COCO("train", str(tmp_path / "data"), masks=False)[0].record.truth()
    assert set(boxes) == {"boxes", "labels", "ignored"}


def test_the_truth_is_clipped_only_on_request(formats, scene, tmp_path):
    objects = [("cell", (-0.5, 3, 9, 9)), ("dot", (30, 5, 50, 9))]
    root = str(formats["coco"](tmp_path / "data", [scene("a", (30, 40), objects)]))
    with pytest.warns(UserWarning, match="clipped at the image's edge"):
        sample = COCO("train", root, on_error="clip")[0]
    assert sample.record.truth()["boxes"].tolist() == [[-0.5, 3, 9, 9], [30, 5, 40, 9]]
    assert sample.targets["boxes"].tolist() == [[0, 3, 9, 9], [30, 5, 40, 9]]


def test_a_byte_order_mark_is_ignored(formats, tmp_path):
    root = formats["coco"](tmp_path / "data")
    path = root / "annotations/instances_train2017.json"
    path.write_bytes(codecs.BOM_UTF8 + path.read_bytes())
    assert len(COCO("train", str(root))) == 3


def test_the_other_splits_files_are_read_once(draws, as_document, tmp_path, monkeypatch):
    for split in ("train", "val"):
        layout(tmp_path, draws, as_document(), f"{split}.json", split)
    read, whole = [], Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda path: read.append(path.name) or whole(path))
    COCO("train", str(tmp_path))
    COCO("val", str(tmp_path))
    assert read.count("train.json") == 1
    content = as_document()
    content["categories"].append({"id": 99, "name": "ant"})
    (tmp_path / "train.json").write_text(json.dumps(content))
    assert COCO("val", str(tmp_path)).info.classes == ("cell", "dot", "ant")
