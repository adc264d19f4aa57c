"""YOLO's text files: layouts, names of classes, outlines, and lines that are wrong."""

import json
import shutil
from pathlib import Path

import pytest
import torch

import gvt
from gvt_data.boxes.yolo import YOLO

LINE = "1 0.5 0.5 0.25 0.5\n"


def write(root, picture, text, draws, numbers=(0,), line=LINE):
    """Write pictures of 40x20 with text files."""
    for number in numbers:
        draws(root / picture.format(number), (20, 40))
        path = root / text.format(number)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(line)
    (root / "data.yaml").write_text("names: {0: cat, 1: dog}\n")


@pytest.mark.parametrize(
    ("picture", "text"),
    [
        ("images/val/{}.jpg", "labels/val/{}.txt"),
        ("images/valid/{}.jpg", "labels/valid/{}.txt"),
        ("valid/images/{}.jpg", "valid/labels/{}.txt"),
        ("images/val2017/{}.jpg", "labels/val2017/{}.txt"),
        ("val/{}.jpg", "val/{}.txt"),
        ("images/val/deep/{}.jpg", "labels/val/deep/{}.txt"),
    ],
)
def test_usual_layouts_are_found(picture, text, draws, tmp_path):
    write(tmp_path, picture, text, draws, range(3))
    dataset = YOLO("val", str(tmp_path))
    assert len(dataset) == 3
    assert dataset.classes == ("cat", "dog")
    assert dataset[0].targets["boxes"].tolist() == [[15, 5, 25, 15]]
    assert dataset[0].targets["labels"].tolist() == [1]
    with pytest.raises(gvt.DataError, match=r"split train of .* has no pictures"):
        YOLO("train", str(tmp_path))


@pytest.mark.parametrize(
    ("picture", "text"), [("{}.jpg", "{}.txt"), ("images/{}.jpg", "labels/{}.txt")]
)
def test_without_folders_there_are_shares(picture, text, draws, tmp_path):
    write(tmp_path, picture, text, draws, range(20))
    for name in ("classes.txt", "README.dataset.txt"):
        (tmp_path / name).write_text("cat\ndog\n")
    parts = [YOLO(split, str(tmp_path), test=0.2) for split in YOLO.splits]
    sources = [part[i].record.source for part in parts for i in range(len(part))]
    assert len(sources) == len({*sources}) == 20
    assert min(map(len, parts)) > 0


def test_folders_may_be_told_by_the_yaml(draws, tmp_path):
    write(tmp_path, "images/first/{}.jpg", "labels/first/{}.txt", draws, range(3))
    write(tmp_path, "images/second/{}.jpg", "labels/second/{}.txt", draws, range(3, 5))
    text = "path: ../somewhere\ntrain: images/first\nval: ../images/second\nnames: [cat, dog]\n"
    (tmp_path / "data.yaml").write_text(text)
    assert [len(YOLO(split, str(tmp_path))) for split in ("train", "val")] == [3, 2]


def of_split(split, root, **parameters):
    """Return the names of a split's pictures."""
    dataset = YOLO(split, str(root), **parameters)
    return [Path(dataset[index].record.source).stem for index in range(len(dataset))]


@pytest.mark.parametrize(
    ("train", "val", "prefix"),
    [
        ("train.txt", "val.txt", "images/"),
        ("./lists/train.txt", "lists/val.txt", "./images/"),
        ("lists/train.txt", "lists/val.txt", "../images/"),
        ("train.txt", "val.txt", "{root}/images/"),
        (["train.txt"], ["val.txt"], "images/"),
    ],
)
def test_lists_that_the_yaml_names_are_the_splits(train, val, prefix, draws, tmp_path):
    write(tmp_path, "images/{}.jpg", "labels/{}.txt", draws, range(6))
    text = f"train: {json.dumps(train)}\nval: {json.dumps(val)}\nnames: [cat, dog]\n"
    (tmp_path / "data.yaml").write_text(text)
    for given, numbers in ((train, (4, 0, 0, 2)), (val, (1, 5))):
        path = tmp_path / (given if isinstance(given, str) else given[0])
        path.parent.mkdir(exist_ok=True)
        lines = [f"{prefix.format(root=tmp_path)}{number}.jpg\n" for number in numbers]
        path.write_text("".join(lines) + "\n")
    assert of_split("train", tmp_path) == ["0", "2", "4"]
    assert of_split("val", tmp_path) == ["1", "5"]
    assert YOLO("val", str(tmp_path))[0].targets["boxes"].tolist() == [[15, 5, 25, 15]]
    with pytest.raises(gvt.DataError, match=r"split test of .* has no pictures"):
        YOLO("test", str(tmp_path))


@pytest.mark.parametrize(
    ("text", "train", "val"),
    [
        ("train: data/images/a\nval: data/images/b", "012", "34"),
        ("path: data\ntrain: images/a\nvalid: images/b", "012", "34"),
        ("path: /content/data\ntrain: ../data/images/a\nval: data/images/b/", "012", "34"),
        ("train: [data/images/a, data/images/c]\nval: data/images/b\ntest:", "01256", "34"),
        ("train: data/images/b\nval: data/images/b", "34", "34"),
    ],
)
def test_folders_that_the_yaml_names_are_the_splits(text, train, val, draws, tmp_path):
    for folder, numbers in (("a", range(3)), ("b", (3, 4)), ("c", (5, 6))):
        write(
            tmp_path,
            f"data/images/{folder}/{{}}.jpg",
            f"data/labels/{folder}/{{}}.txt",
            draws,
            numbers,
        )
    (tmp_path / "data.yaml").write_text(f"{text}\nnames: [cat, dog]\n")
    assert of_split("train", tmp_path) == [*train]
    assert of_split("val", tmp_path) == [*val]
    for split in ("train", "val"):
        dataset = YOLO(split, str(tmp_path))
        assert all(len(dataset[index].targets["boxes"]) == 1 for index in range(len(dataset)))


def test_what_the_yaml_does_not_name_is_a_share_of_what_it_names(draws, tmp_path):
    write(tmp_path, "images/a/{}.jpg", "labels/a/{}.txt", draws, range(20))
    write(tmp_path, "images/b/{}.jpg", "labels/b/{}.txt", draws, (20, 21))
    (tmp_path / "data.yaml").write_text("train: images/a\ntest: images/b\nnames: [cat, dog]\n")
    train, val = of_split("train", tmp_path, val=0.3), of_split("val", tmp_path, val=0.3)
    assert sorted([*train, *val], key=int) == [str(number) for number in range(20)]
    assert train
    assert val
    assert of_split("test", tmp_path) == ["20", "21"]
    (tmp_path / "data.yaml").write_text("val: images/a\n")
    (tmp_path / "classes.txt").write_text("cat\ndog\n")
    assert len(of_split("val", tmp_path)) == 20
    with pytest.raises(gvt.DataError, match=r"data\.yaml: val: is named, and train is not"):
        YOLO("train", str(tmp_path))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("train: nowhere", r"data\.yaml: train: nowhere is no folder and no text file"),
        ("train: /nowhere/images", r"data\.yaml: train: /nowhere/images is no folder"),
        ("train: [images, lists.txt]", r"data\.yaml: train: lists\.txt is no folder"),
        ("train: images/0.jpg", r"data\.yaml: train: images/0\.jpg is no folder"),
        (f"train: {'n' * 300}", r"data\.yaml: train: n+ is no folder"),
        ("train: labels", r"data\.yaml: train: there are no pictures in .*labels"),
        ("train: empty.txt", r"data\.yaml: train: there are no pictures in .*empty\.txt"),
        ("train: lost.txt", r"1 missing image \(labels/lost\.txt: there is no .*images/lost\.jpg"),
    ],
)
def test_what_the_yaml_names_and_is_not_there_is_one_line(text, said, draws, tmp_path):
    write(tmp_path, "images/{}.jpg", "labels/{}.txt", draws)
    (tmp_path / "empty.txt").write_text("\n")
    (tmp_path / "lost.txt").write_text("images/0.jpg\nimages/lost.jpg\n")
    (tmp_path / "data.yaml").write_text(f"{text}\nval: images\nnames: [cat, dog]\n")
    with pytest.raises(gvt.DataError, match=said) as caught:
        YOLO("train", str(tmp_path))
    assert "\n" not in str(caught.value)
    assert len(YOLO("val", str(tmp_path))) == 1


@pytest.mark.parametrize("given", ["5", "[[images]]", "{a: images}", "[images, '']"])
def test_a_split_of_the_yaml_is_text_or_a_list(given, draws, tmp_path):
    write(tmp_path, "images/{}.jpg", "labels/{}.txt", draws)
    (tmp_path / "data.yaml").write_text(f"train: {given}\nnames: [cat, dog]\n")
    with pytest.raises(gvt.DataError, match=r"data\.yaml: train: is no folder of pictures, no te"):
        YOLO("train", str(tmp_path))


def test_in_a_folder_that_the_yaml_names_partners_are_missed(draws, tmp_path):
    write(tmp_path, "images/a/{}.jpg", "labels/a/{}.txt", draws)
    (tmp_path / "data.yaml").write_text("train: images/a\nnames: [cat, dog]\n")
    (tmp_path / "labels/a/lost.txt").write_text(LINE)
    with pytest.raises(gvt.DataError, match=r"1 missing image \(labels/a/lost\.txt: .*lost\.jpg"):
        YOLO("train", str(tmp_path), val=0.0)
    (tmp_path / "labels/a/lost.txt").unlink()
    draws(tmp_path / "images/a/0.png", (20, 40))
    with pytest.raises(gvt.DataError, match=r"0\.png: .*0\.jpg goes by the same name"):
        YOLO("train", str(tmp_path), val=0.0)


def test_a_picture_without_a_text_file_has_no_objects(draws, tmp_path):
    write(tmp_path, "images/train/{}.jpg", "labels/train/{}.txt", draws)
    draws(tmp_path / "images/train/bare.jpg", (20, 40))
    dataset = YOLO("train", str(tmp_path), val=0.0)
    assert [len(dataset[index].targets["boxes"]) for index in range(2)] == [1, 0]
    assert dataset.problems == {}


def test_a_text_file_without_a_picture_is_named(draws, tmp_path):
    write(tmp_path, "images/train/{}.jpg", "labels/train/{}.txt", draws)
    (tmp_path / "labels/train/lost.txt").write_text(LINE)
    (tmp_path / "labels/classes.txt").write_text("cat\ndog\n")
    with pytest.raises(gvt.DataError, match=r"1 missing image \(labels/train/lost\.txt: there is"):
        YOLO("train", str(tmp_path), val=0.0)


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("data.yaml", "names: [cat, dog]"),
        ("data.yaml", "names:\n  1: dog\n  0: cat"),
        ("other.yml", "names: [cat, dog]"),
        ("classes.txt", "cat\n\ndog\n"),
        ("labels/classes.txt", "\ufeffcat\ndog"),
    ],
)
def test_names_of_classes_are_found(file, text, draws, tmp_path):
    write(tmp_path, "images/train/{}.jpg", "labels/train/{}.txt", draws)
    (tmp_path / "data.yaml").unlink()
    with pytest.raises(gvt.DataError, match=r"has no data\.yaml or classes\.txt.*give data\.clas"):
        YOLO("train", str(tmp_path), val=0.0)
    (tmp_path / file).write_text(text, encoding="utf-8")
    assert YOLO("train", str(tmp_path), val=0.0).classes == ("cat", "dog")
    named = YOLO("train", str(tmp_path), classes=["a", "b", "c"], val=0.0)
    assert named.classes == ("a", "b", "c")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("names: [cat", r"data\.yaml, line \d: not valid YAML"),
        ("names: {0: cat, 2: dog}", "their numbers are not those from 0 on"),
        ("names: 5", "names: is no list"),
        ("names: [cat, cat]", "two classes are called cat"),
    ],
)
def test_names_that_are_wrong_are_one_line(text, said, draws, tmp_path):
    write(tmp_path, "images/train/{}.jpg", "labels/train/{}.txt", draws)
    (tmp_path / "data.yaml").write_text(text)
    with pytest.raises(gvt.DataError, match=said) as caught:
        YOLO("train", str(tmp_path), val=0.0)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("0 0.5 0.5 0.2", r"0\.txt: line 2: has 3 numbers behind its class; a line is"),
        ("0 0.5 0.5 0.2 0.2 0.9", "line 2: has 5 numbers"),
        ("cat 0.5 0.5 0.2 0.2", "line 2: cat is no class's number"),
        ("-1 0.5 0.5 0.2 0.2", "line 2: -1 is no class's number"),
        ("0.5 0.5 0.5 0.2 0.2", "line 2: 0.5 is no class's number"),
        ("inf 0.5 0.5 0.2 0.2", "line 2: inf is no class's number"),
    ],
)
def test_a_line_that_is_wrong_is_one_line(line, said, draws, tmp_path):
    write(tmp_path, "images/train/{}.jpg", "labels/train/{}.txt", draws, line=LINE + line)
    with pytest.raises(gvt.DataError, match=said):
        YOLO("train", str(tmp_path), val=0.0)


@pytest.mark.parametrize("value", ["nan", "inf", "half"])
@pytest.mark.parametrize("rest", [" 0.5 0.2 0.2", " 0.1 0.2 0.3 0.4 0.5"])
def test_what_is_no_number_is_a_bad_box(value, rest, draws, tmp_path):
    line = f"{LINE}\n0 {value}{rest}\n"
    write(tmp_path, "images/train/{}.jpg", "labels/train/{}.txt", draws, line=line)
    with pytest.raises(gvt.DataError, match=r"1 box that is not a number \(.*: line 3 \(cat\)"):
        YOLO("train", str(tmp_path), val=0.0)


def test_outlines_are_masks_where_all_lines_are_some(draws, tmp_path):
    outline = "0 0.25 0.2 0.75 0.2 0.75 0.8 0.25 0.8\n"
    write(tmp_path, "images/train/{}.jpg", "labels/train/{}.txt", draws, [0, 1], line=outline)
    draws(tmp_path / "images/train/bare.jpg", (20, 40))
    dataset = YOLO("train", str(tmp_path), val=0.0)
    found = dataset[0].targets
    assert found["boxes"].tolist() == [[10, 4, 30, 16]]
    wanted = torch.zeros(1, 20, 40, dtype=torch.uint8)
    wanted[:, 4:16, 10:30] = 1
    assert torch.equal(found["masks"], wanted)
    assert dataset[2].targets["masks"].shape == (0, 20, 40)
    assert "masks" not in YOLO("train", str(tmp_path), val=0.0, masks=False)[0].targets
    (tmp_path / "labels/train/1.txt").write_text(outline + LINE)
    mixed = YOLO("train", str(tmp_path), val=0.0)
    assert not any("masks" in mixed[index].targets for index in range(3))
    assert mixed.left_out == {"masks, where an object has no outline": 2}
    assert mixed[0].targets["boxes"].tolist() == [[10, 4, 30, 16]]


def test_pictures_of_one_name_are_told(draws, tmp_path):
    write(tmp_path, "images/train/{}.jpg", "labels/train/{}.txt", draws)
    draws(tmp_path / "images/train/0.png", (20, 40))
    with pytest.raises(gvt.DataError, match=r"0\.png: .*0\.jpg goes by the same name"):
        YOLO("train", str(tmp_path), val=0.0)


def test_a_folder_without_pictures_is_one_line(tmp_path):
    (tmp_path / "data.yaml").write_text(json.dumps({"names": ["a"]}))
    with pytest.raises(gvt.DataError, match="no pictures in"):
        YOLO("train", str(tmp_path))


def test_labels_may_stand_behind_a_link(draws, tmp_path):
    write(tmp_path / "data", "images/train/{}.jpg", "labels/train/{}.txt", draws)
    shutil.move(tmp_path / "data/labels", tmp_path / "elsewhere")
    (tmp_path / "data/labels").symlink_to(tmp_path / "elsewhere")
    dataset = YOLO("train", str(tmp_path / "data"), val=0.0)
    assert len(dataset[0].targets["boxes"]) == 1
