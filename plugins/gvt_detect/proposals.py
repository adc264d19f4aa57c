"""A data set with proposals: computed once for each picture, and kept."""

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
"""Another one where a proposer's boxes are other ones, so that nobody reads the old ones."""

OPENCV = ("opencv-contrib-python-headless", "opencv-contrib-python")
"""What selective search may come with."""


class WithProposals:
    """Another data set's samples, each with boxes that may hold an object.

    They are `inputs["proposals"]`, (P, 4) float32 xyxy in pixels of the image, for Fast R-CNN and
    R-CNN, which would otherwise search each picture anew in each epoch. What is found is kept in a
    folder by the content of the picture and OpenCV's version, so that other runs, and other data
    sets of the same pictures in the same size, find it again; a file that is damaged is made anew.
    `windows` are not kept, since they are made faster than read.

    Its splits are `train`, `val` and `test`, those of them that the other data set has. It has the
    `info` of that one, and its files, but not its whole tensors, which have no proposals.

    Args:
        split: Of the other data set, which has been opened with it.
        of: The other data set.
        proposer: What makes proposals: `selective_search` (Uijlings and others, 2013, from
            gvt[selective-search]), `selective_search_quality`, its thorough form, or `windows` of
            several sizes all over the picture.
        most: Most proposals of an image.
        cache: The folder where they are kept; one of gvt's in the user's cache unless given.
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
        self.folder = _usual_folder() if cache is None else Path(cache)
        self._opencv = _versions()

    @staticmethod
    def gvt_example(folder: Path) -> dict[str, Any]:
        """Return a small one to try, which needs no OpenCV."""
        import gvt

        scenes = gvt.create("dataset", "scenes", split="train", count=8, size=48)
        return {"of": scenes, "proposer": "windows", "most": 50, "cache": str(folder)}

    def __len__(self) -> int:
        return len(self.of)

    def __getitem__(self, index: int) -> Sample:
        """Return a sample with its proposals.

        Raises:
            ConfigError: If OpenCV's contributed modules are not installed, or the image is neither
                grey nor RGB, and selective search is asked for.
            DataError: If what was computed cannot be kept.
        """
        sample = self.of[index]
        return replace(sample, inputs={**sample.inputs, "proposals": self._proposals(sample)})

    def _proposals(self, sample: Sample) -> Tensor:
        if self.proposer == "windows":
            return proposals_in(sample.image, self.proposer, self.most)
        key = self._key(sample.image)
        path = self.folder / key[:2] / f"{key}.safetensors"
        boxes = kept(path, key)
        if boxes is None:
            boxes = proposals_in(sample.image, self.proposer, self.most)
            keep(path, key, boxes)
        return boxes

    def _key(self, image: Tensor) -> str:
        """Return what is another one for other pixels or settings, 64 hexadecimal digits."""
        pixels = image.detach().cpu().contiguous()
        search = f"{FORMAT} {self._opencv} {self.proposer} {self.most}"
        said = f"{search} {tuple(pixels.shape)} {pixels.dtype} "
        return hashlib.sha256(said.encode() + pixels.numpy().tobytes()).hexdigest()


def keep(path: Path, key: str, boxes: Tensor) -> None:
    """Write proposals, (P, 4) float32, to a file; another process may do the same meanwhile.

    Raises:
        DataError: If they cannot be written.
    """
    tensors = {"boxes": boxes, "digest": _digest(key, boxes)}
    temporary = path.with_name(f".{uuid4().hex}")  # each writer's own
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            temporary.write_bytes(safetensors.torch.save(tensors))
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise DataError(
            f"data.cache: proposals cannot be kept in {str(path.parent.parent)!r}: "
            f"{error.strerror or error}; name another folder"
        ) from error


def kept(path: Path, key: str) -> Tensor | None:
    """Return the proposals of a file, (P, 4) float32; None where there are none or it is damaged.

    Args:
        path: The file.
        key: What they are of.
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
    found = hashlib.sha256(key.encode() + boxes.contiguous().numpy().tobytes()).digest()
    return torch.tensor(list(found), dtype=torch.uint8)


def _versions() -> str:
    """Return the versions of OpenCV that are installed with contributed modules."""
    found = []
    for name in OPENCV:
        with suppress(importlib.metadata.PackageNotFoundError):
            found.append(importlib.metadata.version(name))
    return " ".join(found)


def _usual_folder() -> Path:
    import platformdirs

    return Path(platformdirs.user_cache_dir("gvt", appauthor=False)) / "proposals"
