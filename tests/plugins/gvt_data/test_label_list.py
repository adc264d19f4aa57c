"""Pictures with several labels, by a list."""

import re
import warnings
from pathlib import Path

import pytest
import torch
from PIL import Image

import gvt
from gvt.interfaces import ResidentDataset
from gvt.session.build import open_dataset
from gvt_data.image_folder import ImageFolder

LIST = "file,class,class\na/1.png,dog,cat\na/2.png,\n3.png,cat\n"


@pytest.fixture
def folder(tmp_path):
    for number, name in enumerate(("a/1.png", "a/2.png", "3.png")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (6, 5), (90 + number, 0, 0)).save(tmp_path / name)
    (tmp_path / "labels.csv").write_text(LIST, encoding="utf-8")
    return tmp_path


def test_labels_are_those_of_the_list(folder):
    dataset = ImageFolder("train", str(folder), labels="labels.csv", size=4)
    assert dataset.info.classes == ("cat", "dog")
    assert dataset.info.labels is None
    samples = [dataset[index] for index in range(3)]
    found = {Path(s.record.source).name: s.targets for s in samples}
    assert {name: sorted(t["labels"].tolist()) for name, t in found.items()} == {
        "1.png": [0, 1],
        "2.png": [],
        "3.png": [0],
    }
    for targets in found.values():
        assert targets.keys() == {"labels"}
        assert targets["labels"].dtype == torch.int64


def test_they_stay_lists(folder):
    listed = ImageFolder("train", str(folder), labels="labels.csv", size=4)
    assert not isinstance(listed, ResidentDataset)
    config = gvt.compose(
        "gan.folder", [f"data.root={folder}", "data.size=4", "data.labels=labels.csv"]
    )
    train = config.train.model_copy(update={"accumulate": 1})
    data = config.data.model_copy(update={"batch_size": 3})
    loader = gvt.Loader(open_dataset(config, "train"), data, train, gvt.Placement.resolve("cpu"))
    (batch,) = next(loader.groups())
    assert sorted(len(labels) for labels in batch.targets["labels"]) == [0, 1, 2]


def test_some_of_the_labels_are_taken(folder):
    dataset = ImageFolder("train", str(folder), labels="labels.csv", classes=["dog"])
    assert (dataset.info.classes, len(dataset)) == (("dog",), 3)
    assert sorted(len(dataset[i].targets["labels"]) for i in range(3)) == [0, 0, 1]


def test_split_folders_and_shares(folder):
    for split in ("train", "val"):
        (folder / split).mkdir()
    (folder / "a" / "1.png").rename(folder / "train" / "1.png")
    (folder / "a" / "2.png").rename(folder / "train" / "2.png")
    (folder / "3.png").rename(folder / "val" / "3.png")
    (folder / "mine.csv").write_text("train/1.png,dog\ntrain/2.png,dog\nval/3.png,cat\n")
    train, val = (ImageFolder(s, str(folder), labels="mine.csv") for s in ("train", "val"))
    assert (len(train), len(val)) == (2, 1)
    assert train.info.classes == val.info.classes == ("cat", "dog")
    assert val[0].targets["labels"].tolist() == [0]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a/1.png,cat\n", r"3\.png: has no line in labels\.csv"),
        (LIST + "4.png,cat\n", r"labels\.csv: line 5: there is no image '4\.png'"),
        (LIST + "\n3.png,dog\n", r"labels\.csv: line 6: 3\.png has an earlier line"),
        ("", "has no line"),
        ('a/1.png,"cat\n', "is not CSV in UTF-8"),
        (LIST.replace("dog", "d\xf6g").encode("latin1"), "is not CSV in UTF-8"),
        (None, r"^data\.labels: .*labels\.csv: No such file"),
    ],
)
def test_what_is_wrong_with_a_list_is_one_line(folder, text, says):
    path = folder / "labels.csv"
    path.unlink()
    if text is not None:
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(gvt.DataError, match=says) as caught:
        ImageFolder("train", str(folder), labels="labels.csv")
    assert "\n" not in str(caught.value)


def test_a_class_that_nobody_has_is_one_line(folder):
    with pytest.raises(ValueError, match=re.escape("there are cat, dog")):
        ImageFolder("train", str(folder), labels="labels.csv", classes=["cow"])


def test_the_class_of_each_picture_is_known_without_reading_it(folder):
    (folder / "labels.csv").unlink()
    (folder / "3.png").unlink()
    (folder / "b").mkdir()
    (folder / "a" / "2.png").rename(folder / "b" / "2.png")
    assert ImageFolder("train", str(folder)).info.labels.tolist() == [0, 1]
    assert ImageFolder("train", str(folder / "a")).info.labels is None


def labels_of(folder, text, **parameters):
    """Return the classes, and the labels of each picture, by a list."""
    (folder / "mine.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    dataset = ImageFolder("train", str(folder), labels="mine.csv", **parameters)
    found = {}
    for index, file in enumerate(dataset.files):
        numbers = dataset[index].targets["labels"].tolist()
        found[file.name] = [dataset.info.classes[number] for number in numbers]
    return dataset.info.classes, found


BOTH = {"1.png": ["cat", "dog"], "2.png": [], "3.png": ["dog"]}


@pytest.mark.parametrize(
    "text",
    [
        "filename,cat,dog\na/1.png,1,1\na/2.png,0,0\n3.png,0,1\n",
        "image,cat,dog\na/1.png,yes,Yes\na/2.png,no,NO\n3.png,no,yes\n",
        "picture,cat,dog\na/1.png,True,true\na/2.png,False,false\n3.png,False,TRUE\n",
        "file,cat,dog\na/1.png,1.0,1.0\na/2.png,0.0,0.0\n3.png,0.0,1.0\n",
        "file,cat,dog\na/1.png,x,x\na/2.png,,\n3.png,,x\n",
        "file,cat,dog\na/1.png,1,1\na/2.png\n3.png,,1\n",
        ",image,cat,dog\n0,a/1.png,1,1\n1,a/2.png,0,0\n2,3.png,0,1\n",
        "Unnamed: 0,image,cat,dog\n7,a/1.png,1,1\n8,a/2.png,0,0\n9,3.png,0,1\n",
        "cat,dog,image\n1,1,a/1.png\n0,0,a/2.png\n0,1,3.png\n",
        "image;cat;dog\na/1.png;1;1\na/2.png;0;0\n3.png;0;1\n",
        "sep=;\nimage;cat;dog\na/1.png;1;1\na/2.png;0;0\n3.png;0;1\n",
        "image\tcat\tdog\na/1.png\t1\t1\na/2.png\t0\t0\n3.png\t0\t1\n",
        "a\\\\1.png,cat,dog\na\\\\2.png\n3.png,dog\n".replace("\\\\", "\\"),
        "image,labels\na/1.png,cat;dog\na/2.png,\n3.png,dog\n",
        "image,labels\na/1.png,cat | dog\na/2.png,\n3.png,dog\n",
        'image,tags\na/1.png,"cat, dog"\na/2.png,\n3.png,dog\n',
        "a/1.png,cat;dog\na/2.png,\n3.png,dog\n",
        "a/1.png;cat,dog\na/2.png;\n3.png;dog\n",
        "a/1.png\tcat\tdog\na/2.png\n3.png\tdog\n",
        "image,label1,label2\na/1.png,cat,dog\na/2.png,,\n3.png,,dog\n",
        "0,a/1.png,cat,dog\n1,a/2.png\n2,3.png,dog\n",
    ],
)
def test_tables_and_lists_say_the_same(folder, text):
    assert labels_of(folder, text) == (("cat", "dog"), BOTH)


def test_a_table_of_one_class_and_one_nobody_has(folder):
    text = "image,sick\na/1.png,1\na/2.png,0\n3.png,0\n"
    assert labels_of(folder, text) == (("sick",), {"1.png": ["sick"], "2.png": [], "3.png": []})
    text = "image,cat,cow\na/1.png,1,0\na/2.png,0,0\n3.png,0,0\n"
    assert labels_of(folder, text)[0] == ("cat", "cow")


@pytest.mark.parametrize("heading", ["image,label\n", "id_code,class_id\n", ""])
def test_classes_may_be_numbers(folder, heading):
    found = labels_of(folder, heading + "a/1.png,0\na/2.png,1\n3.png,0\n")
    assert found == (("0", "1"), {"1.png": ["0"], "2.png": ["1"], "3.png": ["0"]})


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a/1.png,1,0\na/2.png,0,0\n3.png,0,1\n", "numbers in 2 columns but no heading"),
        ("a/1.png,.9,.1\na/2.png,.2,.8\n3.png,0,1\n", "numbers in 2 columns but no heading"),
        ("image,cat,dog\na/1.png,1,0\na/2.png,0,-1\n3.png,0,1\n", "line 3: '-1' in column 'd"),
        ("image,cat,dog\na/1.png,.9,.1\na/2.png,.2,.8\n3.png,0,1\n", "of column 'cat' is unclear"),
        ("image,label,split\na/1.png,cat,train\na/2.png,,val\n3.png,dog,val\n", "column 'split'"),
        ("image,cat,note\na/1.png,1,good\na/2.png,0,bad\n3.png,1,\n", "'good' in column 'no"),
        ("image,cat,cat\na/1.png,1,0\na/2.png,0,0\n3.png,0,1\n", "two columns are named cat"),
        ("image,cat\na/1.png,1,1\na/2.png,0,0\n3.png,0,1\n", "'1' in column number 3"),
        ("a/1.png,cat dog\na/2.png,cat\n3.png,dog\n", "'cat dog' may be one label or 2"),
        ("a/1.png,cat/dog\na/2.png,cat\n3.png,dog\n", "'cat/dog' may be one label"),
        ("""a/1.png,"['cat', 'dog']"\na/2.png,\n3.png,\n""", "separate labels by semicolons"),
    ],
)
def test_what_cells_may_mean_in_two_ways_is_one_line(folder, text, says):
    with pytest.raises(gvt.DataError, match=rf"mine\.csv: .*{re.escape(says)}"):
        labels_of(folder, text)


def test_labels_with_blanks_are_told_where_they_may_be_several(folder):
    text = "a/1.png,hot dog\na/2.png,dog\n3.png,traffic light\n"
    with pytest.warns(UserWarning, match="one class each: hot dog, traffic light"):
        classes, _ = labels_of(folder, text)
    assert classes == ("dog", "hot dog", "traffic light")
    with pytest.warns(UserWarning, match="one class each: clear haze, haze clear"):
        labels_of(folder, "a/1.png,haze clear\na/2.png,clear haze\n3.png,\n")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        labels_of(folder, "a/1.png,golden retriever\na/2.png,labrador retriever\n3.png,\n")
        named = ["cat dog", "cat", "dog"]
        text = "a/1.png,cat dog\na/2.png,cat\n3.png,dog\n"
        assert labels_of(folder, text, classes=named)[0] == tuple(named)


def test_composed_and_decomposed_names_in_a_list_are_the_same(folder):
    (folder / "3.png").rename(folder / "u\u0308.png")
    text = "a/1.png,caf\u00e9\na/2.png,cafe\u0301\n\u00fc.png,\n"
    classes, found = labels_of(folder, text)
    assert classes == ("caf\u00e9",)
    assert sorted(map(len, found.values())) == [0, 1, 1]


def test_the_list_itself_is_not_passed_over(folder):
    (folder / "notes.txt").touch()
    dataset = ImageFolder("train", str(folder), labels="labels.csv")
    assert dataset.info.passed_over == {".txt": 1}
