"""Data set wrapper that adds proposals, computed once for each image and cached."""

from __future__ import annotations

import hashlib
import importlib.metadata
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar
from uuid import uuid4

import safetensors.torch
import torch
from pydantic import PositiveInt
from safetensors import SafetensorError
from torch import Tensor

from gvt import DataError, DataInfo, Dataset, FileDataset, MixedDataset, PathText, Sample

from .proposing import Proposer, proposals_in

FORMAT = "1"
"""Version of the cache; to be raised if a proposer's boxes change."""

OPENCV = ("opencv-contrib-python-headless", "opencv-contrib-python")
"""Distributions that contain selective search."""


class WithProposals:
    """Data set wrapper that adds proposals to the samples of another data set.

    They are `inputs["proposals"]`, (P, 4) float32 xyxy in pixels of the image. Without them Fast
    R-CNN and R-CNN search each image again in each epoch. Proposals are cached in a folder, by the
    content of the image and OpenCV's version, and shared by all runs and data sets with the same
    images in the same size. A damaged file is recomputed. `windows` are not cached, since
    computing them is faster than reading.

    The splits are `train`, `val` and `test`, if the other data set has them. Its `info` and its
    files are kept, but not its whole tensors, which have no proposals.

    Args:
        split: Split of the other data set.
        of: The other data set.
        proposer: Method that creates proposals: `selective_search` (Uijlings et al. 2013, from
            gvt[selective-search]), `selective_search_quality`, its thorough form, or `windows` of
            several sizes on a grid.
        most: Most proposals of an image.
        cache: Folder of the cache; by default gvt's in the user's cache directory.
    """

    splits: ClassVar[tuple[str, ...]] = ("train", "val", "test")

    def __init__(
        self,
        split: str,
        of: Dataset,
        proposer: Proposer = "selective_search",
        most: PositiveInt = 2000,
        cache: PathText | None = None,
    ) -> None:
        self.split, self.of, self.proposer, self.most = split, of, proposer, most
        self.info = DataInfo.of(of)
        if isinstance(of, FileDataset):
            self.files, self.reader = of.files, of.reader
        if isinstance(of, MixedDataset):
            self.parts = of.parts
        self.folder = _default_folder() if cache is None else Path(cache)
        self._opencv = _opencv_versions()

    @staticmethod
    def gvt_example(folder: Path) -> dict[str, Any]:
        """Return parameters of a small example, without OpenCV, for the conformance kit."""
        import gvt

        scenes = gvt.create("dataset", "scenes", split="train", count=8, size=48)
        return {"of": scenes, "proposer": "windows", "most": 50, "cache": str(folder)}

    def __len__(self) -> int:
        return len(self.of)

    def __getitem__(self, index: int) -> Sample:
        """Return a sample with its proposals.

        Raises:
            ConfigError: If selective search is needed, and OpenCV's contributed modules are not
                installed or the image is neither grey nor RGB.
            DataError: If the proposals cannot be cached.
        """
        sample = self.of[index]
        return replace(sample, inputs={**sample.inputs, "proposals": self._proposals(sample)})

    def _proposals(self, sample: Sample) -> Tensor:
        if self.proposer == "windows":
            return proposals_in(sample.image, self.proposer, self.most)
        key = self._key(sample.image)
        path = self.folder / key[:2] / f"{key}.safetensors"
        boxes = load(path, key)
        if boxes is None:
            boxes = proposals_in(sample.image, self.proposer, self.most)
            save(path, key, boxes)
        return boxes

    def _key(self, image: Tensor) -> str:
        """Return a hash of the pixels and the settings, 64 hexadecimal digits."""
        pixels = image.detach().cpu().contiguous()
        search = f"{FORMAT} {self._opencv} {self.proposer} {self.most}"
        described = f"{search} {tuple(pixels.shape)} {pixels.dtype} "
        return hashlib.sha256(described.encode() + pixels.numpy().tobytes()).hexdigest()


def save(path: Path, key: str, boxes: Tensor) -> None:
    """Write proposals, (P, 4) float32, to a file; safe with other processes that do the same.

    Raises:
        DataError: If they cannot be written.
    """
    tensors = {"boxes": boxes, "digest": _digest(key, boxes)}
    temporary = path.with_name(f".{uuid4().hex}")  # unique to the writer
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            temporary.write_bytes(safetensors.torch.save(tensors))
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise DataError(
            f"data.cache: proposals cannot be written to {str(path.parent.parent)!r}: "
            f"{error.strerror or error}; name another folder"
        ) from error


def load(path: Path, key: str) -> Tensor | None:
    """Return the proposals of a file, (P, 4) float32; None if it is missing or damaged.

    Args:
        path: The file.
        key: Hash of the image and the settings.
    """
    try:
        tensors = safetensors.torch.load(path.read_bytes())
        boxes, digest = tensors["boxes"], tensors["digest"]
    except (OSError, SafetensorError, KeyError):
        return None
    if boxes.dtype != torch.float32 or boxes.shape[1:] != (4,):
        return None
    return boxes if torch.equal(digest, _digest(key, boxes)) else None


def _digest(key: str, boxes: Tensor) -> Tensor:
    digest = hashlib.sha256(key.encode() + boxes.contiguous().numpy().tobytes()).digest()
    return torch.tensor(list(digest), dtype=torch.uint8)


def _opencv_versions() -> str:
    """Return the installed versions of OpenCV with contributed modules."""
    versions = []
    for name in OPENCV:
        with suppress(importlib.metadata.PackageNotFoundError):
            versions.append(importlib.metadata.version(name))
    return " ".join(versions)


def _default_folder() -> Path:
    import platformdirs

    return Path(platformdirs.user_cache_dir("gvt", appauthor=False)) / "proposals"
