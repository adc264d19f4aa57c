"""Pictures with several labels, by a list."""

import re
from pathlib import Path

import pytest
import torch
from PIL import Image

import gvt
from gvt.build import open_dataset
from gvt.interfaces import ResidentDataset
from gvt_data.image_folder import ImageFolder

LIST = "file,class,class\na/1.png,dog,cat\na/2.png,\n3.png,cat\n"


@pytest.fixture
def folder(tmp_path):
    for number, name in enumerate(("a/1.png", "a/2.png", "3.png")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (6, 5), (number, 0, 0)).save(tmp_path / name)
    (tmp_path / "labels.csv").write_text(LIST, encoding="utf-8")
    return tmp_path


def test_labels_are_those_of_the_list(folder):
    dataset = ImageFolder("train", str(folder), labels="labels.csv", size=4)
    assert dataset.classes == ("cat", "dog")
    assert dataset.labels is None
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
    assert (dataset.classes, len(dataset)) == (("dog",), 3)
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
    assert train.classes == val.classes == ("cat", "dog")
    assert val[0].targets["labels"].tolist() == [0]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a/1.png,cat\n", r"3\.png: has no line in labels\.csv"),
        (LIST + "4.png,cat\n", r"labels\.csv: line 5: there is no picture '4\.png'"),
        (LIST + "\n3.png,dog\n", r"labels\.csv: line 6: 3\.png has a line before"),
        ("", "has no line"),
        ('a/1.png,"cat\n', "is no CSV in UTF-8"),
        (LIST.replace("dog", "d\xf6g").encode("latin1"), "is no CSV in UTF-8"),
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
    assert ImageFolder("train", str(folder)).labels == [0, 1]
    assert ImageFolder("train", str(folder / "a")).labels is None
