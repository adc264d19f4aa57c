"""Random numbers as functions of the seed of a run and the place of the draw.

There is therefore no random state to save: a run that is resumed at step N draws the same numbers
as an uninterrupted run.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch


def derive(seed: int, *place: int | str) -> int:
    """Return the seed for one place, such as `derive(seed, "sample", epoch, index)`.

    The seeds of neighbouring places are unrelated, unlike those of `seed + index`.
    """
    digest = hashlib.blake2b(repr((seed, *place)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1  # torch takes signed 64-bit seeds


def random_source(seed: int, *place: int | str) -> torch.Generator:
    """Return a generator on the CPU for the draws at one place; see `derive`."""
    return torch.Generator().manual_seed(derive(seed, *place))


def seed_everything(seed: int, device: torch.device | None = None) -> None:
    """Seed the default generator of torch, that of a device, NumPy's global one and `random`.

    It is called at each step, and takes a tenth of the time of `torch.manual_seed`, which looks for
    every kind of accelerator (0.1 ms if there is none).
    """
    torch.default_generator.manual_seed(seed)
    if device is not None and device.type != "cpu":
        torch.get_device_module(device).manual_seed(seed)
    np.random.seed(seed % 2**32)
    random.seed(seed)


@contextmanager
def seeded(seed: int, device: torch.device | None = None) -> Iterator[None]:
    """Seed all generators inside the context, and restore those of torch afterwards.

    Those of NumPy and `random` are not restored, since the loop seeds them at each step.
    `torch.random.fork_rng` takes fifty times as long, too long for each sample.

    Args:
        seed: Seed of the generators.
        device: Accelerator whose generator is seeded and restored, too.
    """
    cpu = torch.default_generator
    cpu_state = cpu.get_state()
    if device is not None and device.type != "cpu":
        accelerator: Any = torch.get_device_module(device)
        arguments = () if device.type == "mps" else (device,)
        state = accelerator.get_rng_state(*arguments)
    seed_everything(seed, device)
    try:
        yield
    finally:
        cpu.set_state(cpu_state)
        if device is not None and device.type != "cpu":
            accelerator.set_rng_state(state, *arguments)
