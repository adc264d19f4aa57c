"""Sets that torchvision knows where to fetch: Fashion-MNIST, KMNIST, EMNIST and CIFAR-10."""

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
"""Seconds without a byte after which a download has failed; torchvision alone waits for ever."""


@dataclass(frozen=True)
class _Published:
    """A set as it was published, and torchvision's class that fetches and reads it.

    Attributes:
        name: What it is called here.
        opener: Torchvision's class.
        source: Where it is fetched from.
        licence: Its licence, in words.
        folder: Where its files are, below the root.
        files: Their names.
        classes: The names of its classes.
        first: The number of the first class in the files.
        transposed: Whether rows of pixels are stored as columns.
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
        """Return the images of a part, (N, C, H, W) uint8, and their classes, (N,) from 0.

        Raises:
            DataError: If it is absent, damaged, or cannot be fetched.
        """
        folder = Path(root).expanduser()
        try:
            with self._turn(folder, download), _impatient(), _bar_for_people_only():
                opened = self.opener(folder, train=part == "train", download=download)
            return self._tensors(opened)
        except Exception as error:  # whatever a damaged file makes torchvision stumble over
            raise DataError(self._complaint(folder, download, error)) from error

    def _turn(self, folder: Path, download: bool) -> AbstractContextManager[Any]:
        """Return a context that one process at a time is in, if it may fetch something.

        Those of a run open their data at once; the first one fetches it, and the others find it.
        """
        if not download:
            return nullcontext()
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK):  # nothing can be fetched into it, nor may be missing
            return nullcontext()
        return FileLock(folder / f".{Path(self.folder).parts[0]}.lock")

    def _tensors(self, opened: Any) -> tuple[Tensor, Tensor]:
        images, labels = torch.as_tensor(opened.data), torch.as_tensor(opened.targets) - self.first
        if len(images) != len(labels):
            raise ValueError(f"{len(images)} images, {len(labels)} labels")
        if not 0 <= int(labels.min()) <= int(labels.max()) < len(self.classes):
            raise ValueError("labels of no class")
        if images.ndim == 3:
            return (images.mT.contiguous() if self.transposed else images)[:, None], labels
        return images.permute(0, 3, 1, 2).contiguous(), labels

    def _complaint(self, folder: Path, download: bool, error: Exception) -> str:
        reason = " ".join(str(error).split()) or type(error).__name__
        place = folder / self.folder
        missing = ", ".join(name for name in self.files if not (place / name).is_file())
        if missing and download:
            return (
                f"{self.name}: fetching it from {self.source} ({self.licence}) failed: {reason}; "
                f"try again, or put {missing} into {str(place)!r}"
            )
        if missing:
            return (
                f"data.root: no {self.name} in {str(folder)!r}: {missing} would be in "
                f"{self.folder}; data.download=true fetches it from {self.source} ({self.licence})"
            )
        return (
            f"{self.name}: the files in {str(place)!r} are damaged, or not those that were "
            f"published: {reason}; remove them, and data.download=true fetches them again"
        )


class TorchvisionSet(TensorSet):
    """A set that torchvision can fetch.

    Args:
        split: `train`, `val` (the held-out end of the training images) or `test`.
        root: The folder that holds torchvision's folder of the set.
        download: Fetch what is not there.
        classes: The classes to keep, by number or name, in the order of their new numbers.
        holdout: How many of the last training images are `val` instead.

    Attributes:
        published: The set, of which a subclass has its own.

    Raises:
        DataError: If files are missing or damaged, or cannot be fetched.
        ValueError: If a class is none of the set's or stands twice, or the hold-out leaves nothing.
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
    """Write noise in the format of MNIST's files, and return the parameters that read it."""
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
    """Articles of clothing: 60,000 for training and 10,000 for testing, 28x28 grey.

    H. Xiao, K. Rasul, R. Vollgraf (2017, https://arxiv.org/abs/1708.07747); MIT.

    Args:
        root: The folder that holds torchvision's `FashionMNIST/raw`.
    """

    published = _like_mnist("fashion_mnist", datasets.FashionMNIST, "MIT licence")

    @classmethod
    def gvt_example(cls, folder: Path) -> dict[str, str]:
        """Write a few images of noise, and return the parameters that read them."""
        return _write_noise(folder, cls.published.folder, ("train", "t10k"))


class KMNIST(FashionMNIST):
    """Cursive Japanese characters: 60,000 for training and 10,000 for testing, 28x28 grey.

    T. Clanuwat and others (2018, https://arxiv.org/abs/1812.01718); CC BY-SA 4.0.

    Args:
        root: The folder that holds torchvision's `KMNIST/raw`.
    """

    published = _like_mnist("kmnist", datasets.KMNIST, "CC BY-SA 4.0")


class CIFAR10(TorchvisionSet):
    """Small photographs of ten kinds: 50,000 for training, 10,000 for testing, 32x32 in colour.

    A. Krizhevsky (2009), Learning Multiple Layers of Features from Tiny Images.

    Args:
        root: The folder that holds `cifar-10-batches-py`.
    """

    # The files are pickles, which may run code. torchvision compares the MD5 of every one with its
    # list before it unpickles any, so they are opened through it and in no other way.
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
    """Handwritten letters and digits, 28x28 grey; published transposed, here turned upright.

    G. Cohen, S. Afshar, J. Tapson, A. van Schaik (2017, https://arxiv.org/abs/1702.05373).

    Args:
        root: The folder that holds torchvision's `EMNIST/raw`.
        variant: Which of its six parts, as torchvision names them.
        download: Fetch what is not there; one archive holds all six variants.
        **rest: Those of `TorchvisionSet`.
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
        # The letters count from 1, and torchvision puts a class "N/A" without images before them.
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
def _impatient() -> Iterator[None]:
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(SILENCE)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _bar_for_people_only() -> Any:
    """Return what keeps torchvision's progress bar out of a log file."""
    return nullcontext() if sys.stderr.isatty() else redirect_stderr(io.StringIO())
