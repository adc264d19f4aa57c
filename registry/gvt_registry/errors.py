"""Errors that a user can correct, each with one clear line and an exit code."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class GvtError(Exception):
    """An error whose message says what is wrong, where, and what to do.

    Attributes:
        exit_code: Exit code of the command line (1: the run failed, 2: wrong usage).
        details: Further text, such as the traceback of a plugin, that is printed as well.
    """

    exit_code = 1

    def __init__(self, message: str, *, details: str = "") -> None:
        super().__init__(message)
        self.details = details

    def _render_traceback_(self) -> list[str]:
        """Return the lines that a notebook shows instead of a traceback."""
        return [*self.details.splitlines(), f"{type(self).__name__}: {self}"]


class UsageError(GvtError):
    """The command, the recipe or an argument is wrong, and no run has started."""

    exit_code = 2


class UnknownComponent(UsageError):
    """No plugin offers a component of this kind and name."""


class AmbiguousComponent(UsageError):
    """Two plugins offer a component of the same kind and name."""


class BrokenComponent(GvtError):
    """A component exists, but its code cannot be imported."""


def nearest(name: str, candidates: Iterable[str]) -> str:
    """Return `"; did you mean 'x' or 'y'?"` for the closest candidates, or an empty string."""
    pool = sorted(set(candidates))
    close = difflib.get_close_matches(name, pool, n=3, cutoff=0.6)
    # `mnist` is not close to `gan.mnist` by edit distance, but is what a user types first.
    close += [c for c in pool if c not in close and name and name in c.replace("_", ".").split(".")]
    return f"; did you mean {' or '.join(map(repr, close[:3]))}?" if close else ""
