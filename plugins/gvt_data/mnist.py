"""MNIST, whose four IDX files are included in the package as published."""

from __future__ import annotations

import gzip
import hashlib
import os
import zlib
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from gvt import DataError
from gvt.printable import printable

from .tensor_set import TensorSet

_EMBEDDED = Path(__file__).parent / "mnist_files"

# SHA-256 of the uncompressed content.
_SHA256 = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}


class MNIST(TensorSet):
    """MNIST's handwritten digits: 60,000 for training and 10,000 for testing, 28x28 grey.

    Y. LeCun, C. Cortes, C. Burges; CC BY-SA 3.0.

    Args:
        split: `train`, `val` (the last `holdout` training images) or `test`.
        root: Folder with the four IDX files, gzipped or not, directly or in torchvision's
            `MNIST/raw`; by default, the files in the package.
        classes: Digits to keep, in the order of their new indices; all by default.
        holdout: Number of training images, from the end, that are `val`.

    Raises:
        DataError: If a file is missing, damaged, or not MNIST's.
        ValueError: If a class is not a digit or occurs twice, or the hold-out leaves a split empty.
    """

    def __init__(
        self,
        split: str,
        root: str | None = None,
        classes: list[int | str] | None = None,
        holdout: int = 0,
    ) -> None:
        def read(part: str) -> tuple[Tensor, Tensor]:
            folder = _EMBEDDED if root is None else _folder(Path(root))
            return _read_pair(folder, "t10k" if part == "test" else "train")

        digits = [str(digit) for digit in range(10)]
        super().__init__("mnist", split, digits, classes, holdout, read)


def _folder(root: Path) -> Path:
    for folder in (root, root / "MNIST" / "raw", root / "raw"):
        if _find(folder, "train-images-idx3-ubyte") is not None:
            return folder
    raise DataError(
        f"data.root: no MNIST in {str(root)!r}: put train-images-idx3-ubyte(.gz) and the other "
        "three IDX files there or into MNIST/raw, or leave out data.root to use the built-in files"
    )


def _find(folder: Path, name: str) -> Path | None:
    for path in (folder / f"{name}.gz", folder / name):
        if path.is_file():
            return path
    return None


def _read_pair(folder: Path, prefix: str) -> tuple[Tensor, Tensor]:
    tensors = []
    for name in (f"{prefix}-images-idx3-ubyte", f"{prefix}-labels-idx1-ubyte"):
        path = _find(folder, name)
        if path is None:
            raise DataError(f"{printable(folder)}: {name}(.gz) is missing")
        tensors.append(_read(os.fspath(path.resolve()), path.stat().st_mtime_ns, name))
    return tensors[0].reshape(-1, 1, 28, 28), tensors[1]


@lru_cache(maxsize=4)
def _read(path: str, modified: int, name: str) -> Tensor:
    """Return the values of an IDX file, flat. `modified` invalidates the cache if it changes."""
    try:
        content = Path(path).read_bytes()
        if path.endswith(".gz"):
            content = gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{printable(path)}: cannot be read: {error}; is it truncated?") from error
    if hashlib.sha256(content).hexdigest() != _SHA256[name]:
        raise DataError(f"{printable(path)}: its content is not MNIST's {name} (SHA-256 differs)")
    header = 4 + 4 * content[3]  # magic number, whose last byte counts the dimensions
    return torch.from_numpy(np.frombuffer(content, np.uint8, offset=header).copy())
