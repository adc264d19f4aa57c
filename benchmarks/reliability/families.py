"""Small runs of each family, whose state has everything that a resumed run needs."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

COMMON = (
    "train.steps=8",
    "train.checkpoint_every=2",
    "train.keep=2",
    "train.precision=float32",
    "data.workers=0",
)
_SCENES = (
    "data.count=40",
    "data.held_out=8",
    "data.size=48",
    "data.digit_size=[20,34]",
    "data.batch_size=4",
)

FAMILIES: dict[str, tuple[str, ...]] = {
    "gan.mnist": (
        *("data.classes=[5]", "data.batch_size=16", "generator.width=8", "discriminator.width=8"),
        *("train.pictures_every=4", "train.ema.decay=0.9"),
    ),
    "classify.mnist": (
        *("data.holdout=59000", "data.batch_size=32", "heads.digit.dropout=0.3"),
        *("evaluate.every=4", "evaluate.final=null", "train.ema.decay=0.9"),
    ),
    "segment.scenes": (*_SCENES, "backbone.width=8", "evaluate.every=4"),
    "detect.scenes": (*_SCENES, "evaluate.every=4"),
    "multi.scenes": (*_SCENES, "evaluate.every=4"),
}
"""Overrides by recipe."""


def overrides(recipe: str, root: Path) -> list[str]:
    """Return the overrides of a run of a family, below a folder."""
    return [*FAMILIES[recipe], *COMMON, f"run.root={root}"]


def forked(work: Callable[[], object], log: Path) -> int:
    """Run a function in a child process, and return the child's process ID.

    The child exits with 0, or with 1 and the error in the log. It inherits the imports, so a kill
    at a random time hits the run and not the start of Python.
    """
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        os.setsid()
        warnings.showwarning = _one_line
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)
        work()
        status = 0
    except BaseException as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
    finally:
        os._exit(status)


def _one_line(message: Warning | str, *_: Any, **__: Any) -> None:
    print(f"warning: {message}", file=sys.stderr, flush=True)


def same_tensors(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> bool:
    """Return whether both have the same names and bits."""
    return one.keys() == other.keys() and all(one[name].equal(other[name]) for name in one)
