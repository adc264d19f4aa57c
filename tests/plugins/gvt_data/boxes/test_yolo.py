"""YOLO's text files: layouts, names of classes, outlines, and lines that are wrong."""

import json
import shutil
from pathlib import Path
from unicodedata import normalize

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
    assert dataset.info.classes == ("cat", "dog")
    assert dataset[0].targets["boxes"].tolist() == [[15, 5, 25, 15]]
    assert dataset[0].targets["labels"].tolist() == [1]
    with pytest.raises(gvt.DataError, match=r"split train of .* has no images"):
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


def test_folders_may_be_named_by_the_yaml(draws, tmp_path):
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
    for entry, numbers in ((train, (4, 0, 0, 2)), (val, (1, 5))):
        path = tmp_path / (entry if isinstance(entry, str) else entry[0])
        path.parent.mkdir(exist_ok=True)
        lines = [f"{prefix.format(root=tmp_path)}{number}.jpg\n" for number in numbers]
        path.write_text("".join(lines) + "\n")
    assert of_split("train", tmp_path) == ["0", "2", "4"]
    assert of_split("val", tmp_path) == ["1", "5"]
    assert YOLO("val", str(tmp_path))[0].targets["boxes"].tolist() == [[15, 5, 25, 15]]
    with pytest.raises(gvt.DataError, match=r"split test of .* has no images"):
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
    with pytest.raises(gvt.DataError, match=r"data\.yaml: val: is named, but train is not"):
        YOLO("train", str(tmp_path))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("train: nowhere", r"data\.yaml: train: nowhere is neither a folder nor a text file"),
        ("train: /nowhere/else", r"data\.yaml: train: /nowhere/else is neither a folder"),
        ("train: [images, lists.txt]", r"data\.yaml: train: lists\.txt is neither"),
        ("train: images/0.jpg", r"data\.yaml: train: images/0\.jpg is neither"),
        (f"train: {'n' * 300}", r"data\.yaml: train: n+ is neither"),
        ("train: labels", r"data\.yaml: train: there are no images in .*labels"),
        ("train: empty.txt", r"data\.yaml: train: there are no images in .*empty\.txt"),
        ("train: lost.txt", r"1 missing image \(labels/lost\.txt: there is no .*images/lost\.jpg"),
    ],
)
def test_an_absent_place_of_the_yaml_is_one_line(text, message, draws, tmp_path):
    write(tmp_path, "images/{}.jpg", "labels/{}.txt", draws)
    (tmp_path / "empty.txt").write_text("\n")
    (tmp_path / "lost.txt").write_text("images/0.jpg\nimages/lost.jpg\n")
    (tmp_path / "data.yaml").write_text(f"{text}\nval: images\nnames: [cat, dog]\n")
    with pytest.raises(gvt.DataError, match=message) as caught:
        YOLO("train", str(tmp_path))
    assert "\n" not in str(caught.value)
    assert len(YOLO("val", str(tmp_path))) == 1


@pytest.mark.parametrize("entry", ["5", "[[images]]", "{a: images}", "[images, '']"])
def test_a_split_of_the_yaml_is_text_or_a_list(entry, draws, tmp_path):
    write(tmp_path, "images/{}.jpg", "labels/{}.txt", draws)
    (tmp_path / "data.yaml").write_text(f"train: {entry}\nnames: [cat, dog]\n")
    with pytest.raises(gvt.DataError, match=r"data\.yaml: train: is neither a folder of images,"):
        YOLO("train", str(tmp_path))


def test_in_a_folder_that_the_yaml_names_partners_are_missed(draws, tmp_path):
    write(tmp_path, "images/a/{}.jpg", "labels/a/{}.txt", draws)
    (tmp_path / "data.yaml").write_text("train: images/a\nnames: [cat, dog]\n")
    (tmp_path / "labels/a/lost.txt").write_text(LINE)
    with pytest.raises(gvt.DataError, match=r"1 missing image \(labels/a/lost\.txt: .*lost\.jpg"):
        YOLO("train", str(tmp_path), val=0.0)
    (tmp_path / "labels/a/lost.txt").unlink()
    draws(tmp_path / "images/a/0.png", (20, 40))
    with pytest.raises(gvt.DataError, match=r"0\.png: .*0\.jpg has the same name"):
        YOLO("train", str(tmp_path), val=0.0)


def test_a_picture_without_a_text_file_has_no_objects(draws, tmp_path):
    write(tmp_path, "images/train/{}.jpg", "labels/train/{}.txt", draws)
    draws(tmp_path / "images/train/bare.jpg", (20, 40))
    dataset = YOLO("train", str(tmp_path), val=0.0)
    assert [len(dataset[index].targets["boxes"]) for index in range(2)] == [1, 0]
    assert dataset.info.problems == {}


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
    assert YOLO("train", str(tmp_path), val=0.0).info.classes == ("cat", "dog")
    named = YOLO("train", str(tmp_path), classes=["a", "b", "c"], val=0.0)
    assert named.info.classes == ("a", "b", "c")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("names: [cat", r"data\.yaml, line \d: not valid YAML"),
        ("names: {0: cat, 2: dog}", "its keys are not the numbers 0 to 1"),
        ("names: 5", "names: is not a list"),
        ("names: [cat, cat]", "two classes are called cat"),
    ],
)
def test_names_that_are_wrong_are_one_line(text, message, draws, tmp_path):
    write(tmp_path, "images/train/{}.jpg", "labels/train/{}.txt", draws)
    (tmp_path / "data.yaml").write_text(text)
    with pytest.raises(gvt.DataError, match=message) as caught:
        YOLO("train", str(tmp_path), val=0.0)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("0 0.5 0.5 0.2", r"0\.txt: line 2 \(cat\): has 3 numbers after the class; a box has 4"),
        ("0 0.5 0.5 0.2 0.2 0.9", r"line 2 \(cat\): has 5 numbers"),
        ("cat 0.5 0.5 0.2 0.2", "line 2: cat is not the index of a class"),
        ("-1 0.5 0.5 0.2 0.2", "line 2: -1 is not the index of a class"),
        ("0.5 0.5 0.5 0.2 0.2", "line 2: 0.5 is not the index of a class"),
        ("inf 0.5 0.5 0.2 0.2", "line 2: inf is not the index of a class"),
    ],
)
def test_a_line_that_is_wrong_is_one_line(line, message, draws, tmp_path):
    write(tmp_path, "images/train/{}.jpg", "labels/train/{}.txt", draws, line=LINE + line)
    with pytest.raises(gvt.DataError, match=message):
        YOLO("train", str(tmp_path), val=0.0)


@pytest.mark.parametrize("value", ["nan", "inf", "half"])
@pytest.mark.parametrize("rest", [" 0.5 0.2 0.2", " 0.1 0.2 0.3 0.4 0.5"])
def test_a_cell_that_is_not_a_number_is_a_bad_box(value, rest, draws, tmp_path):
    line = f"{LINE}\n0 {value}{rest}\n"
    write(tmp_path, "images/train/{}.jpg", "labels/train/{}.txt", draws, line=line)
    with pytest.raises(gvt.DataError, match=r"1 box that is not a number \(.*: line 3 \(cat\)"):
        YOLO("train", str(tmp_path), val=0.0)


def test_outlines_are_masks_where_all_lines_are_some(draws, tmp_path):
    outline = "0 0.25 0.2 0.75 0.2 0.75 0.8 0.25 0.8\n"
    write(tmp_path, "images/train/{}.jpg", "labels/train/{}.txt", draws, [0, 1], line=outline)
    draws(tmp_path / "images/train/bare.jpg", (20, 40))
    dataset = YOLO("train", str(tmp_path), val=0.0)
    targets = dataset[0].targets
    assert targets["boxes"].tolist() == [[10, 4, 30, 16]]
    expected = torch.zeros(1, 20, 40, dtype=torch.uint8)
    expected[:, 4:16, 10:30] = 1
    assert torch.equal(targets["masks"], expected)
    assert dataset[2].targets["masks"].shape == (0, 20, 40)
    assert "masks" not in YOLO("train", str(tmp_path), val=0.0, masks=False)[0].targets
    (tmp_path / "labels/train/1.txt").write_text(outline + LINE)
    mixed = YOLO("train", str(tmp_path), val=0.0)
    assert not any("masks" in mixed[index].targets for index in range(3))
    assert mixed.info.left_out == {"masks, where an object has no outline": 2}
    assert mixed[0].targets["boxes"].tolist() == [[10, 4, 30, 16]]


def test_images_with_the_same_name_are_an_error(draws, tmp_path):
    write(tmp_path, "images/train/{}.jpg", "labels/train/{}.txt", draws)
    draws(tmp_path / "images/train/0.png", (20, 40))
    with pytest.raises(gvt.DataError, match=r"0\.png: .*0\.jpg has the same name"):
        YOLO("train", str(tmp_path), val=0.0)


def test_a_folder_without_pictures_is_one_line(tmp_path):
    (tmp_path / "data.yaml").write_text(json.dumps({"names": ["a"]}))
    with pytest.raises(gvt.DataError, match="no images in"):
        YOLO("train", str(tmp_path))


def test_labels_may_stand_behind_a_link(draws, tmp_path):
    write(tmp_path / "data", "images/train/{}.jpg", "labels/train/{}.txt", draws)
    shutil.move(tmp_path / "data/labels", tmp_path / "elsewhere")
    (tmp_path / "data/labels").symlink_to(tmp_path / "elsewhere")
    dataset = YOLO("train", str(tmp_path / "data"), val=0.0)
    assert len(dataset[0].targets["boxes"]) == 1


@pytest.mark.parametrize("yaml", ["nc: 3\nnames: [cat, dog]", "nc: 1\nnames: {0: cat, 1: dog}"])
def test_a_number_of_classes_that_is_not_that_of_the_names_is_an_error(yaml, draws, tmp_path):
    write(tmp_path, "images/{}.jpg", "labels/{}.txt", draws)
    (tmp_path / "data.yaml").write_text(yaml)
    with pytest.raises(
        gvt.DataError, match=r"data\.yaml: nc is \d, but there are 2 names: cat, do"
    ):
        YOLO("train", str(tmp_path), val=0.0)
    named = YOLO("train", str(tmp_path), classes=["a", "b", "c"], val=0.0)
    assert named.info.classes == ("a", "b", "c")
    (tmp_path / "data.yaml").write_text("nc: many\nnames: [cat, dog]")
    with pytest.raises(gvt.DataError, match=r"data\.yaml: nc: many is not the number of classes"):
        YOLO("train", str(tmp_path), val=0.0)
    (tmp_path / "data.yaml").write_text("nc: 2\nnames: [cat, dog]")
    assert len(YOLO("train", str(tmp_path), val=0.0)) == 1


def test_the_number_of_classes_is_that_of_classes_txt_too(draws, tmp_path):
    write(tmp_path, "images/{}.jpg", "labels/{}.txt", draws)
    (tmp_path / "data.yaml").write_text("nc: 3")
    (tmp_path / "classes.txt").write_text("cat\ndog\n")
    with pytest.raises(gvt.DataError, match=r"data\.yaml: nc is 3, but there are 2 names"):
        YOLO("train", str(tmp_path), val=0.0)


@pytest.mark.parametrize("on_error", ["error", "skip", "clip"])
@pytest.mark.parametrize(
    ("line", "kind", "reason"),
    [
        ("1 20 10 10 10", "box in pixels instead of fractions", "20 10 10 10 look like pixels"),
        ("1 5 5 10 10", "box in pixels instead of fractions", "5 5 10 10 look like pixels"),
        ("1 50 50 25 50", "box in pixels instead of fractions", "look like pixels"),
        ("1 0 0 39 0 39 9", "box in pixels instead of fractions", "0 0 39 0 look like pixels"),
        ("1 0,5 0,5 0,2 0,2", "box that is not a number", "0,5 has a decimal comma; write 0.5"),
        ("1 0.5 0,5 0.2 0.2", "box that is not a number", "0,5 has a decimal comma; write 0.5"),
        ("1,0.5,0.5,0.2,0.2", "malformed annotation", "the numbers are not separated by spaces"),
        ("1, 0.5, 0.5, 0.2, 0.2", "malformed annotation", "not separated by spaces"),
        ("1_0 0.5 0.5 0.2 0.2", "malformed annotation", "1_0 is not the index of a class"),
        ("1 0.5 0.5 0.2 0_2", "box that is not a number", "0_2 is not a number"),
        ("\0001 0.5 0.5 0.2 0.2", "malformed annotation", "x001 is not the index of a class"),
    ],
)
def test_the_cause_of_a_bad_line_is_named(on_error, line, kind, reason, draws, tmp_path):
    write(tmp_path, "images/{}.jpg", "labels/{}.txt", draws, line=f"{LINE}{line}\n")
    if on_error == "error":
        with pytest.raises(gvt.DataError, match=f"1 {kind} .*line 2") as caught:
            YOLO("train", str(tmp_path), val=0.0)
        assert reason in str(caught.value)
        return
    with pytest.warns(UserWarning, match=f"1 {kind}"):
        dataset = YOLO("train", str(tmp_path), val=0.0, on_error=on_error)
    assert reason in dataset.info.problems[kind][0]
    assert dataset[0].targets["boxes"].tolist() == [[15, 5, 25, 15]]


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbf1 0.5 0.5 0.25 0.5\r\n",
        b"1\t0.5\t0.5\t0.25\t0.5\r\n\r\n\r\n",
        b"  1   0.5 0.5  0.25 0.5  ",
        b"1.0 5e-1 .5 +0.25 0.50\r",
    ],
)
def test_any_white_space_and_line_ends_are_read(content, draws, tmp_path):
    write(tmp_path, "images/{}.jpg", "labels/{}.txt", draws)
    (tmp_path / "labels/0.txt").write_bytes(content)
    assert YOLO("train", str(tmp_path), val=0.0)[0].targets["boxes"].tolist() == [[15, 5, 25, 15]]


@pytest.mark.parametrize("encoding", ["utf-16", "latin-1"])
def test_a_text_file_that_cannot_be_read_goes_by_on_error(encoding, draws, tmp_path):
    write(tmp_path, "images/{}.jpg", "labels/{}.txt", draws, (0, 1))
    (tmp_path / "labels/0.txt").write_bytes("1 0.5 0.5 0.2 0.2 é".encode(encoding))
    with pytest.raises(
        gvt.DataError, match=r"1 unreadable annotation \(.*0\.txt: is not valid UTF-8"
    ):
        YOLO("train", str(tmp_path), val=0.0)
    with pytest.warns(UserWarning, match="1 unreadable annotation"):
        dataset = YOLO("train", str(tmp_path), val=0.0, on_error="skip")
    assert len(dataset) == 1


WINDOWS = {
    "relative": ("path: .\ntrain: images\\a\nval: images\\b", "012", "34"),
    "absolute": ("train: C:\\sets\\cells\\images\\a\nval: C:\\sets\\cells\\images\\b", "012", "34"),
    "path": ("path: C:\\sets\\cells\ntrain: images\\a\nval: images\\b", "012", "34"),
    "quoted": ("path: 'D:/sets'\ntrain: cells/images/a\nval: ['cells/images/b']", "012", "34"),
    "linux": ("train: /home/me/images/a\nval: ../elsewhere/images/b", "012", "34"),
    "lists": ("train: C:\\sets\\lists\\a.txt\nval: lists\\b.txt", "01", "3"),
}


@pytest.mark.parametrize("case", WINDOWS)
def test_paths_of_other_machines_are_found_by_their_ends(case, draws, tmp_path):
    yaml, train, val = WINDOWS[case]
    write(tmp_path, "images/a/{}.jpg", "labels/a/{}.txt", draws, range(3))
    write(tmp_path, "images/b/{}.jpg", "labels/b/{}.txt", draws, (3, 4))
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists/a.txt").write_text("C:\\sets\\images\\a\\0.jpg\r\nimages\\a\\1.jpg\r\n")
    (tmp_path / "lists/b.txt").write_text("/data/sets/images/b/3.jpg\n")
    (tmp_path / "data.yaml").write_text(f"{yaml}\nnames: [cat, dog]\n")
    for split, numbers in (("train", train), ("val", val)):
        with pytest.warns(UserWarning, match="matched by (its|their) ending") as records:
            dataset = YOLO(split, str(tmp_path))
        sources = [Path(dataset[index].record.source).stem for index in range(len(dataset))]
        assert "".join(sources) == numbers
        assert len(records) == (2 if case == "lists" else 1)
        assert all(len(dataset[index].targets["boxes"]) == 1 for index in range(len(dataset)))


def test_a_path_that_ends_like_two_folders_is_an_error(draws, tmp_path):
    for place in ("one", "two"):
        write(tmp_path, f"{place}/images/{{}}.jpg", f"{place}/labels/{{}}.txt", draws)
    (tmp_path / "data.yaml").write_text("train: C:\\sets\\images\nnames: [cat, dog]\n")
    with pytest.raises(
        gvt.DataError, match=r"data\.yaml: train: .*may be .*one/images or .*two/im"
    ):
        YOLO("train", str(tmp_path))


def test_a_path_never_leads_to_another_split(draws, tmp_path):
    write(tmp_path, "train/images/{}.jpg", "train/labels/{}.txt", draws)
    text = "train: train/images\nval: C:\\sets\\val\\images\nnames: [cat, dog]\n"
    (tmp_path / "data.yaml").write_text(text)
    with pytest.raises(gvt.DataError, match=r"data\.yaml: val: .* is neither a folder nor"):
        YOLO("val", str(tmp_path))


@pytest.mark.parametrize("key", ["valid", "validation", "dev", "Val"])
def test_a_split_of_the_yaml_may_have_any_of_its_names(key, draws, tmp_path):
    write(tmp_path, "a/images/{}.jpg", "a/labels/{}.txt", draws, range(3))
    write(tmp_path, "b/images/{}.jpg", "b/labels/{}.txt", draws, (3, 4))
    text = f"Train: a/images\n{key}: b/images\nnames: [cat, dog]\n"
    (tmp_path / "data.yaml").write_text(text)
    assert of_split("train", tmp_path) == ["0", "1", "2"]
    assert of_split("val", tmp_path) == ["3", "4"]
    (tmp_path / "data.yaml").write_text(f"{text}eval: c\nvalidation_set: a/images\n")
    with pytest.raises(gvt.DataError, match=rf"{key} and validation_set are both the split val"):
        YOLO("val", str(tmp_path))


@pytest.mark.parametrize("name", ["Validation", "VAL", "dev", "valid"])
def test_folders_of_splits_may_have_any_of_their_names(name, draws, tmp_path):
    write(tmp_path, "images/Training/{}.jpg", "labels/train/{}.txt", draws, range(3))
    write(tmp_path, f"images/{name}/{{}}.jpg", "labels/val/{}.txt", draws, (3, 4))
    assert of_split("train", tmp_path) == ["0", "1", "2"]
    assert of_split("val", tmp_path) == ["3", "4"]
    assert len(YOLO("val", str(tmp_path))[0].targets["boxes"]) == 1


def test_two_folders_of_one_split_are_an_error(draws, tmp_path):
    write(tmp_path, "images/val/{}.jpg", "labels/val/{}.txt", draws)
    write(tmp_path, "images/valid/{}.jpg", "labels/valid/{}.txt", draws, (1,))
    with pytest.raises(gvt.DataError, match=r"val and valid .* are both the split val"):
        YOLO("val", str(tmp_path))


def test_a_split_without_a_folder_of_images_is_read_beside_those_with_one(draws, tmp_path):
    write(tmp_path, "train/images/{}.jpg", "train/labels/{}.txt", draws, range(3))
    write(tmp_path, "test/{}.jpg", "test/{}.txt", draws, (3, 4))
    assert of_split("test", tmp_path) == ["3", "4"]
    assert len(YOLO("test", str(tmp_path))[0].targets["boxes"]) == 1


@pytest.mark.parametrize("listed", [False, True], ids=["paired", "named"])
@pytest.mark.parametrize("forms", [("NFC", "NFD"), ("NFD", "NFC")])
def test_names_are_the_same_however_letters_are_composed(forms, listed, draws, tmp_path):
    image, label = (normalize(form, "Zellen-Präparat é") for form in forms)
    write(tmp_path, f"Images/{image}{{}}.jpg", f"Labels/{label}{{}}.txt", draws)
    train = f"train: {json.dumps('Images')}\n" if listed else ""
    (tmp_path / "data.yaml").write_text(f"{train}names: [cat, {normalize('NFD', 'é')}]\n")
    dataset = YOLO("train", str(tmp_path), val=0.0)
    assert dataset.info.classes == ("cat", normalize("NFC", "é"))
    assert dataset[0].targets["boxes"].tolist() == [[15, 5, 25, 15]]
