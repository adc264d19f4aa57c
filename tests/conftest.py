"""What several tests share."""

from __future__ import annotations

import os
from pathlib import Path

# The tests' networks are small, and several processes share few cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
import torch
from safetensors.torch import load_file


@pytest.fixture
def same_tensors():
    """Return a check that two checkpoints hold the same bits under the same names."""

    def check(one: Path, other: Path) -> None:
        first, second = load_file(one), load_file(other)
        assert first.keys() == second.keys()
        different = [n for n in first if not torch.equal(first[n], second[n])]
        assert not different

    return check
