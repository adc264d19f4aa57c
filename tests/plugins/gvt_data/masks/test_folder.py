"""A folder of images and masks: pairs, splits, geometry, tiles, and what is wrong with files."""

import pickle
import re
import warnings
from pathlib import Path
from zlib import crc32

import numpy as np
import pytest
import torch
from PIL import Image, ImageFilter

import gvt
from gvt.data.sources import Resident, Streamed
from gvt.geometry import to_original
from gvt_data.masks import mask_set
from gvt_data.masks.folder import MaskFolder

CPU = gvt.Placement.resolve("cpu")


def pair(root, name, width=20, height=15, image="images/{}.png", mask="masks/{}.png", **saved):
    """Write noise and a mask of its pixels over 127, and return the mask."""
    values = np.random.default_rng(crc32(name.encode())).integers(0, 256, (height, width))
    for path, pixels in ((image, values), (mask, values > 127)):
        file = root / path.format(name)
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels.astype(np.uint8)).save(file, **saved)
    return (values > 127).astype(np.uint8)


@pytest.fixture
def folder(tmp_path):
    for number in range(10):
        pair(tmp_path, f"{number:02}", 20 + number, 30 - number)
    return tmp_path


def opened(root, split="train", **parameters):
    return MaskFolder(split, str(root), **{"classes": ["dark", "light"], **parameters})


def named(dataset):
    return [Path(dataset[i].record.source).stem for i in range(len(dataset))]


def test_a_sample_is_the_image_and_its_mask(tmp_path):
    mask = pair(tmp_path, "a", 7, 5)
    dataset = opened(tmp_path, channels=1)
    assert (dataset.info.classes, dataset.info.background, dataset.info.image_shape) == (
        ("dark", "light"),
        False,
        None,
    )
    sample = dataset[0]
    assert sample.image.shape == (1, 5, 7)
    assert torch.equal(sample.targets["semantic"], torch.from_numpy(mask))
    assert torch.equal(sample.image[0] > 127, torch.from_numpy(mask).bool())
    assert sample.record.source == str(tmp_path / "images" / "a.png")
    assert (sample.record.size, sample.record.mode) == ((5, 7), "L")


@pytest.mark.parametrize(
    ("image", "mask", "parameters"),
    [
        ("image/{}.jpg", "label/{}.tif", {}),
        ("Imgs/{}.bmp", "Masks/{}.gif", {}),
        ("images/deep/{}.png", "masks/deep/{}.png", {}),
        ("x/{}.png", "y/z/{}.png", {"images": "x", "masks": "y/z"}),
        ("images/{}.png", "masks/{}_mask.png", {"mask_ending": "_mask"}),
        ("x/{}.png", "x/{}_m.png", {"images": "x", "masks": "x", "mask_ending": "_m"}),
    ],
)
def test_folders_and_names(tmp_path, image, mask, parameters):
    masks = [pair(tmp_path, name, 8, 8, image, mask) for name in "ab"]
    dataset = opened(tmp_path, **parameters)
    assert len(dataset) == 2
    for sample, wanted in zip(map(dataset.__getitem__, (0, 1)), masks, strict=True):
        assert torch.equal(sample.targets["semantic"], torch.from_numpy(wanted))


def test_split_folders(tmp_path):
    for root in (tmp_path / "one", tmp_path / "two"):
        for split, names in (("train", "abc"), ("val", "de")):
            for name in names:
                if root.name == "one":
                    pair(root / split, name)
                else:
                    pair(root, f"{split}/{name}")
        assert named(opened(root)) == ["a", "b", "c"]
        assert named(opened(root, "val", val=0.5)) == ["d", "e"]
        with pytest.raises(gvt.DataError, match=r"split test of .* has no images"):
            opened(root, "test")
        with pytest.raises(ValueError, match="there is both a folder val and a list"):
            opened(root, val=["a"])


def test_lists_of_held_out_pictures(folder):
    (folder / "test.txt").write_text("07.png\n09\n")
    options = {"val": [3, "04"], "test": "test.txt"}
    parts = [named(opened(folder, split, **options)) for split in MaskFolder.splits]
    assert parts == [["00", "01", "02", "05", "06", "08"], ["03", "04"], ["07", "09"]]
    assert named(opened(folder, **options, train=[0, 1, 8])) == ["00", "01", "08"]
    train, val = (opened(folder, s, train=[0, 1, 2, 3], val=0.5) for s in ("train", "val"))
    assert sorted([*named(train), *named(val)]) == ["00", "01", "02", "03"]
    with pytest.raises(gvt.DataError, match=r"data: 03 is in both train and val"):
        opened(folder, **options, train=[0, 3])
    with pytest.raises(gvt.DataError, match=r"data\.val: there is no image named 99"):
        opened(folder, val=[99])


def spot(path, value):
    """Give a mask's first pixel a value."""
    mask = Image.open(path)
    mask.putpixel((0, 0), value)
    mask.save(path)


def test_classes_are_the_values_that_are_found(folder):
    assert opened(folder, classes=None).info.classes == ("0", "1")
    Image.new("L", (20, 30), 7).save(folder / "masks" / "00.png")
    for split in ("train", "val"):
        assert opened(folder, split, classes=None, val=0.3).info.classes == ("0", "1", "7")
    assert opened(folder, classes=None)[0].targets["semantic"].unique().tolist() == [2]


@pytest.mark.parametrize("classes", [None, ["dark", "light"]])
def test_255_beside_other_values_is_asked_for_whatever_the_split(folder, classes):
    spot(folder / "masks" / "03.png", 255)  # the only one, in val
    for split, on_error in (("train", "error"), ("val", "error"), ("train", "skip")):
        with pytest.raises(
            gvt.DataError, match=r"0 \(.*%\), 1 \(.*%\), 255 \(< 0\.1 %\), and the meaning"
        ):
            opened(folder, split, classes=classes, val=[3], on_error=on_error)
    dataset = opened(folder, "val", classes=classes, val=[3], ignore=255)
    assert len(dataset.info.classes) == 2
    assert (dataset[0].targets["semantic"] == 255).sum() == 1


def test_white_is_the_second_class_where_all_masks_are_black_and_white(folder):
    before = [opened(folder)[i].targets["semantic"] for i in range(10)]
    for path in (folder / "masks").iterdir():
        Image.fromarray(np.asarray(Image.open(path)) * np.uint8(255)).save(path)
    for classes in (None, ["dark", "light"]):
        dataset = opened(folder, classes=classes)
        assert all(torch.equal(dataset[i].targets["semantic"], before[i]) for i in range(10))
    Image.new("L", (20, 30), 1).save(folder / "masks" / "00.png")
    for classes in (None, ["dark", "light"]):
        with pytest.raises(gvt.DataError, match="the meaning of 255 is unclear"):
            opened(folder, classes=classes)


@pytest.mark.parametrize("classes", [["a", "b", "c"], {"a": 0, "b": 1}])
def test_255_of_listed_classes_is_asked_for_where_it_is_met(folder, classes):
    spot(folder / "masks" / "03.png", 255)
    dataset = opened(folder, classes=classes)
    with pytest.raises(
        gvt.DataError, match=r"03\.png: has the values .*unclear; give data\.ignore"
    ):
        dataset[3]
    with pytest.raises(gvt.DataError, match=r"03\.png: has the values"):
        opened(folder, classes=classes, on_error="skip")
    assert opened(folder, classes=classes, ignore=255)[3].targets["semantic"][0, 0] == 255


def discs(root, change, count=6):
    """Write images with masks of discs, of 0 and 200, that are changed."""
    for name in ("images", "masks"):
        (root / name).mkdir(exist_ok=True)
    y, x = np.mgrid[:60, :80]
    for number in range(count):
        inside = (y - 30) ** 2 + (x - 30 - 4 * number) ** 2 < 300
        mask = change(Image.fromarray(inside.astype(np.uint8) * np.uint8(200)), number)
        mask.save(root / f"masks/{number}.png")
        Image.new("L", mask.size, number).save(root / f"images/{number}.png")


def smoothed(mask, number=0):
    return mask.filter(ImageFilter.BoxBlur(1))


def test_noise_at_edges_is_called_so(tmp_path):
    discs(tmp_path, smoothed)
    says = r"0\.png: looks resized .* or once saved as JPEG: \d+ values besides 0 \(.* %\), 200 \("
    with pytest.raises(gvt.DataError, match=says):
        opened(tmp_path, classes=None)
    dataset = opened(tmp_path, classes={"ground": 0, "disc": 200})
    with pytest.raises(gvt.DataError, match=says):
        dataset[0]
    every = {str(v): v for v in np.unique(Image.open(tmp_path / "masks/0.png")).tolist()}
    assert len(every) > 5
    for name in range(1, 6):  # named, they are classes
        every |= {str(v): v for v in np.unique(Image.open(tmp_path / f"masks/{name}.png")).tolist()}
    assert opened(tmp_path, classes=every)[0].targets["semantic"].max() < len(every)


@pytest.mark.parametrize("indexed", [True, False])
def test_noise_of_colours_is_called_so(tmp_path, indexed):
    colours = np.array([[0, 0, 0], [128, 64, 128]], np.uint8)

    def coloured(mask, number):
        image = smoothed(Image.fromarray(colours[np.asarray(mask) // 200]))
        return image.quantize(16) if indexed else image

    discs(tmp_path, coloured)
    with pytest.raises(gvt.DataError, match=r"0\.png: .*looks resized"):
        opened(tmp_path, classes=None)
    named = {"ground": "#000000", "disc": "#804080"}
    with pytest.raises(
        gvt.DataError, match=r"0\.png: looks .* colours besides #000000 \(.*#804080"
    ):
        opened(tmp_path, classes=named)[0]


def test_one_mask_with_noise_is_named_or_left_out(tmp_path):
    discs(tmp_path, lambda mask, number: smoothed(mask) if number == 3 else mask)
    with pytest.raises(gvt.DataError, match=r"masks/3\.png: looks resized"):
        opened(tmp_path, classes=None)
    with pytest.warns(UserWarning, match=r"1 of 6 .*masks/3\.png"):
        dataset = opened(tmp_path, classes=None, on_error="skip")
    assert dataset.info.classes == ("0", "200")


def test_a_background_is_no_class(folder):
    dataset = opened(folder, classes=["light"], background=0)
    assert (dataset.info.classes, dataset.info.background) == (("light",), True)
    plain = opened(folder)[0].targets["semantic"]
    assert torch.equal(dataset[0].targets["semantic"], 1 - plain)


@pytest.mark.parametrize("fit", ["crop", "pad", "stretch"])
def test_image_and_mask_are_fitted_alike(tmp_path, fit):
    y, x = np.mgrid[:40, :64]
    block = (y // 8 * 8 + x // 8).astype(np.uint8)
    for name in ("images", "masks"):
        (tmp_path / name).mkdir()
        Image.fromarray(block * (3 if name == "images" else 1)).save(tmp_path / name / "1.png")
    classes = [str(n) for n in range(40)]
    dataset = opened(tmp_path, classes=classes, size=(30, 32), fit=fit, channels=1)
    assert dataset.info.image_shape == (1, 30, 32)
    sample = dataset[0]
    semantic = sample.targets["semantic"]
    inside = semantic != 255
    assert inside.all() or fit == "pad"
    assert (sample.image[0][~inside] == 0).all()
    alike = (sample.image[0].float() / 3 - semantic).abs() < 0.4
    assert alike[inside].float().mean() > 0.5  # away from the edges of blocks
    (back,) = to_original([{"semantic": semantic}], [sample.record])
    known = back["semantic"] != 255
    assert known.float().mean() > 0.6
    assert (back["semantic"][known] == torch.from_numpy(block)[known]).float().mean() > 0.8


def test_resident_is_streamed_bit_for_bit(folder):
    keys = [(0, torch.tensor([3, 0, 7])), (0, torch.tensor([9, 1]))]
    dataset = opened(folder, size=16)
    resident = list(Resident(dataset, CPU).batches(keys))
    for workers in (0, 2):
        streamed = list(Streamed(dataset, CPU, workers).batches(keys))
        for one, other in zip(resident, streamed, strict=True):
            assert torch.equal(one.images, other.images)
            assert torch.equal(one.targets["semantic"], other.targets["semantic"])
            assert [r.source for r in one.records] == [r.source for r in other.records]
    with pytest.raises(gvt.DataError, match=r"^data\.resident: .*01\.png has another size"):
        opened(folder).tensors()


def test_tiles_cover_a_picture(tmp_path):
    pair(tmp_path, "large", 50, 37)
    pair(tmp_path, "small", 9, 12)
    whole, tiled = opened(tmp_path), opened(tmp_path, tile=16)
    assert len(tiled) == 4 * 3 + 1
    semantic = whole[0].targets["semantic"]
    sources = set()
    for index in range(12):
        sample = tiled[index]
        sources.add(sample.record.source)
        left, top = (int(n) for n in re.findall(r"[xy]=(\d+)", sample.record.source))
        assert sample.image.shape == (3, 16, 16)
        assert torch.equal(sample.image, whole[0].image[:, top : top + 16, left : left + 16])
        assert torch.equal(sample.targets["semantic"], semantic[top : top + 16, left : left + 16])
        assert sample.record.size == (16, 16)
    assert len(sources) == 12
    assert tiled[12].image.shape == (3, 12, 9)
    with pytest.raises(ValueError, match="size and tile"):
        opened(tmp_path, tile=16, size=32)


def test_held_out_tiles_judge_each_pixel_once(tmp_path):
    mask = pair(tmp_path, "large", 50, 37)
    pair(tmp_path, "other")
    tiled = opened(tmp_path, "val", val=["large"], tile=16)
    counted = torch.stack([(tiled[i].targets["semantic"] != 255).sum() for i in range(12)])
    light = torch.stack([(tiled[i].targets["semantic"] == 1).sum() for i in range(12)])
    assert (int(counted.sum()), int(light.sum())) == (mask.size, int(mask.sum()))


def test_pictures_are_decoded_once_while_there_is_room(folder, monkeypatch):
    read = []
    inner = mask_set.MaskSet._read
    monkeypatch.setattr(mask_set.MaskSet, "_read", lambda s, p: read.append(p) or inner(s, p))
    dataset = opened(folder, tile=8)
    assert len([dataset[i] for i in range(len(dataset))]) > len(read) == 10
    monkeypatch.setattr(mask_set, "KEPT", 4000)
    tight = opened(folder)
    for index in (0, 1, 0, 2, 1):  # of 2,400 bytes each, so that one is kept
        assert torch.equal(tight[index].image, dataset_image(dataset, folder, index))
    assert len(read) == 10 + 5


def dataset_image(dataset, folder, index):
    path = dataset.places[0][0].image.parent / f"{index:02}.png"
    return torch.from_numpy(np.asarray(Image.open(path).convert("RGB")).copy()).permute(2, 0, 1)


def test_it_can_be_sent_to_another_process(folder):
    dataset = opened(folder)
    dataset[0]
    assert torch.equal(pickle.loads(pickle.dumps(dataset))[3].image, dataset[3].image)


def turned(path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.open(path).save(path.with_suffix(".jpg"), exif=exif)
    path.unlink()


def damaged(path):
    path.write_bytes(path.read_bytes()[:-30])


WRONG = [
    (lambda d: (d / "masks/03.png").unlink(), r"images/03\.png: has no mask; .*03\.\*"),
    (lambda d: (d / "images/03.png").unlink(), r"masks/03\.png: has no image"),
    (
        lambda d: Image.new("L", (5, 6)).save(d / "masks/03.png"),
        r"images/03\.png: is 23x27 pixels, and its mask .*masks/03\.png is 5x6; give both",
    ),
    (
        lambda d: turned(d / "images/03.png"),
        r"03\.jpg: is 27x23 pixels, .* is 23x27: the image's EXIF data rotates it",
    ),
    (
        lambda d: Image.open(d / "masks/03.png").save(d / "masks/03.png", format="jpeg"),
        r"masks/03\.png: JPEG is lossy and changes values",
    ),
    (lambda d: (d / "images/03.png").write_bytes(b"no"), r"images/03\.png: cannot be read as a"),
    (lambda d: (d / "masks/03.png").write_bytes(b""), r"masks/03\.png: cannot be read as a"),
]
"""What is known before a pixel is decoded."""

LATE = [
    (
        lambda d: Image.new("L", (23, 27), 9).save(d / "masks/03.png"),
        r"masks/03\.png: 9 at x=0, y=0 is not a class",
    ),
    (lambda d: damaged(d / "images/03.png"), r"images/03\.png: cannot be read as a picture"),
    (lambda d: damaged(d / "masks/03.png"), r"masks/03\.png: cannot be read as a picture"),
]


@pytest.mark.parametrize(("spoil", "says"), WRONG)
def test_what_can_be_known_is_said_at_opening(folder, spoil, says):
    spoil(folder)
    with pytest.raises(gvt.DataError, match=says) as caught:
        opened(folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("spoil", "says"), LATE)
def test_and_the_rest_when_it_is_read(folder, spoil, says):
    spoil(folder)
    dataset = opened(folder)
    with pytest.raises(gvt.DataError, match=says) as caught:
        dataset[3]
    assert "\n" not in str(caught.value)
    assert len(dataset[2].image)


@pytest.mark.parametrize(("spoil", "says"), WRONG + LATE)
def test_broken_pairs_are_skipped_with_a_warning(folder, spoil, says):
    spoil(folder)
    with pytest.warns(UserWarning, match=r"^1 of 10 images of split train .*03\.\w+$"):
        dataset = opened(folder, on_error="skip")
    assert len([dataset[i] for i in range(len(dataset))]) == 9
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        held = opened(folder, "val", val=[1, 2], on_error="skip")
    assert len(held) == 2


def test_all_that_is_broken_is_named(folder):
    for number in (2, 5, 7):
        (folder / "masks" / f"{number:02}.png").unlink()
    with pytest.raises(gvt.DataError, match=r"^data: 3 of 10 .*data\.on_error=skip$") as caught:
        opened(folder)
    assert caught.value.details.count("has no mask") == 3


def test_turned_pictures_with_turned_masks(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    mask = pair(tmp_path, "a", 20, 15, exif=exif)
    upright = np.rot90(mask, -1).copy()
    assert torch.equal(opened(tmp_path)[0].targets["semantic"], torch.from_numpy(upright))


@pytest.mark.parametrize("mode", ["RGBA", "CMYK", "I;16", "P"])
def test_images_of_every_mode(tmp_path, mode):
    mask = pair(tmp_path, "a")
    grey = Image.open(tmp_path / "images" / "a.png")
    if mode == "I;16":
        image = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    else:
        image = grey.convert("RGB").convert(mode)
    (tmp_path / "images" / "a.png").unlink()
    image.save(tmp_path / "images" / "a.tif")
    sample = opened(tmp_path, channels=1)[0]
    assert sample.record.mode == mode
    same = (sample.image[0] > 127) == torch.from_numpy(mask).bool()
    assert same.float().mean() > 0.9  # a palette has few greys


@pytest.mark.parametrize(
    ("make", "parameters", "says"),
    [
        (lambda d: None, {}, r"^data\.images: .* has no folder images or image; expected"),
        (lambda d: (d / "images").mkdir(), {}, r"^data\.masks: .* has no folder masks or mask"),
        (lambda d: [(d / n).mkdir() for n in ("images", "masks")], {}, "no images in"),
        (
            lambda d: [(d / n).mkdir() for n in ("images", "image", "masks")],
            {},
            r"has image and images; choose one with data\.images=NAME",
        ),
        (lambda d: (d / "masks").mkdir(), {"images": "photos"}, "has no folder photos"),
    ],
)
def test_a_folder_that_holds_nothing_of_the_kind_is_one_line(tmp_path, make, parameters, says):
    make(tmp_path)
    with pytest.raises(gvt.DataError, match=says) as caught:
        opened(tmp_path, **parameters)
    assert "\n" not in str(caught.value)


def test_two_images_of_one_name_are_one_line(folder):
    pair(folder, "03", image="images/{}.bmp")
    with pytest.raises(gvt.DataError, match=r"03\.png: has the same name as 03\.bmp"):
        opened(folder)


def test_where_the_folder_is_absent_its_source_is_said(tmp_path):
    about = "cells by A. Smith (MIT): images and masks"
    said = rf"^data\.root: there is no folder '.*nowhere'; {re.escape(about)}$"
    with pytest.raises(gvt.DataError, match=said):
        opened(tmp_path / "nowhere", about=about)
    with pytest.raises(gvt.DataError, match="; expected: images and masks"):
        opened(tmp_path / "nowhere")


def test_the_fingerprint_follows_names_and_tiles(folder):
    before = opened(folder).info.fingerprint
    assert opened(folder, size=8).info.fingerprint == before
    assert opened(folder, tile=8).info.fingerprint != before
    pair(folder, "10")
    assert opened(folder).info.fingerprint != before
