"""What the formats have in common, each read with the same pictures and boxes."""

import pickle

import pytest
import torch
from PIL import Image

import gvt
from gvt.geometry import boxes_through
from gvt_registry import default_registry

FORMATS = ("voc", "coco", "yolo")


def opened(name, root, **parameters):
    """Return the training split of a format."""
    usual = {"voc": {"corners": "exact"}, "yolo": {"val": 0.0}}
    parameters = {**usual.get(name, {}), **parameters}
    return gvt.create("dataset", name, split="train", root=str(root), **parameters)


@pytest.mark.parametrize("name", FORMATS)
def test_boxes_are_the_same_in_all_formats(name, formats, scenes, tmp_path):
    dataset = opened(name, formats[name](tmp_path / "data"))
    assert dataset.info.classes == ("cell", "dot")
    assert len(dataset) == 3
    for sample, scene in zip((dataset[i] for i in range(3)), scenes, strict=True):
        assert sample.image.dtype == torch.uint8
        assert tuple(sample.image.shape) == (3, *scene.size)
        boxes = torch.tensor([box for _, box in scene.objects]).reshape(-1, 4).float()
        assert torch.allclose(sample.targets["boxes"], boxes, atol=1e-5)
        assert sample.targets["boxes"].dtype == torch.float32
        labels = [dataset.info.classes.index(label) for label, _ in scene.objects]
        assert sample.targets["labels"].tolist() == labels
        assert sample.targets["labels"].dtype == torch.int64
        assert sample.record.source.endswith(f"{scene.name}.png")
        assert sample.record.size == scene.size
    labels = [dataset.info.classes.index(label) for scene in scenes for label, _ in scene.objects]
    assert dataset.info.object_counts == (labels.count(0), labels.count(1))


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize(
    ("fit", "size", "boxes"),
    [
        ("stretch", (60, 20), [[1, 6, 11, 26], [5, 10, 20, 60]]),
        ("pad", (60, 60), [[3, 4.5, 33, 19.5], [15, 7.5, 60, 45]]),
        ("within", (60, 60), [[2, 3, 22, 13], [10, 5, 40, 30]]),
        ("within", (60, 20), [[1, 1.5, 11, 6.5], [5, 2.5, 20, 15]]),
        # 5 pixels of the width are lost on either side.
        ("crop", (30, 30), [[0, 3, 17, 13], [5, 5, 30, 30]]),
        # Of 10 by 30 around x = 20, the first has 2 left.
        ("crop", (30, 10), [[0, 3, 7, 13], [0, 5, 10, 30]]),
    ],
)
def test_boxes_are_resized_with_the_image(name, fit, size, boxes, formats, tmp_path):
    dataset = opened(name, formats[name](tmp_path / "data"), size=size, fit=fit)
    assert dataset.info.image_shape == (None if fit == "within" else (3, *size))
    sample = dataset[0]
    assert torch.allclose(sample.targets["boxes"], torch.tensor(boxes).float(), atol=1e-4)
    back = boxes_through(sample.record.geometry.inverse(), sample.targets["boxes"])
    if fit != "crop":
        assert torch.allclose(back, torch.tensor([[2, 3, 22, 13], [10, 5, 40, 30]]).float())


@pytest.mark.parametrize("name", FORMATS)
def test_a_box_that_is_cropped_away_is_dropped(name, formats, scene, tmp_path):
    objects = [("cell", (0, 0, 10, 10)), ("dot", (12, 0, 28, 10)), ("cell", (36, 0, 40, 9))]
    root = formats[name](tmp_path / "data", [scene("a", (10, 40), objects)])
    targets = opened(name, root, size=(10, 10))[0].targets
    assert targets["boxes"].tolist() == [[0, 0, 10, 10]]
    labels = targets["labels"].tolist()
    assert labels == [1]
    if name == "coco":
        assert targets["masks"].shape == (1, 10, 10)
        assert targets["masks"].all()


@pytest.mark.parametrize("name", FORMATS)
def test_each_kind_of_bad_box_is_found_in_each_format(name, formats, scene, tmp_path):
    bad = {
        "box without area": ("cell", (5, 5, 5, 9)),
        "box outside the image": ("cell", (50, 5, 60, 9)),
        "box partly outside the image": ("dot", (30, 5, 50, 9)),
        "box with reversed corners": ("dot", (20, 5, 10, 9)),
        "unknown label": ("thing", (1, 1, 9, 9)),
        "box that is not a number": ("cell", (float("nan"), 1, 9, 9)),
    }
    good = [("cell", (1, 2, 3, 4)), ("dot", (5, 6, 7, 8))]
    root = formats[name](tmp_path / "data", [scene("a", (30, 40), [*good, *bad.values()])])
    parameters = {"classes": ["cell", "dot"]} if name == "voc" else {}
    with pytest.raises(gvt.DataError) as caught:
        opened(name, root, **parameters)
    for kind in bad:
        assert f"1 {kind}" in str(caught.value)
    with pytest.warns(UserWarning, match="split train: left out"):
        skipped = opened(name, root, on_error="skip", **parameters)
    counts = {kind: len(places) for kind, places in skipped.info.problems.items()}
    assert counts == dict.fromkeys(bad, 1)
    assert skipped[0].targets["labels"].tolist() == [0, 1]
    with pytest.warns(UserWarning, match="clipped at the image's edge"):
        clipped = opened(name, root, on_error="clip", **parameters)
    assert clipped[0].targets["labels"].tolist() == [0, 1, 1]
    assert clipped[0].targets["boxes"][2].tolist() == pytest.approx([30, 5, 40, 9])


@pytest.mark.parametrize("name", FORMATS)
def test_missing_and_unreadable_images_are_reported(name, formats, tmp_path):
    root = formats[name](tmp_path / "data")
    (next(root.rglob("a.png"))).unlink()
    next(root.rglob("b.png")).write_bytes(b"\x89PNG no picture")
    with pytest.raises(gvt.DataError, match="1 missing image, 1 unreadable image"):
        opened(name, root)
    with pytest.warns(UserWarning, match=r"/a\..*b\.png"):
        left = opened(name, root, on_error="skip")
    assert len(left) == 1
    assert left[0].targets["boxes"].shape == (0, 4)


@pytest.mark.parametrize("name", FORMATS)
def test_a_truncated_image_is_one_line(name, formats, tmp_path):
    root = formats[name](tmp_path / "data")
    path = next(root.rglob("a.png"))
    path.write_bytes(path.read_bytes()[:400])
    with pytest.raises(gvt.DataError, match=r"a\.png: cannot be read as a picture.*on_error=skip"):
        opened(name, root)[0]
    with pytest.raises(gvt.DataError, match=r"a\.png: .*only the size was read at opening"):
        opened(name, root, on_error="skip")[0]
    Image.new("RGB", (9, 9)).save(path)
    dataset = opened(name, root, on_error="skip") if name == "yolo" else None
    if dataset is not None:  # the other formats have the size, and report it at opening
        Image.new("RGB", (19, 9)).save(path)
        with pytest.raises(gvt.DataError, match=r"a\.png: has another size than at opening"):
            dataset[0]


@pytest.mark.parametrize("name", ["voc", "coco"])
def test_an_image_of_another_size_than_annotated_is_reported(name, formats, tmp_path):
    root = formats[name](tmp_path / "data")
    picture = Image.new("RGB", (30, 40))
    exif = picture.getexif()
    picture.save(next(root.rglob("a.png")))
    with pytest.raises(gvt.DataError, match=r"says that a\.png is 40x30 pixels, but it is 30x40"):
        opened(name, root)
    exif[0x0112] = 6
    Image.new("RGB", (40, 30)).save(next(root.rglob("a.png")), exif=exif)
    with pytest.raises(gvt.DataError, match="it is 30x40, turned by its EXIF data"):
        opened(name, root)


@pytest.mark.parametrize("name", FORMATS)
def test_the_fingerprint_depends_on_files_and_boxes(name, formats, scenes, scene, tmp_path):
    def of(which):
        return opened(name, formats[name](tmp_path / str(len(list(tmp_path.iterdir()))), which))

    same, again = of(scenes), of(scenes)
    assert same.info.fingerprint == again.info.fingerprint
    renamed = [scene("x", scenes[0].size, scenes[0].objects), *scenes[1:]]
    moved = [scene("a", scenes[0].size, [("cell", (2, 3, 22, 14)), scenes[0].objects[1]])]
    relabelled = [scene("a", scenes[0].size, [("dot", (2, 3, 22, 13)), scenes[0].objects[1]])]
    changes = [renamed, [*moved, *scenes[1:]], [*relabelled, *scenes[1:]], scenes[:2]]
    assert len({of(change).info.fingerprint for change in changes} | {same.info.fingerprint}) == 5


@pytest.mark.parametrize("name", FORMATS)
def test_spawned_workers_can_read_it(name, formats, tmp_path):
    dataset = opened(name, formats[name](tmp_path / "data"))
    other = pickle.loads(pickle.dumps(dataset))
    assert torch.equal(other[0].targets["boxes"], dataset[0].targets["boxes"])
    assert torch.equal(other[0].image, dataset[0].image)


@pytest.mark.parametrize("name", FORMATS)
def test_an_absent_folder_is_one_line(name, tmp_path):
    with pytest.raises(gvt.DataError, match=r"there is no folder .*nowhere'; expected are"):
        opened(name, tmp_path / "nowhere")
    with pytest.raises(gvt.DataError, match=r"; from the hospital$"):
        opened(name, tmp_path / "nowhere", about="from the hospital")


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("classes", [[], ["dot", "dot"]])
def test_names_of_classes_are_not_empty_and_unique(name, classes, formats, tmp_path):
    with pytest.raises(ValueError, match=r"classes \["):
        default_registry().find("dataset", name).load()(
            split="train", root=str(formats[name](tmp_path / "data")), classes=classes
        )


@pytest.mark.parametrize("name", FORMATS)
def test_a_split_without_an_object_says_why(name, formats, scenes, scene, tmp_path):
    empty = formats[name](tmp_path / "empty", [scene("a", (30, 40))])
    parameters = {} if name == "coco" else {"classes": ["cell", "dot"]}
    lacks = opened(name, empty, **parameters).info.lacks
    assert set(lacks) == {"boxes", "labels", "masks"}
    expected = {"yolo": "1 of 1 images have no text file, such as labels/train/a.txt"}
    assert {*lacks.values()} == {expected.get(name, "no object is annotated")}
    bad = [scene("a", (30, 40), [("cell", (5, 5, 5, 9)), ("dot", (50, 5, 60, 9))])]
    with pytest.warns(UserWarning, match="split train: left out"):
        skipped = opened(name, formats[name](tmp_path / "bad", bad), on_error="skip", **parameters)
    assert skipped.info.lacks["boxes"].startswith(
        "left out: 1 box without area, 1 box outside the image ("
    )
    assert opened(name, formats[name](tmp_path / "some", scenes)).info.lacks == {}


def test_a_split_of_crowds_has_nothing_to_learn_from(formats, scenes, as_document, tmp_path):
    content = as_document(scenes)
    for annotation in content["annotations"]:
        annotation["iscrowd"] = 1
    dataset = opened("coco", formats["coco"](tmp_path / "data", scenes, content))
    assert dataset.info.lacks["boxes"] == "left out: 3 crowd"
    root = formats["voc"](tmp_path / "voc", scenes)
    for path in (root / "Annotations").iterdir():
        path.write_text(path.read_text().replace("<difficult>0", "<difficult>1"))
    assert opened("voc", root).info.lacks["boxes"] == "left out: 3 difficult"
    assert opened("voc", root, difficult=True).info.lacks == {}


def test_a_held_out_split_without_an_object_warns(formats, scenes, scene, tmp_path):
    root = formats["yolo"](tmp_path / "data", scenes)
    draw = gvt.create("dataset", "yolo", split="train", root=str(root), val=0.5)
    assert draw.info.lacks == {}
    for path in (root / "labels/train").iterdir():
        path.rename(tmp_path / path.name)
    with pytest.warns(UserWarning, match="split val: no objects to evaluate on, so metrics are"):
        gvt.create("dataset", "yolo", split="val", root=str(root), val=0.9)


@pytest.mark.parametrize("name", FORMATS)
def test_white_and_page_can_be_set(name, formats, scenes, tmp_path):
    root = formats[name](tmp_path / "data")
    height, width = scenes[0].size
    (file,) = root.rglob(f"{scenes[0].name}.png")
    dark = Image.new("I;16", (5, 7))
    white = Image.new("I;16", (width, height), 4095)
    dark.save(file, "TIFF", save_all=True, append_images=[white])  # content counts, not the suffix
    for other in root.rglob("*.png"):
        if other != file:
            page = Image.open(other)
            page.save(other, "TIFF", save_all=True, append_images=[page.copy()])
    sample = opened(name, root, page=2, white=4095)[0]
    assert sample.image.shape == (3, height, width)
    assert sample.image.min() == 255
    assert len(sample.targets["boxes"]) == len(scenes[0].objects)
