"""Errors that a person caused or can mend: one clear line, and the exit code that goes with it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class GvtError(Exception):
    """Something went wrong that the message explains: what, where and what to do.

    Attributes:
        exit_code: What the command line exits with (1: the run failed, 2: wrong usage).
        details: Further text, such as a plugin's traceback, shown below the line.
    """

    exit_code = 1

    def __init__(self, message: str, *, details: str = "") -> None:
        super().__init__(message)
        self.details = details


class UsageError(GvtError):
    """The command, the recipe or an argument is wrong; nothing has been started."""

    exit_code = 2


class UnknownComponent(UsageError):
    """Nobody offers a component of this kind and name."""


class AmbiguousComponent(UsageError):
    """Two plugins offer the same kind and name."""


class BrokenComponent(GvtError):
    """A component exists, but the code behind it cannot be imported."""


def nearest(name: str, candidates: Iterable[str]) -> str:
    """Return `"; did you mean 'x' or 'y'?"` for the closest candidates, or an empty string."""
    pool = sorted(set(candidates))
    close = difflib.get_close_matches(name, pool, n=3, cutoff=0.6)
    # `mnist` is not close to `gan.mnist` by edit distance, but it is what a person types first.
    close += [c for c in pool if c not in close and name and name in c.replace("_", ".").split(".")]
    if not close:
        return ""
    return "; did you mean " + " or ".join(repr(c) for c in close[:3]) + "?"
