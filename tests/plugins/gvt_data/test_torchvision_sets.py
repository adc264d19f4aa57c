"""Sets in torchvision's layout: read from small files in the published formats."""

import gzip
import hashlib
import os
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
import torch
from torchvision import datasets

import gvt
from gvt_data.torchvision_sets import CIFAR10, EMNIST, KMNIST, FashionMNIST

IDX = {FashionMNIST: "FashionMNIST", KMNIST: "KMNIST"}


def idx(values):
    """Return an array in the IDX format."""
    header = bytes([0, 0, 8, values.ndim]) + np.array(values.shape, ">i4").tobytes()
    return header + values.astype(np.uint8).tobytes()


def grey(folder, prefixes, first=0, classes=10):
    """Write small grey sets; return their images and labels by part."""
    folder.mkdir(parents=True)
    random = np.random.default_rng(0)
    parts = {}
    for (part, prefix), count in zip(prefixes.items(), (30, 12), strict=True):
        images = random.integers(0, 256, (count, 28, 28))
        labels = np.arange(count) % classes + first
        (folder / f"{prefix}-images-idx3-ubyte").write_bytes(idx(images))
        (folder / f"{prefix}-labels-idx1-ubyte").write_bytes(idx(labels))
        parts[part] = torch.from_numpy(images.astype(np.uint8)), torch.from_numpy(labels)
    return parts


def mnist_like(root, dataset):
    return grey(root / IDX[dataset] / "raw", {"train": "train", "test": "t10k"})


def cifar(root, monkeypatch):
    """Write CIFAR-10's seven files small, and make torchvision expect these very ones."""
    folder = root / "cifar-10-batches-py"
    folder.mkdir()
    random = np.random.default_rng(0)
    sums, images = {}, {}

    def write(name, content):
        (folder / name).write_bytes(pickle.dumps(content))
        sums[name] = hashlib.md5((folder / name).read_bytes()).hexdigest()

    names = [f"data_batch_{n}" for n in range(1, 6)]
    for name in (*names, "test_batch"):
        images[name] = random.integers(0, 256, (4, 3072), np.uint8)
        write(name, {"data": images[name], "labels": [0, 1, 2, 9]})
    write("batches.meta", {"label_names": list("abcdefghij")})
    monkeypatch.setattr(datasets.CIFAR10, "train_list", [[n, sums[n]] for n in names])
    monkeypatch.setattr(datasets.CIFAR10, "test_list", [["test_batch", sums["test_batch"]]])
    meta = {**datasets.CIFAR10.meta, "md5": sums["batches.meta"]}
    monkeypatch.setattr(datasets.CIFAR10, "meta", meta)
    return folder, images


@pytest.mark.parametrize("dataset", IDX)
def test_grey_sets_are_read(tmp_path, dataset):
    images, labels = mnist_like(tmp_path, dataset)["train"]
    train = dataset("train", str(tmp_path), holdout=10)
    val = dataset("val", str(tmp_path), holdout=10)
    assert (len(train), len(val), len(dataset("test", str(tmp_path)))) == (20, 10, 12)
    assert train.info.image_shape == (1, 28, 28)
    assert len(train.info.classes) == 10
    assert torch.equal(
        torch.cat([train.tensors()[0]["image"], val.tensors()[0]["image"]])[:, 0], images
    )
    assert torch.equal(train.tensors()[1]["class"], labels[:20])
    sample = val[3]
    assert torch.equal(sample.image[0], images[23])
    assert (int(sample.targets["class"]), sample.record.size) == (3, (28, 28))
    assert sample.record.source.endswith("mnist val 3")


def test_classes_by_number_and_by_name(tmp_path):
    mnist_like(tmp_path, FashionMNIST)
    dataset = FashionMNIST("train", str(tmp_path), classes=["Dress", 0])
    assert dataset.info.classes == ("Dress", "T-shirt/top")
    assert dataset.tensors()[1]["class"].tolist() == [1, 0] * 3
    with pytest.raises(ValueError, match=r"classes \['Drees'\]: .*Pullover, Dress"):
        FashionMNIST("train", str(tmp_path), classes=["Drees"])


@pytest.mark.parametrize(
    ("variant", "count", "first"), [("balanced", 47, 0), ("letters", 26, 1), ("digits", 10, 0)]
)
def test_emnist_is_upright_and_counts_from_zero(tmp_path, variant, count, first):
    prefixes = {part: f"emnist-{variant}-{part}" for part in ("train", "test")}
    images, labels = grey(tmp_path / "EMNIST" / "raw", prefixes, first, min(count, 26))["train"]
    dataset = EMNIST("train", str(tmp_path), variant=variant)
    assert len(dataset.info.classes) == count
    assert dataset.info.classes[0] == ("a" if first else "0")
    assert torch.equal(dataset.tensors()[0]["image"][:, 0], images.mT)
    assert torch.equal(dataset.tensors()[1]["class"], labels - first)
    letter = dataset.info.classes[4]
    assert len(EMNIST("train", str(tmp_path), variant=variant, classes=[letter])) > 0


def test_cifar_is_read(tmp_path, monkeypatch):
    _, images = cifar(tmp_path, monkeypatch)
    dataset = CIFAR10("train", str(tmp_path), classes=[9, "bird"])
    assert dataset.info.image_shape == (3, 32, 32)
    assert dataset.info.classes == ("truck", "bird")
    assert dataset.tensors()[1]["class"].tolist() == [1, 0] * 5
    first = torch.from_numpy(images["data_batch_1"][2]).reshape(3, 32, 32)
    assert torch.equal(dataset[0].image, first)
    assert dataset.tensors()[0]["image"].is_contiguous()
    assert len(CIFAR10("test", str(tmp_path))) == 4


class Trap:
    """A pickle of it writes a file when it is opened."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return open, (self.path, "w")


@pytest.mark.parametrize("name", ["data_batch_3", "test_batch", "batches.meta"])
def test_a_pickle_that_was_not_published_is_not_opened(tmp_path, monkeypatch, name):
    folder, _ = cifar(tmp_path, monkeypatch)
    (folder / name).write_bytes(pickle.dumps(Trap(tmp_path / "sprung")))
    with pytest.raises(gvt.DataError, match="cifar-10-batches-py' are damaged, or not those"):
        CIFAR10("train", str(tmp_path))
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        (FashionMNIST, r"no fashion_mnist in .*train-images-idx3-ubyte.* FashionMNIST/raw.*MIT"),
        (KMNIST, r"no kmnist in .*codh\.rois\.ac\.jp.*CC BY-SA 4\.0"),
        (EMNIST, r"no emnist balanced in .*emnist-balanced-test-labels.*biometrics\.nist\.gov"),
        (CIFAR10, r"no cifar10 in .*batches\.meta.*cs\.toronto\.edu"),
    ],
)
def test_absent_files_are_one_line(tmp_path, dataset, message):
    with pytest.raises(gvt.DataError, match=rf"^data\.root: {message}") as caught:
        dataset("train", str(tmp_path))
    assert "data.download=true" in str(caught.value)
    assert "\n" not in str(caught.value)


def unreachable(monkeypatch, dataset):
    """Send a set's downloads to a port of this machine where nobody listens."""
    nowhere = "http://127.0.0.1:9/"
    monkeypatch.setattr(datasets.FashionMNIST, "mirrors", [nowhere])
    monkeypatch.setattr(datasets.EMNIST, "url", nowhere + "gzip.zip")
    monkeypatch.setattr(datasets.CIFAR10, "url", nowhere + "cifar.tar.gz")


@pytest.mark.parametrize("dataset", [FashionMNIST, EMNIST, CIFAR10])
def test_a_download_that_fails_is_one_line(tmp_path, monkeypatch, capfd, dataset):
    unreachable(monkeypatch, dataset)
    with pytest.raises(gvt.DataError, match=r"downloading from http.* failed: .*refused") as caught:
        dataset("train", str(tmp_path), download=True)
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def zipped(folder, monkeypatch):
    """Zip the files of a small Fashion-MNIST, and make torchvision expect these very ones."""
    resources = []
    for path in sorted(folder.iterdir()):
        file = path.with_name(f"{path.name}.gz")
        file.write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
        resources.append((file.name, hashlib.md5(file.read_bytes()).hexdigest()))
    monkeypatch.setattr(datasets.FashionMNIST, "resources", resources)


class Served(SimpleHTTPRequestHandler):
    """Serves files; notes their names."""

    def __init__(self, *arguments, names, **parameters):
        self.names = names
        super().__init__(*arguments, **parameters)

    def do_GET(self):
        self.names.append(self.path)
        super().do_GET()

    def log_message(self, *_):
        """Say nothing."""


@pytest.fixture
def served(tmp_path, monkeypatch):
    """Serve a small Fashion-MNIST on this machine; return the names that were asked for."""
    folder, names = tmp_path / "server", []
    mnist_like(folder, FashionMNIST)
    zipped(folder / "FashionMNIST" / "raw", monkeypatch)
    handler = partial(Served, names=names, directory=str(folder / "FashionMNIST" / "raw"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        mirror = f"http://127.0.0.1:{server.server_port}/"
        monkeypatch.setattr(datasets.FashionMNIST, "mirrors", [mirror])
        yield names
        server.shutdown()
        thread.join()


def test_only_the_first_of_several_processes_downloads(tmp_path, served):
    FashionMNIST("train", str(tmp_path / "alone"), download=True)
    alone = served.copy()
    served.clear()
    together = threading.Barrier(3)

    def opened(_):
        together.wait()
        return FashionMNIST("train", str(tmp_path / "data"), download=True)

    with ThreadPoolExecutor(3) as pool:
        copies = list(pool.map(opened, range(3)))
    assert [len(dataset) for dataset in copies] == [30] * 3
    assert set(served) == {f"/{name}" for name, _ in datasets.FashionMNIST.resources}
    assert served == alone


@pytest.mark.skipif(
    os.name == "nt" or os.geteuid() == 0, reason="here nothing is too read-only for this user"
)
def test_existing_files_may_be_read_only(tmp_path):
    mnist_like(tmp_path, FashionMNIST)
    tmp_path.chmod(0o555)
    try:
        assert len(FashionMNIST("train", str(tmp_path), download=True)) == 30
    finally:
        tmp_path.chmod(0o755)


def test_existing_zipped_files_need_no_network(tmp_path, monkeypatch):
    images, _ = mnist_like(tmp_path, FashionMNIST)["train"]
    unreachable(monkeypatch, FashionMNIST)
    zipped(tmp_path / "FashionMNIST" / "raw", monkeypatch)
    dataset = FashionMNIST("train", str(tmp_path), download=True)
    assert torch.equal(dataset.tensors()[0]["image"][:, 0], images)


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[: len(content) // 2],
        lambda content: b"",
        lambda content: content[:-1] + b"\x0b",
        lambda content: idx(np.arange(29) % 10),
    ],
)
def test_damaged_files_are_one_line(tmp_path, damage):
    mnist_like(tmp_path, KMNIST)
    path = tmp_path / "KMNIST" / "raw" / "train-labels-idx1-ubyte"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(gvt.DataError, match=r"^kmnist: the files in .* are damaged") as caught:
        KMNIST("train", str(tmp_path))
    assert "\n" not in str(caught.value)


def test_a_set_trains(tmp_path, monkeypatch):
    cifar(tmp_path, monkeypatch)
    run = gvt.run(
        "gan.mnist",
        *("data.name=cifar10", f"data.root={tmp_path}", "data.batch_size=4", "train.steps=2"),
        *("generator.width=8", "discriminator.width=8", f"run.root={tmp_path}", "device=cpu"),
        quiet=True,
    )
    assert run.step == 2
    assert run.task.generator.image_shape == (3, 32, 32)
