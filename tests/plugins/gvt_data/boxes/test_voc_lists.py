"""Pascal VOC's lists and XML as tools write them: splits, polygons, and what is malformed."""

import shutil
import unicodedata
import warnings
from pathlib import Path

import pytest

import gvt
from gvt_data.boxes.annotation import AssumedWarning
from gvt_data.boxes.voc import VOC
from gvt_data.masks.voc import VOCSegmentation


@pytest.fixture(params=[VOC, VOCSegmentation])
def kind(request):
    """Return a data set's class whose lists are Pascal VOC's."""
    return request.param


@pytest.fixture
def data(kind, tmp_path):
    """Return the root of eight pictures, 0 to 7, whose lists are those that a test writes."""
    kind.gvt_example(tmp_path)
    for path in lists(tmp_path).iterdir():
        path.unlink()
    return tmp_path


def lists(root):
    """Return the folder of the lists."""
    return next(path for path in (root / "ImageSets").iterdir())


def write(root, **names):
    """Write lists."""
    for name, numbers in names.items():
        (lists(root) / f"{name}.txt").write_text("".join(f"{number}\n" for number in numbers))


def names(dataset):
    """Return the stems of a data set's pictures."""
    return {Path(dataset[i].record.source).stem for i in range(len(dataset))}


def stems(*numbers):
    return {*map(str, numbers)}


@pytest.mark.parametrize("name", ["default", "all", "TrainVal"])
def test_the_only_list_is_trained_on_and_a_share_of_it_is_val(name, kind, data):
    write(data, **{name: range(8), "cat_train": ["0  1", "1 -1"], "train_val": ["2 0"]})
    with pytest.warns(
        AssumedWarning, match=rf"has no list train\.txt; {name}\.txt is used for training"
    ):
        train, val = (names(kind(split, str(data))) for split in ("train", "val"))
    assert train | val == stems(*range(8))
    assert not train & val
    assert 1 <= len(val) <= 3
    with pytest.raises(gvt.DataError, match=rf"has no list test\.txt, only {name}\.txt; write one"):
        kind("test", str(data))


def test_trainval_is_trained_on_without_what_other_lists_have(kind, data):
    write(data, trainval=range(6), test=[6, 7])
    with pytest.warns(AssumedWarning, match=r"trainval\.txt is used for training"):
        parts = {split: names(kind(split, str(data))) for split in kind.splits}
    assert parts["train"] | parts["val"] == stems(*range(6))
    assert parts["test"] == stems(6, 7)
    assert parts["val"]
    write(data, VALID=[0, 1, 2])
    with pytest.warns(AssumedWarning):
        assert names(kind("train", str(data))) == stems(3, 4, 5)
    assert names(kind("train", str(data), train="trainval")) == stems(*range(6))


def test_a_list_that_is_named_loses_only_a_share(kind, data):
    write(data, mine=range(8), other=[0], test=[1])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        train, val = (names(kind(s, str(data), train="mine")) for s in ("train", "val"))
        assert names(kind("train", str(data), train="mine", val=0.0)) == stems(*range(8))
    assert train | val == stems(*range(8))
    assert val
    assert not train & val


def test_where_it_is_unclear_the_lists_are_named(kind, data):
    write(data, first=range(4), second=range(4, 8), cat_first=["0 1", "1 0"])
    with pytest.raises(gvt.DataError) as caught:
        kind("train", str(data))
    assert (
        "has no list train.txt; it has first.txt, second.txt; choose the list for training"
        in str(caught.value)
    )
    assert "data.train=NAME" in str(caught.value)
    with pytest.raises(gvt.DataError, match=r"has no list third\.txt; it has first\.txt, second"):
        kind("train", str(data), train="third")
    write(data, val=[3])
    assert names(kind("val", str(data))) == stems(3)


def test_names_of_lists_have_any_case_and_no_two_are_one_split(kind, data):
    write(data, Train=range(4), Validation=range(4, 6), TEST=[6, 7])
    assert names(kind("train", str(data))) == stems(*range(4))
    assert names(kind("val", str(data))) == stems(4, 5)
    assert names(kind("test", str(data))) == stems(6, 7)
    write(data, valid=[0])
    with pytest.raises(gvt.DataError, match=r"Validation\.txt and .*valid\.txt are both the split"):
        kind("val", str(data))


@pytest.mark.parametrize(
    "form", ["data/JPEGImages/{}.jpg", "C:\\data\\JPEGImages\\{}.jpg", "/home/me/{}", "./{}.jpg"]
)
def test_paths_in_lists_are_matched_by_their_endings(form, kind, data):
    write(data, train=[form.format(n) for n in range(5)], val=[5])
    if form.startswith("./"):
        assert names(kind("train", str(data))) == stems(*range(5))
    else:
        with pytest.warns(AssumedWarning, match="5 of 5 names were matched by their endings"):
            assert names(kind("train", str(data))) == stems(*range(5))
    write(data, train=["/a/0.jpg", "/b/0.jpg", "1", "../../secret.jpg"])
    with pytest.raises(gvt.DataError, match=r"3 (of 4|missing)"):
        kind("train", str(data))


def test_two_pictures_of_one_name_are_an_error(kind, data):
    write(data, train=[0], val=[1])
    shutil.copy(data / "JPEGImages/0.jpg", data / "JPEGImages/0.png")
    with pytest.raises(gvt.DataError, match=r"0\.png: has the same name as .*0\.jpg"):
        kind("train", str(data))


@pytest.mark.parametrize("forms", [("NFD", "NFC", "NFC"), ("NFC", "NFD", "NFD")])
def test_composed_and_decomposed_names_are_the_same(forms, kind, data):
    pictures, others, lines = forms
    for folder in data.iterdir():
        for path in folder.glob("[0-9].*"):
            form = pictures if folder.name == "JPEGImages" else others
            path.rename(path.with_name(unicodedata.normalize(form, f"\xe9{path.name}")))
    write(data, train=[unicodedata.normalize(lines, f"\xe9{n}") for n in range(8)], val=[])
    dataset = kind("train", str(data))
    assert len(dataset) == 8
    assert {unicodedata.normalize("NFC", name) for name in names(dataset)} == {
        f"\xe9{n}" for n in range(8)
    }
    if kind is VOC:
        assert sum(len(dataset[i].targets["boxes"]) for i in range(8)) == 7


def test_pairs_without_lists_are_found_composed_or_not(formats, tmp_path):
    root = formats["voc"](tmp_path)
    shutil.rmtree(root / "ImageSets")
    for folder, form in (("JPEGImages", "NFD"), ("Annotations", "NFC")):
        for path in [*(root / folder).iterdir()]:
            path.rename(path.with_name(unicodedata.normalize(form, f"\xe9{path.name}")))
    dataset = VOC("train", str(root), val=0.0, corners="exact")
    assert [len(dataset[index].targets["boxes"]) for index in range(3)] == [2, 1, 0]


def changed(root, old, new):
    """Change the XML file of the first picture, and return the root."""
    path = root / "Annotations/a.xml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    return str(root)


FIRST = (
    "<bndbox><xmin>2</xmin><ymin>3</ymin><xmax>22</xmax><ymax>13</ymax></bndbox>"  # of cell, of a
)


@pytest.mark.parametrize(
    "polygon",
    [
        "<polygon><x1>2</x1><y1>13.0</y1><x2>22</x2><y2>3</y2><x3>9</x3><y3>4</y3></polygon>",
        "<polygon><pt><x>2</x><y>13</y></pt><pt><x>22</x><y>3</y></pt><pt><x>3</x><y>4</y></pt>"
        "<username>me</username></polygon>",
        "<bndbox/><polygon><x1>2</x1><y1>3</y1><x2>22</x2><y2>13</y2></polygon>",
    ],
)
@pytest.mark.parametrize("corners", ["exact", "inclusive"])
def test_the_box_of_a_polygon_is_the_one_around_it(polygon, corners, formats, tmp_path):
    root = changed(formats["voc"](tmp_path / "data"), FIRST, polygon)
    with pytest.warns(AssumedWarning, match=r": 1 \(Annotations/a\.xml: object 1 \(cell\)\)"):
        dataset = VOC("train", root, corners=corners)
    assert dataset[0].targets["boxes"].tolist()[0] == [2, 3, 22, 13]
    assert dataset.info.problems == {}


@pytest.mark.parametrize(
    ("old", "new", "kind", "place"),
    [
        (FIRST, "", "object without a box", "object 1 (cell)"),
        (
            FIRST,
            "<polygon><x1>2</x1><y1>3</y1></polygon>",
            "object without a box",
            "object 1 (cell)",
        ),
        (
            FIRST,
            "<polygon><x1>2</x1><y1>a</y1><x2>3</x2><y2>9</y2></polygon>",
            "object without a box",
            "object 1 (cell)",
        ),
        (
            "<ymin>3</ymin>",
            "",
            "malformed annotation",
            "object 1 (cell): its <bndbox> has no <ymin>",
        ),
        ("<name>cell</name>", "", "malformed annotation", "object 1: has no <name>"),
        ("<name>cell</name>", "<name> </name>", "malformed annotation", "object 1: has no <name>"),
    ],
)
def test_a_malformed_object_is_skipped_and_the_others_stay(
    old, new, kind, place, formats, tmp_path
):
    root = changed(formats["voc"](tmp_path / "data"), old, new)
    with pytest.raises(gvt.DataError, match=f"1 {kind} "):
        VOC("train", root, corners="exact")
    with pytest.warns(UserWarning, match=f"left out: 1 {kind}: "):
        dataset = VOC("train", root, corners="exact", on_error="skip")
    assert dataset.info.classes[-1] == "dot"
    assert dataset[0].targets["boxes"].tolist() == [[10, 5, 40, 30]]
    assert len(dataset) == 3
    assert dataset.info.problems == {kind: [f"Annotations/a.xml: {place}"]}


def test_a_file_that_is_not_xml_is_skipped_with_its_picture(formats, tmp_path):
    root = formats["voc"](tmp_path / "data")
    (root / "Annotations/b.xml").write_text("<annotation><size></annotation>")
    (root / "Annotations/c.xml").write_text("")
    with pytest.raises(gvt.DataError, match=r"2 unreadable annotations \(.*b\.xml: line 1: .*c\.x"):
        VOC("train", str(root))
    with pytest.warns(UserWarning, match="left out: 2 unreadable annotations"):
        dataset = VOC("train", str(root), on_error="skip")
    assert names(dataset) == {"a"}


def test_an_object_that_labelme_has_deleted_is_none(formats, tmp_path):
    root = formats["voc"](tmp_path / "data")
    dataset = VOC("train", changed(root, "<name>cell", "<deleted>1</deleted><name>cell"))
    assert dataset[0].targets["labels"].tolist() == [1 if len(dataset.info.classes) > 1 else 0]
