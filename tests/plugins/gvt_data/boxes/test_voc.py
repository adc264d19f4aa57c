"""Pascal VOC's XML: its conventions, its lists, other people's folders, and broken files."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import gvt
from gvt_data.boxes.voc import VOC
from gvt_data.masks.voc import CLASSES


def test_corners_are_inclusive_by_default(formats, tmp_path):
    root = str(formats["voc"](tmp_path / "data"))
    assert VOC("train", root)[0].targets["boxes"].tolist() == [[1, 2, 22, 13], [9, 4, 40, 30]]
    exact = VOC("train", root, corners="exact")[0].targets["boxes"]
    assert exact.tolist() == [[2, 3, 22, 13], [10, 5, 40, 30]]


@pytest.mark.parametrize("above", [0, 1, 2])
def test_the_folder_is_found(tmp_path, above):
    root = tmp_path / "VOCdevkit" / "VOC2012"
    root.mkdir(parents=True)
    VOC.gvt_example(root)
    train, val = (VOC(split, str([root, *root.parents][above])) for split in ("train", "val"))
    assert (len(train), len(val)) == (5, 3)
    assert train.info.classes == val.info.classes == CLASSES
    if above == 2:
        (root.parent / "VOC2007/JPEGImages").mkdir(parents=True)
        with pytest.raises(gvt.DataError, match=r"several years: .*VOC2007, .*VOC2012; give one"):
            VOC("train", str(tmp_path))


def test_another_list_is_trained_on(tmp_path):
    root = tmp_path / "data"
    root.mkdir()
    VOC.gvt_example(root)
    lists = root / "ImageSets/Main"
    (lists / "trainval.txt").write_text("".join(f"{n}\n" for n in range(8)))
    assert len(VOC("train", str(root), train="trainval")) == 8
    with pytest.raises(
        gvt.DataError, match=r"ImageSets/Main has no list test\.txt, only train\.txt, "
    ):
        VOC("test", str(root))
    (lists / "val.txt").write_text("")
    with pytest.raises(gvt.DataError, match=r"val\.txt: is empty"):
        VOC("val", str(root))


def test_classes_are_those_of_all_splits(formats, scene, tmp_path):
    first = scene("1", (30, 40), [("zebra", (1, 1, 9, 9))])
    second = scene("2", (30, 40), [("ape", (1, 1, 9, 9))])
    root = formats["voc"](tmp_path / "data", [first, second])
    (root / "ImageSets/Main/train.txt").write_text("1\n")
    (root / "ImageSets/Main/val.txt").write_text("2\n")
    for split, label in (("train", 1), ("val", 0)):
        dataset = VOC(split, str(root))
        assert dataset.info.classes == ("ape", "zebra")
        assert dataset[0].targets["labels"].tolist() == [label]
    assert VOC("train", str(root), classes=["zebra"])[0].targets["labels"].tolist() == [0]


def test_difficult_objects_are_left_out_by_default(formats, tmp_path):
    root = formats["voc"](tmp_path / "data")
    path = root / "Annotations/a.xml"
    path.write_text(path.read_text().replace("<difficult>0", "<difficult>1", 1))
    without = VOC("train", str(root))
    assert without[0].targets["labels"].tolist() == [1]
    assert without.info.left_out == {"difficult": 1}
    truth = without[0].record.truth()
    assert truth["ignored"].tolist() == [True, False]
    assert truth["labels"].tolist() == [0, 1]
    assert truth["boxes"].tolist() == [[1, 2, 22, 13], [9, 4, 40, 30]]
    assert "masks" not in truth
    dataset = VOC("train", str(root), difficult=True)
    assert dataset[0].targets["labels"].tolist() == [0, 1]
    assert dataset.info.left_out == {}
    assert dataset[0].record.truth()["ignored"].tolist() == [False, False]


@pytest.mark.parametrize(
    "lines",
    ["a.png\nb.png\n", "a -1\nb  1\n", "a\t0\nb\t1\n", "a.jpg  1\nb.jpg 1\n", "a\na\nb\na.png\n"],
)
def test_lists_may_have_suffixes_columns_and_lines_twice(lines, formats, tmp_path):
    root = formats["voc"](tmp_path / "data")
    (root / "ImageSets/Main/train.txt").write_text(lines)
    dataset = VOC("train", str(root))
    assert [Path(dataset[i].record.source).name for i in range(len(dataset))] == ["a.png", "b.png"]


def test_a_name_with_a_blank_or_a_dot_is_one(formats, scene, tmp_path):
    names = ("of 1", "v1.5", "v1.png")
    root = formats["voc"](tmp_path / "data", [scene(name, (30, 40)) for name in names])
    dataset = VOC("train", str(root))
    files = [Path(dataset[i].record.source).name for i in range(len(dataset))]
    assert files == [f"{name}.png" for name in names]


def test_a_line_that_is_too_long_for_a_name_is_a_missing_picture(formats, tmp_path):
    root = formats["voc"](tmp_path / "data")
    (root / "ImageSets/Main/train.txt").write_text("a\n" + "n" * 300)
    with pytest.raises(gvt.DataError, match=r"1 missing image \(Annotations/nnn"):
        VOC("train", str(root))


@pytest.mark.parametrize("places", ["{0}.png {0}.xml", "images/{0}.png annotations/{0}.xml"])
def test_images_and_xml_files_in_one_folder_are_paired(scene, draws, as_xml, tmp_path, places):
    picture, text = (str(tmp_path / place) for place in places.split())
    for number in range(12):
        one = scene(str(number), (30, 40), [("cat", (1, 2, 3 + number, 9))])
        draws(Path(picture.format(number)), one.size)
        Path(text.format(number)).parent.mkdir(exist_ok=True)
        Path(text.format(number)).write_text(as_xml(one))
    parts = {s: VOC(s, str(tmp_path), corners="exact", val=0.3, test=0.2) for s in VOC.splits}
    names = {s: [d[i].record.source for i in range(len(d))] for s, d in parts.items()}
    assert sum(map(len, names.values())) == 12
    assert len({name for of_split in names.values() for name in of_split}) == 12
    for split, dataset in parts.items():
        for index, source in enumerate(names[split]):
            box = dataset[index].targets["boxes"].tolist()
            assert box == [[1, 2, 3 + int(Path(source).stem), 9]]
    assert all(dataset.info.classes == CLASSES for dataset in parts.values())
    with pytest.raises(gvt.DataError, match=r"split test of .* has no images"):
        VOC("test", str(tmp_path))
    with pytest.raises(gvt.DataError, match="has no lists in ImageSets/Main"):
        VOC("train", str(tmp_path), train="trainval")


def test_pictures_and_files_without_a_partner(scene, draws, as_xml, tmp_path):
    for name in ("both", "text"):
        path = tmp_path / "annotations" / f"{name}.xml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(as_xml(scene(name, (30, 40))))
    for name in ("both", "picture"):
        draws(tmp_path / "images" / f"{name}.png", (30, 40))
    with pytest.raises(gvt.DataError) as caught:
        VOC("train", str(tmp_path), val=0.0)
    assert "1 missing image, 1 missing annotation" in str(caught.value)
    assert f"annotations/text.xml: there is no {tmp_path}/images/text.jpg" in str(caught.value)
    assert "picture: there is no annotations/picture.xml" in str(caught.value)
    with pytest.warns(UserWarning, match="left out: 1 missing image, 1 missing annotation"):
        assert len(VOC("train", str(tmp_path), val=0.0, on_error="skip")) == 1


LAUGHS = '<!DOCTYPE a [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;">]>\n<annotation>&b;</annotation>'
OBJECT = "<annotation><object>{}</object></annotation>"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (LAUGHS, r"a\.xml: a document type"),
        (
            "<annotation>\n<size>\n</annotation>",
            r"a\.xml: line 3: is not valid XML: mismatched tag",
        ),
        ("", r"a\.xml: line 1: is not valid XML: no element found"),
        ("<html></html>", r"a\.xml: begins with <html>"),
        ('<?xml version="1.0" encoding="klingon"?><annotation/>', r"a\.xml: .*klingon"),
        (OBJECT.format("<bndbox/>"), r"a\.xml: object 1: has no <name>"),
        (
            OBJECT.format("<name>cat</name>"),
            r"1 object without a box \(Annotations/a\.xml: object 1 \(cat\)\)",
        ),
        (
            "<annotation><size><width>wide</width></size></annotation>",
            r"a\.xml: its <size> is wide",
        ),
    ],
)
def test_a_broken_file_is_one_line(formats, tmp_path, text, message):
    root = formats["voc"](tmp_path / "data")
    (root / "Annotations/a.xml").write_text(text)
    with pytest.raises(gvt.DataError, match=message) as caught:
        VOC("train", str(root))
    assert "\n" not in str(caught.value)


def test_entities_are_never_expanded(formats, tmp_path):
    root = formats["voc"](tmp_path / "data")
    entities = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 12))
    text = f'<!DOCTYPE a [<!ENTITY e0 "ha">{entities}]><annotation>&e11;</annotation>'
    (root / "Annotations/a.xml").write_text(text)
    with pytest.raises(gvt.DataError, match="DTD"):
        VOC("train", str(root))


@pytest.mark.parametrize("size", ["", "<size><width>0</width><height>0</height></size>"])
def test_a_size_may_be_absent(formats, tmp_path, size):
    root = formats["voc"](tmp_path / "data")
    text = (root / "Annotations/a.xml").read_text()
    start, end = text.index("<size>"), text.index("</size>") + len("</size>")
    (root / "Annotations/a.xml").write_text(text[:start] + size + text[end:])
    assert len(VOC("train", str(root), corners="exact")[0].targets["boxes"]) == 2


def test_a_corner_that_is_not_a_number_is_a_bad_box(formats, tmp_path):
    root = formats["voc"](tmp_path / "data")
    path = root / "Annotations/a.xml"
    path.write_text(path.read_text().replace("<xmin>2<", "<xmin>left<"))
    with pytest.raises(gvt.DataError, match=r"1 box that is not a number \(.*object 1 \(cell\)"):
        VOC("train", str(root))


def test_sizes_and_shares_are_checked(formats, tmp_path):
    root = str(formats["voc"](tmp_path / "data"))
    with pytest.raises(ValueError, match="size"):
        VOC("train", root, size=0)
    with pytest.raises(ValueError, match="shares"):
        VOC("train", root, val=0.6, test=0.5)


@pytest.mark.slow
@pytest.mark.skipif("GVT_DATA" not in os.environ, reason="GVT_DATA, the real data, is not set")
def test_the_blood_cells_have_two_bad_boxes():
    root = str(Path(os.environ["GVT_DATA"]) / "bccd/BCCD")
    bad = {
        "train": ["Annotations/BloodImage_00343.xml: object 4 (RBC)"],
        "val": ["Annotations/BloodImage_00338.xml: object 13 (RBC)"],
    }
    for split, count, boxes in (("train", 205, 2804), ("val", 87, 1137), ("test", 72, 945)):
        if split in bad:
            with pytest.raises(gvt.DataError, match=r"1 box without area \(.*object \d+ \(RBC\)\)"):
                VOC(split, root, corners="exact")
            with pytest.warns(UserWarning, match="left out: 1 box without area"):
                dataset = VOC(split, root, corners="exact", on_error="skip")
            assert dataset.info.problems == {"box without area": bad[split]}
        else:
            dataset = VOC(split, root, corners="exact")
            assert dataset.info.problems == {}
        assert dataset.info.classes == ("Platelets", "RBC", "WBC")
        assert len(dataset) == count
        assert sum(len(image.boxes) for image in dataset._images) == boxes


@pytest.mark.skipif("GVT_DATA" not in os.environ, reason="GVT_DATA, the real data, is not set")
def test_white_cells_are_where_their_boxes_say():
    root = str(Path(os.environ["GVT_DATA"]) / "bccd/BCCD")
    dataset = VOC("test", root, corners="exact", size=(240, 320))
    inside, outside = [], []
    for index in range(12):
        sample = dataset[index]
        white = sample.targets["labels"] == dataset.info.classes.index("WBC")
        red = sample.image[0].float().numpy()  # their nuclei are stained: dark in red
        mask = np.zeros(red.shape, bool)
        for left, top, right, bottom in sample.targets["boxes"][white].int().tolist():
            mask[top:bottom, left:right] = True
        if mask.any():
            inside.append(red[mask].mean())
            outside.append(red[~mask].mean())
    assert len(inside) >= 8
    assert np.mean(np.array(inside) < np.array(outside)) > 0.9


def test_an_image_of_any_kind_is_read(formats, tmp_path):
    root = formats["voc"](tmp_path / "data")
    (root / "JPEGImages/a.png").unlink()
    Image.new("L", (40, 30), 7).save(root / "JPEGImages/a.tif")
    sample = VOC("train", str(root), corners="exact")[0]
    assert sample.image.unique().tolist() == [7]
    assert sample.record.mode == "L"
