"""A plugin and its state."""

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
        distribution: Name of its distribution; the path of a file.
        version: Version of the distribution, empty for a file.
        state: `ok`, `broken`, `blocked` or `incompatible`.
        problem: Reason why it is not ok, in one line.
        details: The full traceback, if there is one.
        warnings: Problems of a plugin that works, such as a misspelled hook.
        load_seconds: Duration of its import.
        module: The imported plugin, if it is ok.
        api: Version of the plugin API that it was written for, from `gvt_api`; the current one by
            default, None before the import.
        path: Its file, if it was loaded from one and not from an installed distribution.
        sha256: SHA-256 of the file, which has no version.
        point: Its entry point, if it has one.
        left_out: Whether it is blocked only because the plugins to import do not include it.
        muted: Names of its hooks that are not called again, since they raised.
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
        """The distribution and its version, for display."""
        return f"{self.distribution} {self.version}".strip()

    def warn(self, text: str) -> None:
        """Record a warning, unless it is recorded already."""
        if text not in self.warnings:
            self.warnings.append(text)

    def fail(self, error: BaseException, state: str = "broken") -> None:
        """Record the error because of which the plugin cannot be used."""
        text = " ".join(str(error).split())
        self.state, self.module = state, None
        self.problem = f"{type(error).__name__}: {text}" if text else type(error).__name__
        self.details = "".join(traceback.format_exception(error))
