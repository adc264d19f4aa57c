"""The checkpoints that are merged, and the names of their heads."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from gvt import MultiHead, Opened, UsageError
from gvt.config import CODE
from gvt.printable import printable
from gvt.session import PathLike

Checkpoint = PathLike | Opened

_NAMED = re.compile(r"([^=/\\.]+)=(.+)", re.DOTALL)

_OF_HEADS = ("weights", "weighting", "share")
"""Parameters of the task `heads` that can be merged."""


@dataclass(eq=False)
class Source:
    """A checkpoint whose heads are merged.

    Attributes:
        name: Name for its head, or a prefix for those of several; empty if they keep theirs.
        opened: The checkpoint.
    """

    name: str
    opened: Opened

    @property
    def label(self) -> str:
        """Its path, for messages."""
        return printable(self.opened.checkpoint)

    @cached_property
    def task(self) -> MultiHead:
        """The task with its weights, on the CPU."""
        task = self.opened.load()
        assert isinstance(task, MultiHead)  # by `check`
        return task

    @property
    def heads(self) -> dict[str, str]:
        """The name of each of its heads in the merged task."""
        heads = self.opened.config.heads
        if len(heads) == 1:
            return {head: self.name or head for head in heads}
        return {head: self.renamed(head) for head in heads}

    def renamed(self, name: str) -> str:
        """Return the name of one of several heads, or parts of its data, in the merged task."""
        return f"{self.name}_{name}" if self.name else name

    def check(self) -> None:
        """Check that it is a checkpoint of the task `heads` with a backbone of a recipe.

        Raises:
            UsageError: If it is not.
        """
        config, built = self.opened.config, self.opened.built
        if self.opened.checkpoint is None:
            raise UsageError(f"{config.recipe} is a recipe; merge takes runs and checkpoints")
        if config.task.name != "heads" and not isinstance(built, MultiHead):
            raise UsageError(
                f"{self.label}: its task is {config.task.name}; only heads of the task heads can "
                "be merged"
            )
        for name, value in config.task.parameters.items():
            if name not in _OF_HEADS and value is not None:
                raise UsageError(f"{self.label}: task.{name} is {value}; it cannot be merged")
        if config.backbone is None or config.backbone.name == CODE:
            raise UsageError(
                f"{self.label}: backbone: was built in code, so that no recipe describes it; train "
                "the heads on a backbone that a plugin offers"
            )
        for name, head in config.heads.items():
            if head.name == CODE and built is None:
                raise UsageError(
                    f"{self.label}: heads.{name}: was built in code, so that no recipe describes "
                    "it; merge what gvt.open(PATH, task=...) returns, with the task built again"
                )


def sources_of(
    checkpoints: Sequence[Checkpoint] | Mapping[str, Checkpoint], *, averaged: bool
) -> list[Source]:
    """Open checkpoints, and check that their heads can be told apart.

    Raises:
        UsageError: If there are not two different ones, one is not of the task `heads`, or two
            heads have one name.
        CheckpointError: If one is missing or damaged.
    """
    sources = [
        Source(name, of if isinstance(of, Opened) else Opened.of_checkpoint(of, averaged=averaged))
        for name, of in _named(checkpoints)
    ]
    if len(sources) < 2:
        raise UsageError(f"merge takes at least two checkpoints, not {len(sources)}")
    by_head: dict[str, Source] = {}
    files: set[Path] = set()
    for source in sources:
        source.check()
        assert source.opened.checkpoint is not None  # by `check`
        if (file := source.opened.checkpoint.resolve()) in files:
            raise UsageError(f"{source.label} is given twice; give each one once")
        files.add(file)
        for head in source.heads.values():
            if head in by_head:
                raise UsageError(
                    f"two heads are called {printable(head)}, in {by_head[head].label} and in "
                    f"{source.label}; name one of them: NAME={source.label}"
                )
            by_head[head] = source
    return sources


def _named(checkpoints: Any) -> Iterator[tuple[str, Checkpoint]]:
    """Yield checkpoints, each with its name or an empty text."""
    if isinstance(checkpoints, Mapping):
        yield from checkpoints.items()
        return
    for checkpoint in checkpoints:
        named = None
        if isinstance(checkpoint, str) and not Path(checkpoint).exists():
            named = _NAMED.fullmatch(checkpoint)
        yield (named[1], named[2]) if named else ("", checkpoint)
