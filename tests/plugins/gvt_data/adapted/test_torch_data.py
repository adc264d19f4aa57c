"""Data sets of torch and torchvision, and lists of pairs, as data sets of gvt."""

import json
import random

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image
from torch.utils.data import ConcatDataset, DataLoader, IterableDataset, Subset, TensorDataset
from torchvision import datasets, tv_tensors
from torchvision.transforms import v2

import gvt
from gvt.data import Streamed
from gvt_data.adapted.adapted_set import MOST_READ
from gvt_data.plugin import gvt_adapt_data

PIXELS = torch.arange(8 * 3 * 6 * 5, dtype=torch.int64).remainder(251).byte().reshape(8, 3, 6, 5)
CLASSES = torch.tensor([0, 1, 2, 0, 1, 2, 0, 1])


class Objects(torch.utils.data.Dataset):
    """Images with 0, 1 and 2 objects, in torchvision's form; counts what is read."""

    def __init__(self, count=6, first=1, form="XYXY", **more):
        self.count, self.first, self.form, self.more, self.reads = count, first, form, more, 0

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        self.reads += 1
        boxes = torch.tensor([[1.0, 2, 9, 8], [3, 3, 4, 4]])[: index % 3]
        labels = torch.tensor([self.first, self.first + 1])[: index % 3]
        if self.form != "XYXY":
            boxes = torchvision.ops.box_convert(boxes, "xyxy", self.form.lower())
            boxes = tv_tensors.BoundingBoxes(boxes, format=self.form, canvas_size=(12, 14))
        image = torch.zeros(3, 12, 14, dtype=torch.uint8)
        return image, {"boxes": boxes, "labels": labels, "image_id": index, **self.more}


def test_the_hook_takes_data_sets_and_lists_of_pairs():
    pairs = [(PIXELS[n], int(CLASSES[n])) for n in range(8)]
    for data in (TensorDataset(PIXELS, CLASSES), pairs, tuple(pairs)):
        adapted = gvt_adapt_data(data)
        assert len(adapted) == 8
        assert adapted.info.image_shape == (3, 6, 5)
        assert adapted.info.classes == ("0", "1", "2")
        assert adapted.info.labels.tolist() == CLASSES.tolist()
        assert torch.equal(adapted[5].image, PIXELS[5])
        assert adapted[5].targets["class"] == 2


def test_the_hook_leaves_other_data_alone():
    loader = DataLoader(TensorDataset(PIXELS))
    for data in ("mnist", None, 3, {"train": 1}, PIXELS, loader, Endless()):
        assert gvt_adapt_data(data) is None


class Endless(IterableDataset):
    def __iter__(self):
        yield PIXELS[0], 0


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (DataLoader(TensorDataset(PIXELS)), "is a DataLoader; give its data set"),
        (Endless(), "Endless is an IterableDataset; gvt draws samples by their index"),
        (Objects(0), "Objects has no samples"),
    ],
)
def test_what_cannot_be_a_data_set_is_explained(data, message):
    with pytest.raises(gvt.DataError, match=f"^data: {message}"):
        gvt.dataset(data)


def test_lists_beside_a_data_set_of_pairs_are_an_error():
    with pytest.raises(gvt.UsageError, match=r"^labels: TensorDataset is not a list of images"):
        gvt.dataset(TensorDataset(PIXELS, CLASSES), labels=[1])


class Named(torch.utils.data.Dataset):
    """Images with a list of their classes, as torchvision's data sets of classes have them."""

    classes = ("cat", "dog", "emu")

    def __init__(self, targets=CLASSES, target_transform=None):
        self.targets, self.target_transform, self.reads = targets, target_transform, 0

    def __len__(self):
        return len(self.targets)

    def __getitem__(self, index):
        self.reads += 1
        image = Image.fromarray(PIXELS[index % 8].permute(1, 2, 0).numpy())
        target = int(self.targets[index])
        return image, self.target_transform(target) if self.target_transform else target


def test_names_and_classes_are_found_in_what_is_wrapped():
    for wrapped, order in (
        (Subset(Subset(Named(), [7, 5, 2, 1]), [3, 0, 1]), [1, 7, 5]),
        (ConcatDataset([Named(), Subset(Named(), [5])]), [*range(8), 5]),
    ):
        data = gvt.dataset(wrapped)
        assert data.info.classes == Named.classes
        assert data.info.labels.tolist() == CLASSES[order].tolist()
        assert torch.equal(data[1].image, PIXELS[order[1]])


def test_a_list_of_classes_saves_reading_all_samples():
    many = Named(targets=[n % 3 for n in range(MOST_READ + 1)])
    data = gvt.dataset(many)
    assert many.reads < 50
    assert data.info.class_counts == (667, 667, 667)
    small = Named(target_transform=lambda target: 2 - target)
    assert gvt.dataset(small).info.labels.tolist() == (2 - CLASSES).tolist()
    wrong = Named()
    wrong.labels, wrong.targets = [0] * 8, [*CLASSES]  # tensors: `targets` is not a list of numbers
    assert gvt.dataset(wrong).info.labels.tolist() == CLASSES.tolist()


def test_many_samples_are_not_read_without_asking():
    with pytest.raises(gvt.DataError, match=r"has 2,001 samples and no list of their classes"):
        gvt.dataset(Objects(MOST_READ + 1))
    many = Objects(MOST_READ + 1, first=5)
    with pytest.raises(gvt.DataError, match="may count from 0 or from 1; say which by first_label"):
        gvt.dataset(many, classes=[*"abcdefghi"])
    data = gvt.dataset(many, classes=["a", "b", "c"], first_label=4)
    assert data[2].targets["labels"].tolist() == [1, 2]
    assert data.info.object_counts is None
    assert many.reads < 100


@pytest.mark.parametrize("form", ["XYXY", "XYWH", "CXCYWH"])
def test_objects_in_torchvisions_form(form):
    data = gvt.dataset(Objects(form=form), classes=["a", "b"])
    assert [len(data[n].targets["boxes"]) for n in range(3)] == [0, 1, 2]
    assert data[2].targets["boxes"].tolist() == [[1, 2, 9, 8], [3, 3, 4, 4]]
    assert data[2].targets["labels"].tolist() == [0, 1]
    assert data.info.object_counts == (4, 2)


def test_where_labels_of_objects_count_from(recwarn):
    background = ["__background__", "a", "b"]
    for first, names, classes in (
        (0, None, ("0", "1")),
        (0, ["a", "b", "c"], ("a", "b", "c")),
        (1, ["a", "b"], ("a", "b")),
        (1, background, ("a", "b")),
        (0, background, tuple(background)),
    ):
        data = gvt.dataset(Objects(first=first), classes=names)
        assert data.info.classes == classes
        assert data[2].targets["labels"].tolist() == [0, 1]
    assert not recwarn.list
    with pytest.warns(UserWarning, match="no object has the label 0, so that labels count from 1"):
        assert gvt.dataset(Objects()).info.classes == ("1", "2")
    with pytest.warns(UserWarning, match="count from 1, as for torchvision's detectors: 1 to 2"):
        gvt.dataset(Objects(), classes=["a", "b", "c"])
    absent = gvt.dataset(Objects(), classes=["a", "b", "c"], first_label=0)
    assert absent[2].targets["labels"].tolist() == [1, 2]


def test_crowds_are_ignored():
    pairs = [Objects()[2]]
    pairs[0][1]["iscrowd"] = torch.tensor([0, 1])
    data = gvt.dataset(pairs, classes=["a", "b"])
    assert data[0].targets["labels"].tolist() == [0]
    assert data[0].record.truth()["ignored"].tolist() == [False, True]
    assert data.info.object_counts == (1, 0)


def test_objects_without_area_are_what_a_transform_left():
    boxes = torch.tensor([[1.0, 2, 9, 8], [3, 3, 3, 4]])
    data = gvt.dataset([(PIXELS[0].repeat(1, 2, 2), {"boxes": boxes, "labels": [0, 1]})])
    assert data[0].targets["labels"].tolist() == [0]


def test_maps_of_classes_are_pillow_images_or_tensors():
    values = np.zeros((6, 5), np.uint8)
    values[1], values[2] = 1, 255
    palette = Image.fromarray(values, mode="P")
    palette.putpalette([0, 0, 0, 128, 0, 0])
    masks = [palette, Image.fromarray(values), torch.from_numpy(values), tv_tensors.Mask(values)]
    for mask in [*masks, v2.functional.pil_to_tensor(palette)]:
        data = gvt.dataset([(PIXELS[0], mask)])
        assert torch.equal(data[0].targets["semantic"], torch.from_numpy(values))
    with pytest.raises(gvt.DataError, match=r"^sample 0: semantic: has values of float32"):
        gvt.dataset([(PIXELS[0], torch.rand(1, 6, 5))])


def coco(folder):
    """Write three images with 0, 1 and 2 objects, the last one a crowd, in COCO's format."""
    images, objects = [], []
    for index in range(3):
        Image.new("RGB", (20, 16)).save(folder / f"{index}.png")
        images.append({"id": index, "file_name": f"{index}.png", "width": 20, "height": 16})
        objects += [
            {
                "id": len(objects) + number + 1,
                "image_id": index,
                "bbox": [2 + number, 3, 8, 6],
                "area": 48,
                "category_id": (18, 3)[number],
                "iscrowd": number,
                "segmentation": [[2 + number, 3, 10 + number, 3, 10 + number, 9, 2 + number, 9]],
            }
            for number in range(index)
        ]
    categories = [{"id": 18, "name": "dog"}, {"id": 3, "name": "car"}]
    document = {"images": images, "annotations": objects, "categories": categories}
    (folder / "coco.json").write_text(json.dumps(document))
    return datasets.CocoDetection(folder, folder / "coco.json")


def test_coco_of_torchvision(tmp_path):
    opened = coco(tmp_path)
    for data in (gvt.dataset(opened), gvt.dataset(Subset(opened, [0, 1, 2]))):
        assert data.info.classes == ("car", "dog")
        assert data.info.category_ids == (3, 18)
        assert data.info.object_counts == (0, 2)
        assert [len(data[n].targets["boxes"]) for n in range(3)] == [0, 1, 1]
        assert data[1].targets["boxes"].tolist() == [[2, 3, 10, 9]]
        assert int(data[1].targets["masks"].sum()) == 48
        assert data[2].record.truth()["ignored"].tolist() == [False, True]
    wrapped = gvt.dataset(datasets.wrap_dataset_for_transforms_v2(opened))
    assert wrapped[0].targets["boxes"].shape == (0, 4)
    assert wrapped[1].targets["boxes"].tolist() == [[2, 3, 10, 9]]
    assert wrapped[1].targets["labels"].tolist() == [1]


def test_image_folders_of_torchvision(tmp_path):
    for name, size in (("cat", (9, 8)), ("dog", (7, 8)), ("dog/more", (9, 9))):
        (tmp_path / name).mkdir()
        Image.new("RGB", size).save(tmp_path / name / "0.png")
    data = gvt.dataset(datasets.ImageFolder(tmp_path))
    assert data.info.classes == ("cat", "dog")
    assert data.info.labels.tolist() == [0, 1, 1]
    assert data.info.image_shape is None
    assert gvt.dataset(datasets.ImageFolder(tmp_path), size=4).info.image_shape == (3, 4, 4)


@pytest.mark.parametrize(
    ("sample", "message"),
    [
        ((PIXELS[0], 1, 2), r"is a tuple \(Tensor, int, int\); give a pair \(image, target\)"),
        ({"image": PIXELS[0], "label": 1}, "is a dict; give a pair"),
        ((1, 2), r"is a tuple \(int, int\); give"),
        ((PIXELS[0], {"name": 1, "bndbox": 2}), "its target has the keys name, bndbox; give"),
        ((PIXELS[0], torch.tensor([0.0, 1, 1])), r"its target is a Tensor of shape \(3,\); give"),
        ((PIXELS[0], 1.5), "class: 1.5 is not a label"),
        ((PIXELS[0], {"boxes": [[1, 2, 9, 9]]}), "boxes.0.: box partly outside the image: .*5x6"),
        ((PIXELS[0], {"boxes": [[1, 2, 3, 4]]}), "boxes: have no labels"),
        ((PIXELS[0], [{"bbox": [1, 2], "category_id": 1}]), "annotation: bbox: is not left, top"),
        ((PIXELS[0] / 255 * 4 - 2, 1), "image: has float values from -2 to .* normalise images th"),
    ],
)
def test_samples_of_another_form_are_described(sample, message):
    with pytest.raises(gvt.DataError, match=f"^sample 0: {message}") as caught:
        gvt.dataset([sample])
    assert "\n" not in str(caught.value)


def test_images_alone_and_targets_of_none_are_not_labelled():
    for data in ([PIXELS[0], PIXELS[1]], [(PIXELS[0], None), (PIXELS[1], None)]):
        assert gvt.dataset(data)[1].targets == {}


def test_an_image_of_another_size_is_an_error_when_it_is_read():
    data = gvt.dataset(Growing(targets=[n % 3 for n in range(100)]))
    with pytest.raises(gvt.DataError, match=r"^sample 99: image: has the shape .*; give size="):
        data[99]


class Growing(Named):
    def __getitem__(self, index):
        image, target = super().__getitem__(index)
        return image.resize((5, 7)) if index == 99 else image, target


class Augmented(Named):
    """Images with noise from each generator that transforms draw from."""

    def __getitem__(self, index):
        image = super().__getitem__(index)[0]
        noise = [torch.rand(()).item(), np.random.rand(), random.random()]
        return torch.from_numpy(np.array(image)).permute(2, 0, 1) / 255 * np.prod(noise), index % 3


def test_random_transforms_are_reproducible():
    keys = [(0, torch.tensor([3, 4])), (1, torch.tensor([3]))]
    place = gvt.Placement.resolve("cpu", "float32")
    runs = []
    for seed, workers in ((1, 0), (1, 2), (2, 0)):
        torch.rand(7), np.random.rand(), random.random()
        streamed = Streamed(gvt.dataset(Augmented()), place, workers, seed=seed)
        runs.append(torch.cat([batch.images for batch in streamed.batches(keys)]))
    assert torch.equal(runs[0], runs[1])
    assert not torch.equal(runs[0], runs[2])
    assert not torch.equal(runs[0][0], runs[0][2])  # another epoch


def test_opening_leaves_the_generators_as_they_were():
    random.seed(5), np.random.seed(5), torch.manual_seed(5)
    expected = random.random(), np.random.rand(), torch.rand(())
    random.seed(5), np.random.seed(5), torch.manual_seed(5)
    gvt.dataset(Augmented())
    assert (random.random(), np.random.rand(), torch.rand(())) == expected


def test_transforms_with_a_generator_of_their_own_are_reported():
    source = np.random.default_rng()

    class Own(Named):
        def __getitem__(self, index):
            return source.integers(0, 255, (6, 5), np.uint8), index % 3

    with pytest.warns(UserWarning, match="draw from a generator of their own, so that runs cannot"):
        first = gvt.dataset(Own())
    with pytest.warns(UserWarning, match="sample 0 differs"):
        assert gvt.dataset(Own()).info.fingerprint == first.info.fingerprint


def test_the_fingerprint_changes_with_content_and_order():
    changed = PIXELS.clone()
    changed[2, 0, 0, 0] += 1
    sets = [
        TensorDataset(PIXELS, CLASSES),
        TensorDataset(changed, CLASSES),
        TensorDataset(PIXELS, CLASSES.flip(0)),
        TensorDataset(PIXELS.flip(0), CLASSES.flip(0)),
        Subset(TensorDataset(PIXELS, CLASSES), range(7)),
    ]
    assert len({gvt.dataset(data).info.fingerprint for data in sets}) == len(sets)
    again = TensorDataset(PIXELS.clone(), CLASSES)
    assert gvt.dataset(again).info.fingerprint == gvt.dataset(sets[0]).info.fingerprint
