"""MNIST: what was published, and nothing else."""

import gzip
import os
import shutil
from pathlib import Path

import pytest
import torch

import gvt
from gvt_data import mnist

EMBEDDED = Path(mnist.__file__).parent / "mnist_files"
FIRST_LABELS = [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]


@pytest.fixture
def folder(tmp_path):
    return Path(shutil.copytree(EMBEDDED, tmp_path / "MNIST" / "raw")).parent.parent


def test_it_is_mnist():
    inputs, targets = mnist.MNIST("train").tensors()
    images = inputs["image"]
    assert images.shape == (60_000, 1, 28, 28)
    assert images.dtype == torch.uint8
    assert targets["class"][:10].tolist() == FIRST_LABELS
    assert images.float().mean().item() / 255 == pytest.approx(0.1307, abs=1e-4)
    assert len(mnist.MNIST("test")) == 10_000


def test_a_sample_is_what_the_tensors_hold():
    dataset = mnist.MNIST("test")
    inputs, targets = dataset.tensors()
    images = inputs["image"]
    sample = dataset[3]
    assert torch.equal(sample.image, images[3])
    assert sample.targets["class"] == targets["class"][3]
    assert sample.record.source == "mnist test 3"


def test_some_digits_are_kept_and_renumbered():
    dataset = mnist.MNIST("train", classes=[5])
    assert len(dataset) == 5_421
    assert dataset.info.classes == ("5",)
    assert len(mnist.MNIST("train", classes=["5"])) == 5_421
    pair = mnist.MNIST("train", classes=[4, 1])
    assert pair.info.classes == ("4", "1")
    assert pair.tensors()[1]["class"][:3].tolist() == [0, 1, 1]


def test_the_hold_out_parts_the_training_images():
    everything = mnist.MNIST("train").tensors()[0]["image"]
    kept = mnist.MNIST("train", holdout=5_000).tensors()[0]["image"]
    held = mnist.MNIST("val", holdout=5_000).tensors()[0]["image"]
    assert torch.equal(torch.cat([kept, held]), everything)


def test_files_elsewhere_are_read_zipped_or_not(folder):
    name = "train-labels-idx1-ubyte"
    path = folder / "MNIST" / "raw" / f"{name}.gz"
    path.with_suffix("").write_bytes(gzip.decompress(path.read_bytes()))
    path.unlink()
    for root in (folder, folder / "MNIST", folder / "MNIST" / "raw"):
        assert len(mnist.MNIST("train", root=str(root))) == 60_000


@pytest.mark.skipif("GVT_DATA" not in os.environ, reason="GVT_DATA, the real data, is not set")
def test_the_published_files_are_the_embedded_ones():
    published = mnist.MNIST("test", root=str(Path(os.environ["GVT_DATA"]) / "mnist"))
    assert torch.equal(published.tensors()[0]["image"], mnist.MNIST("test").tensors()[0]["image"])


def test_no_files_there_is_one_line(tmp_path):
    with pytest.raises(gvt.DataError, match=r"data\.root: no MNIST in .*IDX"):
        mnist.MNIST("train", root=str(tmp_path))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda b: b[: len(b) // 2], "cannot be read.*truncated"),
        (lambda b: b"not gzip", "cannot be read"),
        (lambda b: gzip.compress(gzip.decompress(b)[:-1] + b"\7"), "SHA-256"),
        (lambda b: None, "is missing"),
    ],
)
def test_a_damaged_file_is_named(folder, damage, message):
    path = folder / "MNIST" / "raw" / "t10k-labels-idx1-ubyte.gz"
    damaged = damage(path.read_bytes())
    path.unlink() if damaged is None else path.write_bytes(damaged)
    with pytest.raises(gvt.DataError, match=message) as caught:
        mnist.MNIST("test", root=str(folder))
    assert "t10k-labels-idx1-ubyte" in str(caught.value)


@pytest.mark.parametrize("classes", [[], [10], [-1], [3, 3]])
def test_classes_are_digits(classes):
    with pytest.raises(ValueError, match="numbers from 0 to 9"):
        mnist.MNIST("train", classes=classes)


@pytest.mark.parametrize(("split", "holdout"), [("val", 0), ("train", 60_000), ("train", -1)])
def test_a_hold_out_leaves_something(split, holdout):
    with pytest.raises(ValueError, match=f"holdout {holdout}: split {split}"):
        mnist.MNIST(split, holdout=holdout)
