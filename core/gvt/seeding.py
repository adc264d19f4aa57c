"""Every random draw of a run is a function of its seed and of where it is drawn.

There is therefore no random state to save: a run resumed at step N draws what the undisturbed
run drew at step N, whatever happened in between.
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
    """Return a seed for one place, such as `derive(seed, "sample", epoch, index)`.

    Neighbouring places get unrelated seeds, which `seed + index` would not give.
    """
    digest = hashlib.blake2b(repr((seed, *place)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1  # torch takes signed 64-bit seeds


def random_source(seed: int, *place: int | str) -> torch.Generator:
    """Return a generator, on the CPU, for what is drawn at one place; see `derive`."""
    return torch.Generator().manual_seed(derive(seed, *place))


def seed_everything(seed: int, device: torch.device | None = None) -> None:
    """Seed torch's default generator, that of a device, NumPy's old global one and `random`.

    `torch.manual_seed` asks after every kind of accelerator, which takes 0.1 ms where there is
    none; this takes a tenth of it, and is called at every step.
    """
    torch.default_generator.manual_seed(seed)
    if device is not None and device.type != "cpu":
        torch.get_device_module(device).manual_seed(seed)
    np.random.seed(seed % 2**32)
    random.seed(seed)


@contextmanager
def seeded(seed: int, device: torch.device | None = None) -> Iterator[None]:
    """Draw from every generator as seeded here, and leave torch's as they were.

    NumPy's and that of `random` are not put back: the loop seeds them anew at every step.

    Args:
        seed: What the generators start from inside.
        device: An accelerator whose own generator is seeded and restored as well.

    `torch.random.fork_rng` does the same at fifty times the price, too dear for every sample.
    """
    cpu = torch.default_generator
    before = cpu.get_state()
    if device is not None and device.type != "cpu":
        accelerator: Any = torch.get_device_module(device)
        which = () if device.type == "mps" else (device,)  # there is one, and it takes no name
        accelerator_before = accelerator.get_rng_state(*which)
    seed_everything(seed, device)
    try:
        yield
    finally:
        cpu.set_state(before)
        if device is not None and device.type != "cpu":
            accelerator.set_rng_state(accelerator_before, *which)
