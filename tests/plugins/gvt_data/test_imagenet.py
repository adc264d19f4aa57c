"""ImageNet: its names, and its pictures where there are any."""

import pytest
import torch
from PIL import Image

import gvt


def imagenet(split="train", **parameters):
    return gvt.create("dataset", "imagenet", split=split, **parameters)


@pytest.fixture
def pictures(tmp_path):
    """Two classes for training and one of them held out, red and blue."""
    for place, colour in [
        ("train/n01443537/1.png", "blue"),
        ("train/n01440764/2.png", "red"),
        ("train/n01443537/3.png", "blue"),
        ("val/n01443537/4.png", "blue"),
    ]:
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (60, 40), colour).save(tmp_path / place)
    return tmp_path


def test_without_pictures_it_has_what_a_network_has_to_know():
    data = imagenet()
    assert len(data) == 0
    assert data.info.image_shape == (3, 224, 224)
    assert len(data.info.classes) == len({*data.info.classes}) == 1000
    assert [data.info.classes[n] for n in (0, 134, 281, 517, 638, 639, 967)] == [
        "tench",
        "crane (bird)",
        "tabby",
        "crane (machine)",
        "maillot (tights)",
        "maillot (tank suit)",
        "espresso",
    ]
    with pytest.raises(IndexError, match=r"give data\.root"):
        data[0]


def test_pictures_are_read_as_its_networks_are_evaluated(tmp_path):
    file = tmp_path / "frame.png"
    inner = Image.new("RGB", (240, 160), "red")
    inner.paste(Image.new("RGB", (140, 140), "white"), (50, 10))  # 0.875 of the shorter side
    inner.save(file)
    image, record = imagenet(size=140).reader.read(file)
    assert image.shape == (3, 140, 140)
    assert bool((image == 255).all())
    assert record.size == (160, 240)


def test_folders_of_wordnet_s_names_are_numbered_as_imagenet_is(pictures):
    data = imagenet(root=str(pictures), size=32)
    assert data.info.labels.tolist() == [0, 1, 1]
    assert [int(data[n].targets["class"]) for n in range(3)] == data.info.labels.tolist()
    blue = torch.tensor([0, 0, 255], dtype=torch.uint8).view(3, 1, 1).expand(3, 32, 32)
    assert torch.equal(data[1].image, blue)
    assert len(data.info.classes) == 1000
    held_out = imagenet("val", root=str(pictures))
    assert held_out.info.labels.tolist() == [1]
    assert held_out.info.fingerprint != data.info.fingerprint


def test_broken_files_are_left_out_if_asked(pictures):
    (pictures / "train" / "n01440764" / "2.png").write_bytes(b"no picture")
    with pytest.warns(UserWarning, match="1 of 3"):
        data = imagenet(root=str(pictures), on_error="skip")
    assert data.info.labels.tolist() == [1, 1]


def test_other_folders_are_one_line(pictures, tmp_path):
    with pytest.raises(gvt.DataError, match=r"there is no folder '.*nix'"):
        imagenet(root=str(tmp_path / "nix"))
    (pictures / "train" / "n01440764").rename(pictures / "train" / "n01440763")
    with pytest.raises(gvt.DataError, match=r"'n01440763' .* not a class of ImageNet.*'n01440764'"):
        imagenet(root=str(pictures))
    loose = tmp_path / "loose"
    (loose / "train").mkdir(parents=True)
    Image.new("RGB", (60, 40)).save(loose / "train" / "1.png")
    with pytest.raises(gvt.DataError, match="not in folders of classes"):
        imagenet(root=str(loose))
    with pytest.raises(gvt.DataError, match="loose' has no folder val; expected: ROOT/val/n0"):
        imagenet(root=str(loose), split="val")
