"""COCO's JSON of labelling tools: malformed entries, odd paths, and splits that have no file."""

import json
import unicodedata

import pytest

import gvt
from gvt_data.boxes.annotation import AssumedWarning
from gvt_data.boxes.coco import COCO

ORIGINAL = {"a.png": [[2, 3, 22, 13], [10, 5, 40, 30]], "b.png": [[0, 0, 32, 24]], "c.png": []}
"""The boxes of the usual scenes."""


@pytest.fixture
def written(as_document, draws, scenes, tmp_path):
    """Return what writes the usual scenes as one file and returns their root."""

    def write(change, name="all.json", place="{}"):
        content = as_document()
        change(content)
        for scene in scenes:
            draws(tmp_path / place.format(f"{scene.name}.png"), scene.size)
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(json.dumps(content))
        return str(tmp_path)

    return write


def boxes(dataset):
    """Return the boxes of each picture by its file's name."""
    samples = [dataset[index] for index in range(len(dataset))]
    return {s.record.source.rpartition("/")[2]: s.targets["boxes"].tolist() for s in samples}


def whole(root, **parameters):
    """Return all pictures as the training split."""
    return COCO("train", root, val=0.0, **parameters)


def annotation(number, **entries):
    """Return what changes an annotation; None removes an entry."""

    def change(content):
        content["annotations"][number] |= entries
        for key, value in entries.items():
            if value == "absent":
                del content["annotations"][number][key]

    return change


@pytest.mark.parametrize("bbox", ["absent", None, []])
@pytest.mark.parametrize("form", ["polygon", "run lengths"])
def test_an_absent_box_is_computed_from_the_outline(bbox, form, written):
    def change(content):
        annotation(1, bbox=bbox)(content)
        if form == "run lengths":  # columns 10 to 39 of 40, rows 5 to 29 of 30
            counts = [305, 25, *[5, 25] * 29]
            content["annotations"][1]["segmentation"] = {"size": [30, 40], "counts": counts}

    root = written(change)
    with pytest.warns(
        AssumedWarning, match=r"objects without a bbox.*: 1 \(.*annotation 2 \(dot\)"
    ):
        dataset = whole(root)
    assert boxes(dataset) == ORIGINAL
    assert dataset.info.problems == {}
    with pytest.warns(AssumedWarning):
        assert boxes(whole(root, masks=False)) == ORIGINAL


@pytest.mark.parametrize(
    ("entries", "kind", "place"),
    [
        (
            {"bbox": "absent", "segmentation": "absent"},
            "object without a box",
            "annotation 1 (cell)",
        ),
        ({"bbox": None, "segmentation": []}, "object without a box", "annotation 1 (cell)"),
        ({"bbox": [], "segmentation": [[1, 2]]}, "object without a box", "annotation 1 (cell)"),
        (
            {"bbox": [1, 2, 3]},
            "malformed annotation",
            "annotation 1 (cell): bbox has 3 numbers, not 4",
        ),
        (
            {"bbox": [1, 2, 3, "x"]},
            "malformed annotation",
            "annotations[0].bbox[3]: should be a valid number, unable to parse string as a number",
        ),
        (
            {"bbox": {"x": 1}},
            "malformed annotation",
            "annotations[0].bbox: should be a valid array",
        ),
        (
            {"category_id": None},
            "malformed annotation",
            "annotations[0].category_id: should be a valid integer",
        ),
        ({"bbox": [1, 2, "nan", 4]}, "box that is not a number", "annotation 1 (cell)"),
    ],
)
def test_a_malformed_annotation_is_skipped_and_the_others_stay(entries, kind, place, written):
    root = written(annotation(0, **entries))
    with pytest.raises(gvt.DataError, match=f"1 {kind} "):
        whole(root)
    with pytest.warns(UserWarning, match=f"left out: 1 {kind}: "):
        dataset = whole(root, on_error="skip")
    assert boxes(dataset) == {**ORIGINAL, "a.png": ORIGINAL["a.png"][1:]}
    assert dataset.info.problems == {kind: [f"all.json: {place}"]}


def test_all_faults_are_listed_together(written):
    def change(content):
        content["images"] += [content["images"][2], {"id": 9}, {**content["images"][2], "id": 8}]
        content["images"][3] = content["images"][0]
        content["annotations"][0]["bbox"] = [1]
        content["annotations"][1]["image_id"] = None
        content["annotations"][2]["bbox"] = content["annotations"][2]["segmentation"] = None

    root = written(change)
    with pytest.raises(gvt.DataError) as caught:
        whole(root)
    text = str(caught.value)
    for part in (
        "2 malformed annotations",
        "1 object without a box",
        "1 malformed image entry",
        "2 images listed twice",
        "images[3]: a.png (id 1) again",
        "images[4].file_name: Field required",
        "images[5]: c.png has the ids 3 and 8",
        "annotations[1].image_id: should be a valid integer",
    ):
        assert part in text
    assert "\n" not in text
    with pytest.warns(UserWarning, match="left out: "):
        dataset = whole(root, on_error="skip")
    assert boxes(dataset) == {"a.png": [], "b.png": []}


def test_an_image_listed_twice_is_taken_once(written):
    root = written(lambda content: content["images"].append(content["images"][0]))
    with pytest.raises(
        gvt.DataError, match=r"1 image listed twice \(all\.json: images\[3\]: a\.png"
    ):
        whole(root)
    with pytest.warns(UserWarning, match="1 image listed twice"):
        dataset = whole(root, on_error="skip")
    assert boxes(dataset) == ORIGINAL
    assert len(dataset) == 3


def test_images_with_the_same_id_are_left_out(written):
    root = written(lambda content: content["images"][1].update(id="1"))
    with pytest.warns(
        UserWarning, match=r"1 repeated image id: .*a\.png and b.png have the same id 1"
    ):
        dataset = whole(root, on_error="skip")
    assert boxes(dataset) == {"c.png": []}


def cells(used):
    """Return what gives a file two categories of one name, of which objects have these."""

    def change(content):
        content["categories"] = [
            {"id": 0, "name": "cells", "supercategory": "none"},
            {"id": 1, "name": "cells"},
            {"id": 2, "name": "zoo"},
        ]
        for at, item in enumerate(content["annotations"]):
            item["category_id"] = used[at]

    return change


def test_a_category_without_objects_does_not_count_beside_one_of_its_name(written):
    dataset = whole(written(cells([1, 2, 1])))
    assert dataset.info.classes == ("cells", "zoo")
    assert dataset.info.category_ids == (1, 2)
    assert dataset[0].targets["labels"].tolist() == [0, 1]
    assert dataset.info.problems == {}


def test_two_categories_of_one_name_with_objects_are_a_problem(written):
    root = written(cells([0, 1, 1]))
    with pytest.raises(gvt.DataError, match="categories 0 and 1 are all called cells and have obj"):
        whole(root)
    with pytest.warns(UserWarning, match="2 unknown labels, 1 repeated category: .*annotation 2"):
        dataset = whole(root, on_error="skip")
    assert dataset.info.category_ids == (0, 2)
    assert boxes(dataset) == {"a.png": ORIGINAL["a.png"][:1], "b.png": [], "c.png": []}


@pytest.mark.parametrize(
    "form",
    [
        "images\\{}",
        "/home/annotator/project/images/{}",
        "C:\\Users\\me\\images\\{}",
        "file:///C:/images/{}",
        "https://host/images/{}?token=1",
        "/data/local-files/?d=project/images/{}",
        "/data/upload/3/0a1b2c3d-{}",
        "../images/{}",
    ],
)
def test_pictures_are_found_by_the_end_of_their_paths(form, written):
    def change(content):
        for image in content["images"]:
            image["file_name"] = form.format(image["file_name"])

    root = written(change, place="images/{}")
    with pytest.warns(AssumedWarning, match="3 of 3 files are not where"):
        assert boxes(whole(root)) == ORIGINAL


def test_a_picture_that_may_be_two_files_is_a_problem(written, draws, tmp_path):
    root = written(
        lambda c: [i.update(file_name="C:\\x\\" + i["file_name"]) for i in c["images"]],
        place="one/{}",
    )
    draws(tmp_path / "two/a.png", (30, 40))
    with (
        pytest.warns(AssumedWarning, match="2 of 3 files"),
        pytest.raises(gvt.DataError, match=r"1 missing image \(.*may be .*one/a\.png or .*two/a\."),
    ):
        whole(root)


def test_pictures_of_another_split_are_not_taken(written, tmp_path):
    root = written(lambda content: None, name="train.json", place="val/{}")
    with pytest.raises(gvt.DataError, match="none of the images"):
        whole(root)


def test_composed_and_decomposed_names_are_the_same(written, tmp_path):
    name = "z\xe4hl\xe9-{}"

    def change(content):
        for image in content["images"]:
            image["file_name"] = unicodedata.normalize("NFC", name.format(image["file_name"]))
        content["categories"][0]["name"] = unicodedata.normalize("NFD", "Zell\xe9")

    root = written(change, place=unicodedata.normalize("NFD", name))
    dataset = whole(root, classes=[unicodedata.normalize("NFC", "Zell\xe9"), "dot"])
    prefix = unicodedata.normalize("NFD", name.format(""))
    assert boxes(dataset) == {f"{prefix}{file}": box for file, box in ORIGINAL.items()}
    assert whole(root).info.classes == ("Zell\xe9", "dot")


@pytest.mark.parametrize(
    "change",
    [
        lambda c: [i.update(id=str(i["id"])) for i in c["images"]],
        lambda c: [
            a.update(image_id=float(a["image_id"]), id=f"x{a['id']}") for a in c["annotations"]
        ],
        lambda c: [i.update(file_name=f"./{i['file_name']}") for i in c["images"]],
        lambda c: [i.update(width=None, height=None) for i in c["images"]],
        lambda c: [i.update(width=str(i["width"])) for i in c["images"]],
        lambda c: [a.pop("iscrowd") for a in c["annotations"]],
        lambda c: [a.update(iscrowd=False) for a in c["annotations"]],
        lambda c: [a.update(iscrowd=None, area=None, attributes={}) for a in c["annotations"]],
        lambda c: [a.update(segmentation=None) for a in c["annotations"]],
        lambda c: [a.update(bbox=[str(v) for v in a["bbox"]]) for a in c["annotations"]],
    ],
)
def test_variants_of_labelling_tools_are_read_alike(change, written):
    dataset = whole(written(change))
    assert boxes(dataset) == ORIGINAL
    assert dataset.info.problems == {}
    assert [dataset[index].record.id for index in range(3)] == [1, 2, 3]


@pytest.mark.parametrize("size", [{"width": 30, "height": 40}, {"width": -40}])
def test_a_swapped_or_negative_size_is_reported(size, written):
    root = written(lambda content: content["images"][0].update(size))
    with pytest.raises(gvt.DataError, match=r"1 image of another size .*a\.png is -?[34]0x[34]0"):
        whole(root)


@pytest.mark.parametrize(
    "name", ["annotations/instances_Validation.json", "VALID/_annotations.coco.json", "Dev.json"]
)
def test_names_of_splits_have_any_case(name, written):
    root = written(lambda content: None, name=name, place="images/{}")
    assert boxes(COCO("val", root)) == ORIGINAL


def test_two_files_of_one_split_are_an_error(written):
    written(lambda content: None, name="Train.json", place="images/{}")
    root = written(lambda content: None, name="training.json", place="images/{}")
    with pytest.raises(gvt.DataError, match=r"Train\.json, .*training\.json are all called like"):
        whole(root)


def test_a_split_without_a_file_is_a_share_of_the_training_split(written):
    root = written(lambda content: None, name="train/_annotations.coco.json", place="train/{}")
    train, val = (boxes(COCO(split, root)) for split in ("train", "val"))
    assert len(val) == 1
    assert train | val == ORIGINAL
    assert not {*train} & {*val}
    with pytest.raises(gvt.DataError, match=r"no images for split test; give data\.test a share"):
        COCO("test", root)


def test_a_file_without_usable_images_is_an_error_with_the_reason(written):
    root = written(lambda content: [i.update(id=f"uuid-{i['id']}") for i in content["images"]])
    with pytest.raises(gvt.DataError, match=r"no image can be used: .*3 malformed image entries"):
        whole(root, on_error="skip")
