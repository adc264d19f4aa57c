"""Where images and masks of splits are, and how their names go together."""

import unicodedata

import numpy as np
import pytest
from PIL import Image

import gvt
from gvt_data.masks.folder import MaskFolder


def put(root, images, masks, names="abcd", mask="{}", image="{}"):
    """Write images of one grey each, with masks of 0 and 1; in no folder if it is None."""
    for number, name in enumerate(names):
        pixels = np.zeros((8, 9), np.uint8)
        pixels[:, : number + 1] = 1
        for folder, pattern, values in ((images, image, pixels + 100), (masks, mask, pixels)):
            if folder is not None:
                path = root / folder / f"{pattern.format(name)}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(values).save(path)


def names_in(root, **parameters):
    """Return the names of each split's images, after checking that its masks are their own."""
    names = {}
    for split in MaskFolder.splits:
        try:
            dataset = MaskFolder(split, str(root), **{"channels": 1, **parameters})
        except gvt.DataError as error:
            assert "has no images" in str(error) or "have no mask" in str(error)
            continue
        samples = [dataset[index] for index in range(len(dataset))]
        assert all((s.image[0] == s.targets["semantic"] + 100).all() for s in samples)
        names[split] = "".join(pair.name.name for pair, _ in dataset.places)
    return names


@pytest.mark.parametrize(
    ("folders", "parameters"),
    [
        ([("train/images", "train/masks"), ("valid/images", "valid/masks")], {}),
        ([("Training/images", "Training/masks"), ("DEV/images", "DEV/masks")], {}),
        ([("images/train", "masks/train"), ("images/val", "masks/val")], {}),
        ([("images/Training", "masks/train"), ("images/validation", "masks/Val")], {}),
        ([("train", "trainannot"), ("val", "valannot")], {}),
        ([("train", "train_labels"), ("valid", "valid_labels")], {}),
        ([("train_images", "train_masks"), ("Val_images", "Val_masks")], {}),
        ([("train", "trainannot"), ("val", "valannot")], {"masks": "{split}annot"}),
        (
            [("train", "train_x"), ("valid", "valid_x")],
            {"images": "{split}", "masks": "{split}_x"},
        ),
        (
            [("train/photos", "gt/train"), ("Dev/photos", "gt/val")],
            {"images": "{split}/photos", "masks": "./gt/{split}"},
        ),
        (
            [("train/img_train", "y/train"), ("val/img_val", "y/val")],
            {"images": "{split}/img_{split}", "masks": "y/{split}"},
        ),
    ],
)
def test_splits_by_their_folders(tmp_path, folders, parameters):
    for (images, masks), names in zip(folders, ("abcd", "xy"), strict=True):
        put(tmp_path, images, masks, names)
    assert names_in(tmp_path, **parameters) == {"train": "abcd", "val": "xy"}
    assert names_in(tmp_path, **parameters, val=0.5) == {"train": "abcd", "val": "xy"}


def test_a_split_whose_masks_are_missing_spoils_no_other(tmp_path):
    for train, test in ((("train", "train_masks"), "test"), (("train/images", "train/masks"), "t")):
        root = tmp_path / test
        put(root, *train)
        put(root, "test" if test == "test" else "test/images", None)
        assert names_in(root) == {"train": "abcd"}
        with pytest.raises(
            gvt.DataError, match="4 of 4 images of split test are broken or have no mask"
        ):
            MaskFolder("test", str(root))


@pytest.mark.parametrize(
    ("folders", "parameters", "says"),
    [
        (
            [("train/images", "train/masks"), ("valid/pics", "valid/masks")],
            {},
            r"^data\.root: .*valid is named like a split but would not be read",
        ),
        ([("images", "masks"), ("val", None)], {}, r"val is named like a split"),
        ([("train", "trainxyz")], {}, r"train is named like a split"),
        ([("images", "masks"), ("val/images", "val/masks")], {}, "has images beside the split val"),
        (
            [("train/images", "train/masks"), ("training/images", "training/masks")],
            {},
            r"train and training in .* are both the split train",
        ),
        (
            [("train", "train_masks"), ("train_images", None)],
            {},
            r"^data\.images: train and train_images in .* may both be the images of split train",
        ),
        ([("train", "trainannot"), ("val", None), (None, "testannot")], {}, "testannot has no fol"),
        (
            [("train", "trainx"), ("val/a", "valx/a"), ("test", None)],
            {"images": "{split}/a", "masks": "{split}x/a"},
            r"test is named like a split",
        ),
        (
            [("a", "b")],
            {"masks": "{split}annot"},
            r"^data\.images: no folder in .* '\{split\}' .*\(it has a, b\)",
        ),
        ([("train", "b")], {"images": "{split}"}, r"\{split\} in one needs \{split\} in the other"),
        ([("photos", "truth")], {}, r"has no folder images or image \(it has photos, truth\)"),
    ],
)
def test_what_would_not_be_read_is_an_error(tmp_path, folders, parameters, says):
    for images, masks in folders:
        put(tmp_path, images, masks)
    with pytest.raises(gvt.DataError, match=says) as caught:
        MaskFolder("train", str(tmp_path), **parameters)
    assert "\n" not in str(caught.value)


def test_what_is_read_can_be_said(tmp_path):
    put(tmp_path, "images", "masks")
    put(tmp_path, "val", None)
    assert names_in(tmp_path, images="images", masks="masks") == {"train": "abcd"}


@pytest.mark.parametrize(
    ("mask", "parameter"),
    [
        ("{}_mask", "data.mask_ending=_mask"),
        ("{}-label", "data.mask_ending=-label"),
        ("{}_L", "data.mask_ending=_L"),
        ("{}.seg", "data.mask_ending=.seg"),
        ("{}1", "'data.mask_ending=\"1\"'"),
        ("{} (2)", "'data.mask_ending=\" (2)\"'"),
        ("mask_{}", "data.mask_beginning=mask_"),
        ("gt-{}", "data.mask_beginning=gt-"),
    ],
)
def test_masks_that_are_named_in_another_way(tmp_path, mask, parameter):
    put(tmp_path, "images", "masks", [*"abcd", "ab"], mask)
    for on_error in ("error", "skip"):
        with pytest.raises(gvt.DataError, match=r"^data\.masks: .*named like their") as caught:
            MaskFolder("train", str(tmp_path), on_error=on_error)
        assert str(caught.value).endswith(f": give {parameter}")
    name, _, value = parameter.strip("'").removeprefix("data.").partition("=")
    assert names_in(tmp_path, **{name: value.strip('"')}) == {"train": "aabbcd"}


def test_masks_beside_their_images_need_an_ending(tmp_path):
    put(tmp_path, "all", "all", mask="{}_seg")
    with pytest.raises(gvt.DataError, match=r"all is also the folder of images.*mask_ending=_mask"):
        MaskFolder("train", str(tmp_path), images="all", masks="all")
    given = {"images": "all", "masks": "all", "mask_ending": "_seg"}
    assert names_in(tmp_path, **given) == {"train": "abcd"}


def test_composed_and_decomposed_letters_are_one_name(tmp_path):
    names = ["ü1", "é2", "å3", "n4"]
    put(tmp_path, "images", None, [unicodedata.normalize("NFD", name) for name in names])
    put(tmp_path, None, "masks", names, "{}_Maß")
    options = {"mask_ending": unicodedata.normalize("NFD", "_Maß")}
    assert sorted(names_in(tmp_path, **options)["train"]) == sorted("".join(names))
    parts = [
        MaskFolder(split, str(tmp_path), **options, val=["ü1", unicodedata.normalize("NFD", "å3")])
        for split in ("train", "val")
    ]
    assert [[p.name.name for p, _ in part.places] for part in parts] == [["n4", "é2"], ["å3", "ü1"]]


def stack(path, pages):
    path.parent.mkdir(exist_ok=True)
    first, *others = (Image.fromarray(page) for page in pages)
    first.save(path, save_all=True, append_images=others)


def pages(count):
    return [np.full((6, 7), number, np.uint8) for number in range(1, count + 1)]


@pytest.mark.parametrize("classes", [None, {str(n): n for n in range(1, 6)}])
def test_a_page_of_image_and_mask(tmp_path, classes):
    for number in range(2):
        stack(tmp_path / f"images/{number}.tif", pages(5))
        stack(tmp_path / f"masks/{number}.tif", pages(4))

    def opened(page):
        return MaskFolder("train", str(tmp_path), channels=1, classes=classes, page=page)

    for page in (1, 3):
        sample = opened(page)[1]
        assert sample.image.unique().tolist() == [page]
        assert sample.targets["semantic"].unique().tolist() == [page - 1 if classes else 0]
        assert opened(page).info.classes == (tuple("12345") if classes else (str(page),))
    with pytest.raises(gvt.DataError) as caught:
        opened(5)
    assert "0.tif: cannot be read as a picture: it has 4 pages, and data.page is 5" in (
        f"{caught.value} {caught.value.details}"
    )
    with pytest.warns(UserWarning, match=r"^data: split train: 2 of 2 masks have several .*tif: 4"):
        dataset = opened(None)
    assert dataset[0].image.unique().tolist() == [1]


def test_white_of_deep_images_can_be_given(tmp_path):
    put(tmp_path, None, "masks")
    (tmp_path / "images").mkdir()
    for name in "abcd":
        Image.fromarray(np.full((8, 9), 4095, np.uint16)).save(tmp_path / f"images/{name}.png")
    dataset = MaskFolder("train", str(tmp_path), channels=1, white=4095)
    assert dataset[0].image.unique().tolist() == [255]
    assert dataset.reader.white == 4095
