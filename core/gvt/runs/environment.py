"""What a run computed on: versions, device, plugins."""

from __future__ import annotations

import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch

from gvt.device import Placement, name_of
from gvt_registry import default_registry

LIBRARIES = ("gvt", "torch", "torchvision", "torchmetrics", "safetensors", "numpy")


def environment(placement: Placement, processes: int = 1) -> dict[str, Any]:
    """Return what is needed to judge whether another run was computed alike."""
    return {
        "python": sys.version.split()[0],
        "platform": platform.platform(),
        "versions": library_versions(),
        "device": name_of(placement.device),
        "precision": placement.precision,
        "memory_format": placement.memory_format,
        "threads": torch.get_num_threads(),
        "processes": processes,
        "plugins": {p.name: p.origin for p in default_registry().plugins if p.state == "ok"},
    }


def library_versions() -> dict[str, str]:
    """Return the versions of the libraries that results depend on."""
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found
