"""A folder of pictures: samples, geometry, files that cannot be read, both ways of feeding."""

import os
import re
import threading
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import gvt
from gvt.data.sources import Resident, Streamed
from gvt.data_info import DataInfo
from gvt.geometry import boxes_through
from gvt.session.build import open_dataset
from gvt.vision.pictures import reader
from gvt_data.commands.check import check
from gvt_data.image_folder import ImageFolder

PHOTOGRAPHS = Path(os.environ.get("GVT_DATA", "")) / "bccd" / "BCCD" / "JPEGImages"


def noise(path, width, height, seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    Image.fromarray(values).save(path)
    return values


@pytest.fixture
def folder(tmp_path):
    """Return a folder with 12 pictures of many sizes in two classes."""
    for number in range(12):
        name = f"{'cat' if number % 2 else 'dog'}/{number:02}.png"
        noise(tmp_path / "photos" / name, 20 + number, 31 - number, number)
    return tmp_path / "photos"


def test_a_sample_is_the_picture(tmp_path):
    values = noise(tmp_path / "a" / "1.png", 7, 5)
    noise(tmp_path / "b" / "1.png", 4, 4)
    dataset = ImageFolder("train", str(tmp_path))
    assert (dataset.info.classes, dataset.info.image_shape, len(dataset)) == (("a", "b"), None, 2)
    sample = dataset[0]
    assert torch.equal(sample.image, torch.from_numpy(values).permute(2, 0, 1))
    assert int(sample.targets["class"]) == 0
    assert sample.record.source == str(tmp_path / "a" / "1.png")
    assert (sample.record.size, sample.record.mode) == ((5, 7), "RGB")
    assert torch.equal(sample.record.geometry, torch.eye(3, dtype=torch.float64))


def test_pictures_without_class_folders_have_no_target(tmp_path):
    noise(tmp_path / "1.png", 6, 6)
    dataset = ImageFolder("train", str(tmp_path), size=4)
    assert dataset.info.classes == ()
    assert dataset[0].targets == {}
    assert dataset.tensors()[1] == {}


@pytest.mark.parametrize("fit", ["crop", "pad", "stretch"])
@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_a_mark_is_found_where_the_record_says(tmp_path, fit, suffix):
    image = Image.new("RGB", (64, 48))
    image.paste((255, 0, 0), (24, 16, 40, 32))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter, clockwise
    image.save(tmp_path / f"1.{suffix}", exif=exif)
    sample = ImageFolder("train", str(tmp_path), size=(20, 30), fit=fit)[0]
    assert sample.record.size == (64, 48)
    mark = torch.tensor([[48.0 - 32, 24, 48 - 16, 40]])  # turned
    left, top, right, bottom = boxes_through(sample.record.geometry, mark)[0].tolist()
    y, x = np.mgrid[:20, :30] + 0.5
    inside = (x > left + 1) & (x < right - 1) & (y > top + 1) & (y < bottom - 1)
    outside = (x < left - 1) | (x > right + 1) | (y < top - 1) | (y > bottom + 1)
    red = sample.image[0].numpy()
    assert inside.any() and outside.any()
    assert (red[inside] > 200).all()
    assert (red[outside] < 55).all()


def test_classes_are_picked_and_ordered(folder):
    dataset = ImageFolder("train", str(folder), classes=["dog", "cat"])
    assert dataset.info.classes == ("dog", "cat")
    for sample in (dataset[index] for index in range(12)):
        assert dataset.info.classes[sample.targets["class"]] in sample.record.source
    assert len(ImageFolder("train", str(folder), classes=["cat"])) == 6


def test_the_splits_part_the_pictures(folder):
    options = {"val": 0.3, "test": 0.3, "split_seed": 1}
    parts = [ImageFolder(split, str(folder), **options) for split in ImageFolder.splits]
    assert {part.info.classes for part in parts} == {("cat", "dog")}
    sources = [part.record(i).source for part in parts for i in range(len(part))]
    assert len(set(sources)) == len(sources) == 12


@pytest.mark.parametrize("channels", [1, 3])
def test_resident_is_streamed_bit_for_bit(folder, channels):
    dataset = ImageFolder("train", str(folder), size=16, channels=channels)
    placement = gvt.Placement.resolve("cpu")
    keys = [(0, torch.tensor([3, 0, 7])), (0, torch.tensor([11, 1]))]
    resident = list(Resident(dataset, placement).batches(keys))
    for workers in (0, 2):
        streamed = list(Streamed(dataset, placement, workers).batches(keys))
        for one, other in zip(resident, streamed, strict=True):
            assert one.images.shape == (len(other), channels, 16, 16)
            assert torch.equal(one.images, other.images)
            assert torch.equal(one.targets["class"], other.targets["class"])
            assert one.frame == other.frame
            for mine, theirs in zip(one.records, other.records, strict=True):
                assert (mine.source, mine.size) == (theirs.source, theirs.size)
                assert torch.equal(mine.geometry, theirs.geometry)


def test_pictures_of_their_own_sizes_are_not_resident(folder):
    dataset = ImageFolder("train", str(folder))
    with pytest.raises(gvt.DataError, match=r"data\.resident: .*data\.size"):
        dataset.tensors()
    (batch,) = Streamed(dataset, gvt.Placement.resolve("cpu")).batches([(0, torch.tensor([0, 11]))])
    assert batch.images.shape == (2, 3, *batch.frame.canvas)
    assert batch.frame.sizes == (dataset[0].record.size, dataset[11].record.size)


def test_a_file_that_cannot_be_read_is_named_when_it_is_read(folder):
    (folder / "cat" / "broken.png").write_bytes(b"no picture")
    dataset = ImageFolder("train", str(folder), size=8)
    assert len(dataset) == 13
    for ask in (dataset.tensors, lambda: [dataset[i] for i in range(13)]):
        with pytest.raises(gvt.DataError, match=r"broken\.png: cannot be read"):
            ask()


def test_files_that_cannot_be_read_are_skipped_with_a_warning(folder):
    for number in range(5):
        (folder / "cat" / f"broken{number}.png").write_bytes(b"no picture")
    fine = ImageFolder("train", str(folder), size=8, classes=["dog"], on_error="skip")
    assert len(fine) == 6
    said = r"^5 of 17 images of split train .*broken0\.png.*broken2\.png and 2 more$"
    with pytest.warns(UserWarning, match=said):
        dataset = ImageFolder("train", str(folder), size=8, on_error="skip")
    assert len(dataset) == 12
    assert len(dataset.tensors()[0]["image"]) == 12


@pytest.mark.skipif(os.name == "nt", reason="on Windows, links need special rights")
def test_what_the_machine_does_not_give_is_not_skipped(folder):
    (folder / "cat" / "gone.png").symlink_to(folder / "nowhere")
    with pytest.raises(gvt.DataError, match=r"gone\.png: cannot be read: No such file"):
        ImageFolder("train", str(folder), size=8, on_error="skip")


@pytest.mark.parametrize("cores", [1, 2])
def test_no_more_threads_read_than_there_are_cores(folder, monkeypatch, cores):
    threads, read = set(), reader.read_picture

    def noted(*given, **named):
        threads.add(threading.get_ident())
        return read(*given, **named)

    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    monkeypatch.setattr(reader, "read_picture", noted)
    for parameters in ({}, {"on_error": "skip"}):
        threads.clear()
        dataset = ImageFolder("train", str(folder), size=8, **parameters)
        assert len(threads) <= cores
        threads.clear()
        dataset.tensors()
        assert 1 <= len(threads) <= cores


def test_folders_with_numbers_for_names(tmp_path):
    for name in ("3", "5", "05"):
        noise(tmp_path / name / "1.png", 4, 4)
    dataset = ImageFolder("train", str(tmp_path), classes=[5, "3"])
    assert dataset.info.classes == ("5", "3")
    config = gvt.compose("gan.folder", [f"data.root={tmp_path}", "data.classes=[5, '05']"])
    assert open_dataset(config, "train").info.classes == ("5", "05")
    for wrong in ([4], [5, "5"]):
        with pytest.raises(ValueError, match=r"each once; there are 05, 3, 5$"):
            ImageFolder("train", str(tmp_path), classes=wrong)


def test_nothing_readable_is_an_empty_split(tmp_path):
    (tmp_path / "a.png").write_bytes(b"no picture")
    with pytest.warns(UserWarning), pytest.raises(gvt.DataError, match="has no images"):
        ImageFolder("train", str(tmp_path), on_error="skip")


def test_an_empty_split_is_one_line(folder):
    with pytest.raises(gvt.DataError, match=r"split val of .*photos' has no .*data\.val, .* 0\.0$"):
        ImageFolder("val", str(folder))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"size": 0}, r"size \[0, 0\]"),
        ({"size": (4, 0)}, "one pixel"),
        ({"val": 0.5, "test": 0.5}, "less than 1"),
        ({"val": -0.1}, "shares of at least 0"),
        ({"background": (0, 0, 256)}, "from 0 to 255"),
        ({"classes": ["cat", "cow"]}, "there are cat, dog"),
        ({"classes": ["cat", "cat"]}, "each once"),
        ({"classes": []}, "each once"),
    ],
)
def test_impossible_parameters_are_one_line(folder, options, says):
    with pytest.raises(ValueError, match=says):
        ImageFolder("train", str(folder), **options)


def test_classes_of_pictures_without_any_are_one_line(tmp_path):
    noise(tmp_path / "1.png", 6, 6)
    with pytest.raises(ValueError, match="there are none"):
        ImageFolder("train", str(tmp_path), classes=["cat"])


@pytest.mark.parametrize("classes", [True, False])
def test_gan_folder_runs(folder, tmp_path, classes):
    root = folder if classes else folder / "cat"
    run = gvt.run(
        "gan.folder",
        *(f"data.root={root}", "data.size=8", "data.batch_size=4", "train.steps=2"),
        *("generator.width=8", "discriminator.width=8", f"run.root={tmp_path}", "device=cpu"),
        quiet=True,
    )
    assert run.step == 2
    assert np.isfinite(list(run.metrics.values())).all()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda folder: noise(folder / "cat" / "new.png", 20, 20), r"\d+ samples, and it was \d+"),
        (lambda folder: (folder / "cat").rename(folder / "lynx"), "without cat and with lynx"),
        (
            lambda folder: (folder / "cat/01.png").rename(folder / "cat/99.png"),
            "its files or samples are other ones",
        ),
    ],
)
def test_a_run_goes_on_with_the_same_pictures_only(folder, tmp_path, change, said):
    run = gvt.run(
        *("classify.folder", f"data.root={folder}", "data.size=32", "data.batch_size=4"),
        *("train.epochs=null", "train.steps=2", "evaluate={}", f"run.root={tmp_path}"),
        quiet=True,
    )
    assert gvt.resume(run.folder, "train.steps=3", quiet=True).step == 3
    change(folder)
    with pytest.raises(gvt.ConfigError, match=f"differs from what the run started with: .*{said}"):
        gvt.resume(run.folder, "train.steps=4", quiet=True)


def test_classify_folder_runs(folder, tmp_path):
    run = gvt.run(
        "classify.folder",
        *(f"data.root={folder}", "data.val=0.4", "data.batch_size=4", "train.steps=2"),
        *(f"run.root={tmp_path}", "device=cpu"),
        quiet=True,
    )
    assert run.step == 2
    assert 0 <= run.metrics["val/accuracy"] <= 1


@pytest.mark.parametrize("recipe", ["gan.folder", "classify.folder"])
def test_a_recipe_without_its_folder_says_so(recipe):
    with pytest.raises(gvt.ConfigError, match=r"^data\.root: is missing; ImageFolder needs it$"):
        gvt.run(recipe, quiet=True)


@pytest.mark.skipif("GVT_DATA" not in os.environ, reason="GVT_DATA, the real data, is not set")
def test_real_photographs():
    dataset = ImageFolder("train", str(PHOTOGRAPHS), size=32, val=0.8)
    images = dataset.tensors()[0]["image"]
    assert images.shape[1:] == (3, 32, 32)
    assert dataset.record(0).size == (480, 640)
    assert len(dataset) + len(ImageFolder("val", str(PHOTOGRAPHS), val=0.8)) == 364
    assert torch.equal(images[5], dataset[5].image)
    assert images.float().std() > 10


def test_one_class_is_refused_by_a_classifier_and_taken_by_a_gan(folder, tmp_path):
    wrapper = folder.parent
    recipe = [f"data.root={wrapper}", "data.size=16", "train.steps=1", f"run.root={tmp_path}/runs"]
    says = rf"heads.picture: classifier .* only one, photos; if .* give data.root={folder}$"
    with pytest.raises(gvt.ConfigError, match=says):
        gvt.run("classify.folder", *recipe, "device=cpu", quiet=True)
    assert not (tmp_path / "runs").exists()
    with pytest.raises(gvt.ConfigError, match="only one, cat; give it images of at least two"):
        gvt.run("classify.folder", *recipe, "data.classes=[cat]", f"data.root={folder}", quiet=True)
    small = ["generator.width=8", "discriminator.width=8", "data.batch_size=4", "device=cpu"]
    assert gvt.run("gan.folder", *recipe, *small, quiet=True).step == 1


def test_pictures_of_every_suffix_are_read(folder):
    for number, suffix in enumerate((".jfif", ".JPE", ".bmp", ".pnm", ".Mpo")):
        Image.new("RGB", (20, 20), (0, 0, 40 * number)).save(folder / "cat/x.png")
        with Image.open(folder / "cat/x.png") as image:
            image.save(folder / f"owl{suffix}", "BMP" if suffix == ".bmp" else "JPEG")
        (folder / "owl").mkdir(exist_ok=True)
        (folder / f"owl{suffix}").rename(folder / "owl" / f"{number}{suffix}")
    (folder / "cat/x.png").unlink()
    dataset = ImageFolder("train", str(folder), size=8)
    assert dataset.info.classes == ("cat", "dog", "owl")
    assert np.bincount(dataset.info.labels).tolist() == [6, 6, 5]
    assert {file.suffix for file in dataset.files} == {
        ".png",
        ".jfif",
        ".JPE",
        ".bmp",
        ".pnm",
        ".Mpo",
    }
    assert dataset.info.passed_over == {}


def test_files_that_are_passed_over_are_told(folder):
    for name in (
        "cat/a.heic",
        "cat/b.HEIC",
        "dog/c.cr2",
        "dog/notes.txt",
        "README.md",
        "cat/.x.heic",
    ):
        (folder / name).touch()
    (folder / "cat/00").write_bytes((folder / "dog/00.png").read_bytes())
    (folder / "cat/scan.001").write_bytes((folder / "dog/00.png").read_bytes())
    says = r"split train of .*: left out: 2 \.heic, 1 without suffix, 1 \.001, 1 \.cr2; image files"
    with pytest.warns(UserWarning, match=says):
        dataset = ImageFolder("train", str(folder))
    assert len(dataset) == 12
    everything = {".heic": 2, "": 1, ".001": 1, ".cr2": 1, ".md": 1, ".txt": 1}
    assert dataset.info.passed_over == everything


@pytest.mark.filterwarnings("error")
def test_what_belongs_beside_pictures_is_not_told(folder):
    for name in ("README.md", "LICENSE", "cat/notes.txt", "cat/Thumbs.db", "data.json"):
        (folder / name).write_text("P1 is not a picture")
    ImageFolder("train", str(folder))


def test_class_folders_without_pictures_are_told_once(folder):
    (folder / "owl").mkdir()
    with pytest.warns(UserWarning, match="folders without images, .*classes nor splits: owl"):
        assert ImageFolder("train", str(folder), val=0.3).info.classes == ("cat", "dog")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ImageFolder("val", str(folder), val=0.3)
        ImageFolder("train", str(folder), classes=["cat", "dog"])


def test_a_class_without_a_training_picture_is_counted(tmp_path):
    for name in ("train/cat/1.png", "train/dog/1.png", "val/owl/1.png"):
        noise(tmp_path / name, 8, 8)
    config = gvt.compose("classify.folder", [f"data.root={tmp_path}"])
    facts = DataInfo.of(open_dataset(config, "train"), config.data.range)
    assert (facts.classes, facts.class_counts) == (("cat", "dog", "owl"), (1, 1, 0))


def test_white_and_page_are_told_and_given(tmp_path):
    for name, value in (("a", 4095), ("b", 819)):
        (tmp_path / name).mkdir()
        pages = [Image.new("I;16", (8, 8), v) for v in (value, 4095)]
        pages[0].save(tmp_path / name / "1.tif", save_all=True, append_images=pages[1:])
    where = [f"data.root={tmp_path}", "data.size=8", "data.val=0"]
    config = gvt.compose("classify.folder", where)
    with pytest.warns(UserWarning) as caught:
        assert int(open_dataset(config, "train")[0].image.max()) == 16
    said = [str(warning.message) for warning in caught]
    assert any("data: split train: 2 of 2 files have several pages" in text for text in said)
    assert any("4095 of 65535, so that they are read as dark; data.white=4095" in t for t in said)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for page, second in ((1, 51), (2, 255)):
            config = gvt.compose(
                "classify.folder", [*where, "data.white=4095", f"data.page={page}"]
            )
            dataset = open_dataset(config, "train")
            assert [int(dataset[index].image.max()) for index in (0, 1)] == [255, second]
            assert (dataset.reader.white, dataset.reader.page) == (4095, page)


def test_data_check_tells_everything_of_every_file(folder):
    pages = [Image.new("I;16", (8, 8), 900), Image.new("I;16", (8, 8), 900)]
    pages[0].save(folder / "cat/stack.tif", save_all=True, append_images=pages[1:])
    (folder / "cat/notes.txt").touch()
    (folder / "dog/1.heic").touch()
    with pytest.warns(UserWarning, match=r"left out: 1 \.heic"):
        report = check("classify.folder", [f"data.root={folder}", "data.val=0", "data.size=8"])
    assert re.search(r"\npassed over +1 \.heic, 1 \.txt *\n", report)
    assert "train: 1 of 13 files has several pages" in report
    assert "train: the brightest value in 1 files is 900 of 65535" in report
