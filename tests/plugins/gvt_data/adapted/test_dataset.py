"""`gvt.dataset` from lists and arrays: forms of images and targets, classes, and errors."""

import numpy as np
import pytest
import torch
from PIL import Image

import gvt
from gvt.data import Streamed

ONE = np.full((20, 30, 3), 7, np.uint8)


def images(count, height=20, width=30, channels=3):
    """Return images of noise (H, W, C)."""
    random = np.random.default_rng(0)
    return [random.integers(0, 256, (height, width, channels), np.uint8) for _ in range(count)]


def saved(folder, mode="RGB", count=3, size=(30, 20)):
    """Write images of noise as PNG; return their paths."""
    paths = []
    for number, pixels in enumerate(images(count, size[1], size[0])):
        paths.append(folder / f"{number}.png")
        Image.fromarray(pixels).convert(mode).save(paths[-1])
    return paths


def as_forms(array, folder):
    """Return one image in all forms that hold its values exactly."""
    path = folder / "exact.png"
    Image.fromarray(array).save(path)
    chw = torch.from_numpy(array).permute(2, 0, 1)
    floats = array.astype(np.float32) / 255
    read_only = array.copy()
    read_only.flags.writeable = False
    return {
        "path": path,
        "text": str(path),
        "pillow": Image.fromarray(array),
        "array": array,
        "reversed": array[:, ::-1].copy()[:, ::-1],
        "read only": read_only,
        "tensor": chw,
        "float array": floats.astype(np.float64),
        "float tensor": torch.from_numpy(floats).permute(2, 0, 1),
        "half": chw.double().div(255).to(torch.float64),
    }


def test_the_forms_of_an_image_are_the_same_image(tmp_path):
    (array,) = images(1)
    for name, value in as_forms(array, tmp_path).items():
        image = gvt.dataset([value])[0].image
        pixels = image if image.dtype == torch.uint8 else (image * 255).round().byte()
        assert torch.equal(pixels, torch.from_numpy(array).permute(2, 0, 1)), name


def test_a_stacked_array_is_a_list_of_its_images():
    stacked = np.stack(images(4))
    labels = [1, 0, 1, 0]
    separate = gvt.dataset(list(stacked), labels=labels)
    for of in (stacked, torch.from_numpy(stacked).permute(0, 3, 1, 2)):
        together = gvt.dataset(of, labels=np.array(labels))
        for one, other in zip(together.tensors(), separate.tensors(), strict=True):
            assert all(torch.equal(one[key], other[key]) for key in other)
    grey = gvt.dataset(stacked[..., 0])
    assert grey.info.image_shape == (1, 20, 30)


def test_classes_of_images_have_names_or_numbers():
    named = gvt.dataset(images(4), labels=["dog", "cat", "dog", "ant"])
    assert named.info.classes == ("ant", "cat", "dog")
    assert named.info.labels.tolist() == [2, 1, 2, 0]
    assert named[1].targets["class"] == 1
    numbered = gvt.dataset(images(4), labels=torch.tensor([0, 3, 1, 3]))
    assert numbered.info.classes == ("0", "1", "2", "3")
    assert numbered.info.class_counts == (1, 1, 0, 2)
    given = gvt.dataset(images(2), labels=["b", "a"], classes=["b", "a", "c"])
    assert given.info.labels.tolist() == [0, 1]
    from_one = gvt.dataset(images(2), labels=[1, 2], classes=["b", "a"], first_label=1)
    assert from_one.info.labels.tolist() == [0, 1]
    by_label = gvt.dataset(images(3), labels=[18, 3, 20], classes={3: "car", 18: "dog", 20: "dog"})
    assert by_label.info.classes == ("car", "dog")
    assert by_label.info.labels.tolist() == [1, 0, 1]


def test_images_without_an_entry_are_not_labelled():
    data = gvt.dataset(images(3), labels=["a", None, "b"])
    assert [len(data[n].targets) for n in range(3)] == [1, 0, 1]
    assert data.info.labels is None
    assert not isinstance(data, gvt.ResidentDataset)
    assert gvt.dataset(images(2))[0].targets == {}


def test_several_labels_of_an_image_are_lists_of_them():
    data = gvt.dataset(images(3), labels=[["a", "b"], [], ["b"]])
    assert [data[n].targets["labels"].tolist() for n in range(3)] == [[0, 1], [], [1]]
    assert data.info.object_counts == (1, 2)


def test_objects_have_boxes_labels_and_masks():
    mask = np.zeros((2, 20, 30), bool)
    mask[0, 2:6, 3:9] = mask[1, 0:20, 10:30] = True
    of_masks = gvt.dataset(images(2), masks=[mask, []], labels=[["x", "y"], []])
    assert of_masks[0].targets["boxes"].tolist() == [[3, 2, 9, 6], [10, 0, 30, 20]]
    assert torch.equal(of_masks[0].targets["masks"], torch.from_numpy(mask).byte())
    assert of_masks[1].targets["masks"].shape == (0, 20, 30)
    assert of_masks[1].targets["boxes"].shape == (0, 4)
    boxes = [[[0, 0, 30.5, 20]], np.zeros((0, 4))]
    of_boxes = gvt.dataset(images(2), boxes=boxes, classes=["cell"])
    assert of_boxes[0].targets["boxes"].tolist() == [[0, 0, 30, 20]]  # within a pixel
    assert of_boxes[0].targets["labels"].tolist() == [0]
    assert of_boxes.info.object_counts == (1,)


def test_data_without_any_object_says_so():
    data = gvt.dataset(images(2), boxes=[[], []], classes=["cell"])
    assert data.info.lacks["boxes"] == "no image has an object"


def test_maps_of_classes(tmp_path):
    values = np.zeros((20, 30), np.uint8)
    values[:5], values[-5:] = 2, 255
    Image.fromarray(values).save(tmp_path / "map.png")
    forms = [tmp_path / "map.png", values.astype(np.int64), torch.from_numpy(values)[None]]
    for value in [*forms, Image.fromarray(values)]:
        data = gvt.dataset([ONE], semantic=[value])
        assert data.info.classes == ("0", "1", "2")
        assert torch.equal(data[0].targets["semantic"], torch.from_numpy(values))
    named = gvt.dataset([ONE], semantic=[values], classes={0: "road", 2: "sky"})
    assert named[0].targets["semantic"][0, 0] == 1
    apart = gvt.dataset([ONE], semantic=[values], background=True)
    assert (apart.info.classes, apart.info.background) == (("0", "1"), True)
    assert apart[0].targets["semantic"][0, 0] == 2


def test_255_is_a_class_in_black_and_white_maps(tmp_path):
    values = np.zeros((20, 30), np.uint8)
    values[3:9] = 255
    Image.fromarray(values).save(tmp_path / "map.png")
    for value in (values, tmp_path / "map.png", Image.fromarray(values > 0)):
        data = gvt.dataset([ONE], semantic=[value], classes=["paper", "ink"])
        assert data[0].targets["semantic"].unique().tolist() == [0, 1]
    cells = gvt.dataset([ONE], semantic=[values], classes={0: "ground", 255: "cell"})
    assert cells[0].targets["semantic"].unique().tolist() == [0, 1]
    with pytest.raises(gvt.DataError, match="are two classes; name both, such as classes="):
        gvt.dataset([ONE], semantic=[values], classes=["cell"])


def test_targets_are_resized_with_the_image_and_evaluated_in_its_own_pixels():
    mask = np.zeros((1, 20, 40), bool)
    mask[0, 4:8, 20:30] = True
    semantic = np.where(mask[0], 1, 0)
    data = gvt.dataset(
        [np.zeros((20, 40), np.uint8)],
        masks=[mask],
        semantic=[semantic],
        classes=["no", "yes"],
        labels=[["yes"]],
        size=(10, 10),
        fit="stretch",
    )
    sample = data[0]
    assert data.info.image_shape == sample.image.shape == (1, 10, 10)
    assert sample.targets["boxes"].tolist() == [[5, 2, 7.5, 4]]
    assert sample.targets["masks"].sum() == sample.targets["semantic"].sum() > 0
    assert sample.record.truth()["boxes"].tolist() == [[20, 4, 30, 8]]
    assert torch.equal(sample.record.truth()["masks"], torch.from_numpy(mask).byte())
    cropped = gvt.dataset([np.zeros((20, 40))], boxes=[[[0, 0, 5, 5]]], classes=["x"], size=10)
    assert len(cropped[0].targets["boxes"]) == 0  # it is left of the centre
    assert len(cropped[0].record.truth()["boxes"]) == 1


def test_grey_and_colour(tmp_path):
    grey, colour = saved(tmp_path, "L", 1)[0], Image.new("RGB", (30, 20), (255, 0, 0))
    assert gvt.dataset([grey, Image.new("I;16", (30, 20))]).info.image_shape == (1, 20, 30)
    both = gvt.dataset([grey, colour])
    assert [both[n].image.shape[0] for n in range(2)] == [3, 3]
    assert gvt.dataset([colour], channels=1)[0].image.unique().tolist() == [76]
    assert gvt.dataset([np.array(colour)], channels=1)[0].image.unique().tolist() == [76]
    infrared = gvt.dataset(np.zeros((2, 8, 8, 4)))
    assert (infrared.info.image_shape, infrared.info.reader) == ((4, 8, 8), None)


def test_files_are_read_as_the_reader_says(tmp_path):
    paths = saved(tmp_path)
    data = gvt.dataset(paths, labels=[0, 1, 0], size=16)
    reader = gvt.PictureReader.from_document(data.info.reader)
    assert torch.equal(data[1].image, reader.read(paths[1])[0])
    assert isinstance(data, gvt.FileDataset)
    assert data[1].record.source == str(paths[1])
    (tmp_path / "of_other_size").mkdir()
    others = saved(tmp_path / "of_other_size", count=1, size=(9, 8))
    assert gvt.dataset([*paths, *others]).info.image_shape is None
    assert gvt.dataset([*paths, *others]).info.image_channels == 3


def test_files_are_read_on_access(tmp_path):
    paths = saved(tmp_path)
    data = gvt.dataset(paths)
    paths[2].write_bytes(b"no longer an image")
    assert data[0].image.shape == (3, 20, 30)
    with pytest.raises(gvt.DataError, match=r"^images\[2\]: .*2.png: cannot be read as a picture"):
        data[2]


def test_the_fingerprint_changes_with_content_and_order(tmp_path):
    first = images(3)
    changed = [first[0], first[1], first[2].copy()]
    changed[2][5, 5, 0] ^= 1
    paths = saved(tmp_path)
    sets = [
        gvt.dataset(first, labels=[0, 1, 1]),
        gvt.dataset(first, labels=[0, 1, 0]),
        gvt.dataset(first[::-1], labels=[0, 1, 1]),
        gvt.dataset(changed, labels=[0, 1, 1]),
        gvt.dataset(first, boxes=[[[1, 1, 5, 5]]] * 3, classes=["x"]),
        gvt.dataset(first, boxes=[[[1, 1, 5, 6]]] * 3, classes=["x"]),
        gvt.dataset(paths),
        gvt.dataset(paths[::-1]),
    ]
    assert len({data.info.fingerprint for data in sets}) == len(sets)
    assert gvt.dataset(first, labels=[0, 1, 1]).info.fingerprint == sets[0].info.fingerprint
    with pytest.raises(gvt.ConfigError, match="its files or samples are other ones"):
        gvt.DataInfo.of(sets[3]).check_same(gvt.DataInfo.of(sets[0]))


def test_data_in_memory_can_be_kept_on_the_device():
    semantic = np.zeros((3, 20, 30), np.uint8)
    semantic[1, 4:] = 1
    data = gvt.dataset(images(3), semantic=semantic)
    inputs, targets = data.tensors()
    assert inputs["image"].dtype == torch.uint8
    assert torch.equal(targets["semantic"], torch.from_numpy(semantic))
    assert data.record(1).size == (20, 30)
    loader = gvt.Loader(
        data, gvt.DataConfig(name="x", batch_size=3), gvt.TrainConfig(steps=1), placement()
    )
    assert loader.config.resident is True
    floats = [image / 255 for image in images(2)]
    for other in (gvt.dataset(floats), gvt.dataset([*images(1), *images(1, 8, 9)])):
        assert not isinstance(other, gvt.ResidentDataset)


def placement():
    return gvt.Placement.resolve("cpu", "float32")


def test_workers_read_the_same_samples(tmp_path):
    data = gvt.dataset(
        saved(tmp_path, count=4), boxes=[[[1, 1, 9, 9]]] * 4, labels=[["a"], ["b"]] * 2, size=12
    )
    keys = [(0, torch.arange(4))]
    here, there = (next(iter(Streamed(data, placement(), n).batches(keys))) for n in (0, 2))
    assert torch.equal(here.images, there.images)
    assert all(map(torch.equal, here.targets["boxes"], there.targets["boxes"]))


NO_BOXES = {"labels": [[]]}
BAD = {
    "images: are none; give at least one": {"images": []},
    "images: 'photos' is neither a list": {"images": "photos"},
    r"images\[1\]: is of type int; give a path": {"images": [ONE, 3], "labels": [0, 0]},
    r"images\[0\]: nope.png: .*No such file": {"images": ["nope.png"]},
    r"images\[0\]: .*py: cannot be read as a picture.*; mend it, or": {"images": [__file__]},
    r"images\[0\]: has values of int64; give uint8": {"images": [ONE.astype(np.int64)]},
    r"images\[0\]: has values of uint16; give uint8": {"images": [ONE.astype(np.uint16)]},
    r"images\[0\]: has float values from 7 to 7, .*divide them by": {"images": [ONE * 1.0]},
    r"images\[0\]: has float values from -7 .*leave out a normalisation": {"images": [ONE * -1.0]},
    r"images\[0\]: has float values from nan": {"images": [ONE * np.nan]},
    r"images\[0\]: has the shape \(3, 20, 30\), .*\(H, W, C\); move its channels": {
        "images": [ONE.transpose(2, 0, 1)]
    },
    r"images\[0\]: has the shape \(20, 30, 3\), .*\(C, H, W\); move": {
        "images": [torch.from_numpy(ONE)]
    },
    r"images\[0\]: has the shape \(0, 3\); give": {"images": [np.zeros((0, 3))]},
    r"images: have 3 or 4 channels; give all": {"images": [ONE, np.zeros((5, 5, 4))]},
    "labels: has 1 entries for 2 images; give one": {"images": [ONE, ONE], "labels": [0]},
    "labels: 'a' is not a list with one entry": {"images": [ONE], "labels": "a"},
    r"labels\[0\]: 1.5 is not a label": {"images": [ONE], "labels": [1.5]},
    r"labels: some are names \('a'\), some numbers \(1\)": {
        "images": [ONE, ONE],
        "labels": [1, "a"],
    },
    r"labels\[0\]: -1 is not a class, which are numbered from 0; correct": {
        "images": [ONE],
        "labels": [-1],
    },
    r"labels\[1\]: 2 is not a class, which are numbered from 0 to 1": {
        "images": [ONE, ONE],
        "labels": [0, 2],
        "classes": ["a", "b"],
    },
    "labels: run to 1000000000; for so many classes": {"images": [ONE], "labels": [10**9]},
    r"labels\[0\]: 'dgo' is not a class; did you mean 'dog'": {
        "images": [ONE],
        "labels": ["dgo"],
        "classes": ["cat", "dog"],
    },
    r"boxes\[0\]: have the shape \(4,\), and not \(M, 4\)": {"boxes": [[1, 2, 3, 4]], **NO_BOXES},
    r"boxes\[0\]: are not numbers": {"boxes": [[["a", 2, 3, 4]]], **NO_BOXES},
    r"boxes\[0\]: have no labels; give them, or classes=\[NAME\]": {"boxes": [[[1, 2, 3, 4]]]},
    r"labels\[0\]: has 2 for 1 objects": {"boxes": [[[1, 2, 3, 4]]], "labels": [[0, 0]]},
    r"labels\[0\]: 0 is not a list of labels": {"boxes": [[[1, 2, 3, 4]]], "labels": [0]},
    r"boxes\[0\]\[1\]: box with reversed corners: \(9, 2, 3, 4\) in 30x20 pixels; boxes are": {
        "boxes": [[[1, 2, 3, 4], [9, 2, 3, 4]]],
        "labels": [[0, 0]],
    },
    r"boxes\[0\]\[0\]: box that is not a number": {
        "boxes": [[[1, 2, float("nan"), 4]]],
        "labels": [[0]],
    },
    r"boxes\[0\]\[0\]: box outside the image": {"boxes": [[[40, 2, 50, 4]]], "labels": [[0]]},
    r"boxes\[0\]\[0\]: box partly outside": {"boxes": [[[20, 2, 50, 4]]], "labels": [[0]]},
    r"boxes\[0\]\[0\]: has no area": {"boxes": [[[4, 2, 4, 4]]], "labels": [[0]]},
    r"masks\[0\]\[0\]: has no area, or an empty mask": {
        "masks": [np.zeros((1, 20, 30))],
        "labels": [[0]],
    },
    r"masks\[0\]: have the shape \(1, 20, 31\)": {"masks": [np.ones((1, 20, 31))], **NO_BOXES},
    r"semantic\[0\]: has the shape \(3, 3\), and its image is 20x30": {
        "semantic": [np.zeros((3, 3), int)]
    },
    r"semantic\[0\]: has values of float64; give whole": {"semantic": [np.zeros((20, 30))]},
    r"semantic\[0\]: has values from -1 to -1": {"semantic": [np.full((20, 30), -1)]},
    r"semantic\[0\]: the value 7 is not one of 1 classes": {
        "semantic": [np.full((20, 30), 7)],
        "classes": ["a"],
    },
    r"semantic\[0\]: is an image of mode RGB": {"semantic": [Image.new("RGB", (30, 20))]},
    r"semantic\[0\]: is of type list": {"semantic": [[0]]},
}


@pytest.mark.parametrize("message", BAD)
def test_errors_are_one_line_with_the_place_and_the_remedy(message):
    with pytest.raises(gvt.DataError, match="^" + message) as caught:
        gvt.dataset(**{"images": [ONE], **BAD[message]})
    assert "\n" not in str(caught.value)


def test_all_problems_are_in_the_details():
    boxes = [[[9, 2, 3, 4]], [[1, 2, 3, 4]], [[40, 2, 50, 4]]]
    with pytest.raises(gvt.DataError, match=r"^boxes\[0\]\[0\]: .* \(and 1 more\)$") as caught:
        gvt.dataset(images(3), boxes=boxes, classes=["x"])
    assert [line.partition(":")[0] for line in caught.value.details.splitlines()] == [
        "boxes[0][0]",
        "boxes[2][0]",
    ]


@pytest.mark.parametrize("classes", ["ab", [], ["a", "a"]])
def test_names_of_classes_are_a_list_of_different_ones(classes):
    with pytest.raises(gvt.UsageError, match="give the name of each class, each once"):
        gvt.dataset([ONE], labels=[0], classes=classes)
