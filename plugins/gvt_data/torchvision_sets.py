"""Data sets that torchvision can download: Fashion-MNIST, KMNIST, EMNIST and CIFAR-10."""

from __future__ import annotations

import io
import os
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, redirect_stderr
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
from filelock import FileLock
from torch import Tensor
from torchvision import datasets

from gvt import DataError, PassedTo

from .tensor_set import TensorSet

SILENCE = 30.0
"""Seconds without data after which a download fails; torchvision itself has no timeout."""


@dataclass(frozen=True)
class _Published:
    """A published data set, and torchvision's class that downloads and reads it.

    Attributes:
        name: Name of the data set.
        opener: Torchvision's class.
        source: URL of the download.
        licence: Name of its licence.
        folder: Folder of its files below the root.
        files: Names of its files.
        classes: Names of its classes.
        first: Label of the first class in the files.
        transposed: Whether the images are stored with rows and columns exchanged.
    """

    name: str
    opener: Callable[..., Any]
    source: str
    licence: str
    folder: str
    files: Sequence[str]
    classes: Sequence[str]
    first: int = 0
    transposed: bool = False

    def read(self, root: str, download: bool, part: str) -> tuple[Tensor, Tensor]:
        """Return the images of a part, (N, C, H, W) uint8, and their class indices, (N,).

        Raises:
            DataError: If it is absent or damaged, or the download fails.
        """
        folder = Path(root).expanduser()
        try:
            with self._lock(folder, download), _timeout(), _progress_bar():
                dataset = self.opener(folder, train=part == "train", download=download)
            return self._tensors(dataset)
        except Exception as error:  # damaged files raise many kinds of errors in torchvision
            raise DataError(self._message(folder, download, error)) from error

    def _lock(self, folder: Path, download: bool) -> AbstractContextManager[Any]:
        """Return a lock for the processes of a run, so that only the first one downloads."""
        if not download:
            return nullcontext()
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK):  # the files must exist already
            return nullcontext()
        return FileLock(folder / f".{Path(self.folder).parts[0]}.lock")

    def _tensors(self, dataset: Any) -> tuple[Tensor, Tensor]:
        images = torch.as_tensor(dataset.data)
        labels = torch.as_tensor(dataset.targets) - self.first
        if len(images) != len(labels):
            raise ValueError(f"{len(images)} images, {len(labels)} labels")
        if not 0 <= int(labels.min()) <= int(labels.max()) < len(self.classes):
            raise ValueError("labels out of range")
        if images.ndim == 3:
            return (images.mT.contiguous() if self.transposed else images)[:, None], labels
        return images.permute(0, 3, 1, 2).contiguous(), labels

    def _message(self, folder: Path, download: bool, error: Exception) -> str:
        reason = " ".join(str(error).split()) or type(error).__name__
        place = folder / self.folder
        missing = ", ".join(name for name in self.files if not (place / name).is_file())
        if missing and download:
            return (
                f"{self.name}: downloading from {self.source} ({self.licence}) failed: {reason}; "
                f"try again, or put {missing} into {str(place)!r}"
            )
        if missing:
            return (
                f"data.root: no {self.name} in {str(folder)!r}: {missing} must be in "
                f"{self.folder}; download with data.download=true from {self.source} "
                f"({self.licence})"
            )
        return (
            f"{self.name}: the files in {str(place)!r} are damaged, or not those that were "
            f"published: {reason}; remove them, and download them with data.download=true"
        )


class TorchvisionSet(TensorSet):
    """A data set that torchvision can download.

    Args:
        split: `train`, `val` (the last `holdout` training images) or `test`.
        root: Folder that contains torchvision's folder of the data set.
        download: Whether to download missing files.
        classes: Classes to keep, by index or name, in the order of their new indices.
        holdout: Number of training images, from the end, that are `val`.

    Attributes:
        published: The published data set, set by subclasses.

    Raises:
        DataError: If files are missing or damaged, or the download fails.
        ValueError: If a class is unknown or occurs twice, or the hold-out leaves a split empty.
    """

    published: _Published

    def __init__(
        self,
        split: str,
        root: str,
        download: bool = False,
        classes: list[int | str] | None = None,
        holdout: int = 0,
    ) -> None:
        published = self.published
        read = partial(published.read, root, download)
        super().__init__(published.name, split, published.classes, classes, holdout, read)


def _write_noise(folder: Path, published: str, prefixes: Sequence[str]) -> dict[str, str]:
    """Write noise in the format of MNIST's files, and return the parameters to read it."""
    place = folder / published
    place.mkdir(parents=True)
    random = np.random.default_rng(0)
    for prefix in prefixes:
        images = random.integers(0, 256, (16, 28, 28), np.uint8)
        labels = (np.arange(16) % 10).astype(np.uint8)
        for name, values in (("images-idx3", images), ("labels-idx1", labels)):
            header = bytes([0, 0, 8, values.ndim]) + np.array(values.shape, ">i4").tobytes()
            (place / f"{prefix}-{name}-ubyte").write_bytes(header + values.tobytes())
    return {"root": str(folder)}


def _like_mnist(name: str, opener: Any, licence: str) -> _Published:
    return _Published(
        name,
        opener,
        opener.mirrors[0],
        licence,
        f"{opener.__name__}/raw",
        [Path(file).stem for file, _ in opener.resources],  # without .gz
        opener.classes,
    )


class FashionMNIST(TorchvisionSet):
    """Fashion-MNIST's articles of clothing: 60,000 for training, 10,000 for testing, 28x28 grey.

    H. Xiao, K. Rasul, R. Vollgraf (2017, https://arxiv.org/abs/1708.07747); MIT.

    Args:
        root: Folder that contains torchvision's `FashionMNIST/raw`.
    """

    published = _like_mnist("fashion_mnist", datasets.FashionMNIST, "MIT licence")

    @classmethod
    def gvt_example(cls, folder: Path) -> dict[str, str]:
        """Write a few images of noise, and return the parameters that read them."""
        return _write_noise(folder, cls.published.folder, ("train", "t10k"))


class KMNIST(FashionMNIST):
    """KMNIST's cursive Japanese characters: 60,000 for training, 10,000 for testing, 28x28 grey.

    T. Clanuwat and others (2018, https://arxiv.org/abs/1812.01718); CC BY-SA 4.0.

    Args:
        root: Folder that contains torchvision's `KMNIST/raw`.
    """

    published = _like_mnist("kmnist", datasets.KMNIST, "CC BY-SA 4.0")


class CIFAR10(TorchvisionSet):
    """CIFAR-10's photographs of ten classes: 50,000 for training, 10,000 for testing, 32x32 colour.

    A. Krizhevsky (2009), Learning Multiple Layers of Features from Tiny Images.

    Args:
        root: Folder that contains `cifar-10-batches-py`.
    """

    # The files are pickles, which may run code. torchvision checks the MD5 of every file before it
    # unpickles any, so they are only opened through torchvision.
    published = _Published(
        "cifar10",
        datasets.CIFAR10,
        datasets.CIFAR10.url,
        "no licence stated",
        datasets.CIFAR10.base_folder,
        [
            *(name for name, _ in datasets.CIFAR10.train_list + datasets.CIFAR10.test_list),
            datasets.CIFAR10.meta["filename"],
        ],
        ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"],
    )


class EMNIST(TorchvisionSet):
    """EMNIST's handwritten letters and digits, 28x28 grey, upright instead of transposed.

    G. Cohen, S. Afshar, J. Tapson, A. van Schaik (2017, https://arxiv.org/abs/1702.05373).

    Args:
        root: Folder that contains torchvision's `EMNIST/raw`.
        variant: Name of one of the six variants, as in torchvision.
        download: Whether to download missing files; one archive contains all six variants.
        **rest: Parameters of `TorchvisionSet`.
    """

    def __init__(
        self,
        split: str,
        root: str,
        variant: Literal[
            "balanced", "byclass", "bymerge", "letters", "digits", "mnist"
        ] = "balanced",
        **rest: Annotated[Any, PassedTo(TorchvisionSet)],
    ) -> None:
        # Labels of letters begin at 1; torchvision puts an empty class "N/A" before them.
        first = 1 if variant == "letters" else 0
        self.published = _Published(
            f"emnist {variant}",
            partial(datasets.EMNIST, split=variant),
            datasets.EMNIST.url,
            "no licence stated",
            "EMNIST/raw",
            [
                f"emnist-{variant}-{part}-{values}-ubyte"
                for part in ("train", "test")
                for values in ("images-idx3", "labels-idx1")
            ],
            datasets.EMNIST.classes_split_dict[variant][first:],
            first,
            transposed=True,
        )
        super().__init__(split, root, **rest)

    @staticmethod
    def gvt_example(folder: Path) -> dict[str, str]:
        """Write a few images of noise, and return the parameters that read them."""
        prefixes = ("emnist-balanced-train", "emnist-balanced-test")
        return _write_noise(folder, "EMNIST/raw", prefixes)


@contextmanager
def _timeout() -> Iterator[None]:
    """Set the default timeout of sockets to `SILENCE`."""
    previous = socket.getdefaulttimeout()
    socket.setdefaulttimeout(SILENCE)
    try:
        yield
    finally:
        socket.setdefaulttimeout(previous)


def _progress_bar() -> Any:
    """Return a context that hides torchvision's progress bar unless stderr is a terminal."""
    return nullcontext() if sys.stderr.isatty() else redirect_stderr(io.StringIO())
