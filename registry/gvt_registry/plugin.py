"""One plugin, and what became of it."""

from __future__ import annotations

import traceback
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any


@dataclass
class Plugin:
    """A plugin: an entry point, or a file.

    Attributes:
        name: Name of its entry point, or of its file.
        distribution: The distribution that it comes from; for a file its path.
        version: Version of the distribution, empty for a file.
        state: `ok`, `broken`, `blocked` or `incompatible`.
        problem: Why it is not ok, in one line.
        details: The full traceback, where there is one.
        warnings: What is wrong with a plugin that works, such as a misspelled hook.
        load_seconds: How long its import took.
        module: The imported plugin, once it is ok.
        api: Version of the plugin API that it was written for, once it is imported; ours if it
            does not say.
        path: Its file, if it was loaded from one and not from an installed distribution.
        sha256: The file's SHA-256, since it has no version.
        point: Its entry point, if it has one.
        left_out: It is blocked only in that others alone are wanted.
    """

    name: str
    distribution: str
    version: str = ""
    state: str = "ok"
    problem: str = ""
    details: str = ""
    warnings: list[str] = field(default_factory=list)
    load_seconds: float = 0.0
    module: Any = None
    api: Any = None
    path: Path | None = None
    sha256: str = ""
    point: EntryPoint | None = field(default=None, repr=False)
    left_out: bool = False
    muted: set[str] = field(default_factory=set, repr=False)

    @property
    def origin(self) -> str:
        """The distribution and its version, for people."""
        return f"{self.distribution} {self.version}".strip()

    def warn(self, text: str) -> None:
        """Record what is wrong with a plugin that works, once."""
        if text not in self.warnings:
            self.warnings.append(text)

    def fail(self, error: BaseException, state: str = "broken") -> None:
        """Record why this plugin cannot be used."""
        text = " ".join(str(error).split())
        self.state, self.module = state, None
        self.problem = f"{type(error).__name__}: {text}" if text else type(error).__name__
        self.details = "".join(traceback.format_exception(error))
