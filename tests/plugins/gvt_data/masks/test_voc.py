"""Pascal VOC's layout, made up: its lists, its palette masks, and what may be missing."""

import numpy as np
import pytest
import torch
from PIL import Image

import gvt
from gvt_data.masks.voc import CLASSES, VOCSegmentation


@pytest.fixture
def voc(tmp_path):
    """Return a devkit with eight pictures, five of them to train on."""
    root = tmp_path / "VOCdevkit" / "VOC2012"
    root.mkdir(parents=True)
    VOCSegmentation.gvt_example(root)
    return root


@pytest.mark.parametrize("above", [0, 1, 2])
def test_the_folder_is_found(voc, above):
    root = [voc, *voc.parents][above]
    train, val = (VOCSegmentation(split, str(root)) for split in ("train", "val"))
    assert (len(train), len(val)) == (5, 3)
    assert train.info.classes == CLASSES
    assert len(CLASSES) == 20
    assert train.info.background is True


def test_masks_are_the_indices_of_the_palette(voc):
    sample = VOCSegmentation("val", str(voc))[1]  # picture 6, whose thing is value 13
    raw = np.asarray(Image.open(voc / "SegmentationClass" / "6.png")).astype(int)
    assert set(np.unique(raw)) == {0, 13, 255}
    wanted = np.where(raw == 255, 255, np.where(raw == 0, 20, raw - 1))
    assert torch.equal(sample.targets["semantic"].long(), torch.from_numpy(wanted))
    assert CLASSES[12] == "horse"


def test_another_list_is_trained_on(voc):
    lists = voc / "ImageSets" / "Segmentation"
    (lists / "trainval.txt").write_text("".join(f"{n}\n" for n in range(8)))
    assert len(VOCSegmentation("train", str(voc), train="trainval")) == 8
    with pytest.raises(gvt.DataError, match=r"ImageSets/Segmentation has no list test\.txt"):
        VOCSegmentation("test", str(voc))


def test_a_file_that_is_listed_and_missing_is_one_line(voc):
    (voc / "SegmentationClass" / "2.png").unlink()
    with pytest.raises(gvt.DataError, match=r"2\.jpg: has no mask; .*2\.png$"):
        VOCSegmentation("train", str(voc))
    with pytest.warns(UserWarning, match="1 of 5 images of split train"):
        assert len(VOCSegmentation("train", str(voc), on_error="skip")) == 4
    (voc / "JPEGImages" / "2.jpg").unlink()
    with pytest.raises(gvt.DataError, match=r"2\.jpg: is missing, and so is its mask"):
        VOCSegmentation("train", str(voc))


def test_a_mask_saved_in_colour_is_one_line(voc):
    path = voc / "SegmentationClass" / "1.png"
    Image.open(path).convert("RGB").save(path)
    image = Image.new("RGB", Image.open(path).size)
    image.putpixel((3, 4), (128, 0, 0))
    image.save(path)
    dataset = VOCSegmentation("train", str(voc))
    with pytest.raises(gvt.DataError, match=r"1\.png: is in colour, #000000 \(99.9 %\), #800000"):
        [dataset[index] for index in range(5)]


def test_where_it_is_absent_its_source_is_said(tmp_path):
    for root in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(gvt.DataError, match=r"no Pascal VOC in .*robots\.ox\.ac\.uk.*Flickr"):
            VOCSegmentation("train", str(root))
