"""Run folders: `root/<recipe>/<time>`."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gvt.config.text import dump_yaml
from gvt.errors import UsageError
from gvt.files import make_folder, replacing, sync_folder

_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\.|$)", re.IGNORECASE)


@dataclass(frozen=True)
class RunFolder:
    """The files of a run.

    Attributes:
        path: The folder.
    """

    path: Path

    @classmethod
    def create(cls, root: Path, recipe: str) -> RunFolder:
        """Make a new folder, named by the time; also within one second a new one."""
        parent = root / _portable(recipe)
        make_folder(parent)
        stamp = time.strftime("%Y-%m-%d_%H-%M-%S")
        for number in range(1, 10_000):
            path = parent / (stamp if number == 1 else f"{stamp}_{number}")
            try:
                path.mkdir()
            except FileExistsError:
                continue
            sync_folder(parent)
            return cls(path)
        raise UsageError(f"{parent}: ten thousand runs began this second")

    @classmethod
    def latest(cls, root: Path) -> RunFolder:
        """Return the run that was last started or resumed.

        Raises:
            UsageError: If there is none.
        """
        found = list(root.glob("*/*/config.yaml"))
        if not found:
            raise UsageError(f"no run under {str(root)!r}; start one: gvt run RECIPE")
        return cls(max(found, key=lambda path: path.stat().st_mtime_ns).parent)

    @property
    def config(self) -> Path:
        """The resolved configuration, in YAML."""
        return self.path / "config.yaml"

    @property
    def environment(self) -> Path:
        """Versions, device and plugins, in JSON."""
        return self.path / "environment.json"

    @property
    def metrics(self) -> Path:
        """A JSON object a line: losses, evaluations, and where the run was resumed."""
        return self.path / "metrics.jsonl"

    @property
    def samples(self) -> Path:
        """Sheets of pictures, by name and step."""
        return self.path / "samples"

    @property
    def losses_plot(self) -> Path:
        """The curves of losses and metrics."""
        return self.path / "losses.png"

    @property
    def scatter_plot(self) -> Path:
        """The losses of two phases against each other, where a task has two."""
        return self.path / "scatter.png"

    @property
    def data(self) -> Path:
        """A sheet of training samples as the networks see them, with their targets."""
        return self.path / "data.png"

    @property
    def evaluations(self) -> Path:
        """Of each held-out split its last evaluation: numbers, tables, worst mistakes."""
        return self.path / "evaluation"

    @property
    def report(self) -> Path:
        """All of this on one page, for a browser."""
        return self.path / "report.html"

    @property
    def progress(self) -> Path:
        """One picture of every sheet, over the run."""
        return self.path / "progress.png"

    @property
    def checkpoints(self) -> Path:
        """`last.safetensors`, `best.safetensors` and numbered ones."""
        return self.path / "checkpoints"

    def describe(self, config: Mapping[str, Any], environment: Mapping[str, Any]) -> None:
        """Write what runs, and on what."""
        with replacing(self.config) as file:
            file.write(dump_yaml(dict(config)).encode())
        with replacing(self.environment) as file:
            file.write((json.dumps(environment, indent=2) + "\n").encode())

    def check_links(self, *folders: Path) -> None:
        """Check that what is written into folders of this run is written there.

        Args:
            folders: Some of its folders; all of them unless given.

        Raises:
            UsageError: If one is a symbolic link, as an unpacked run may have them.
        """
        for folder in folders or (self.checkpoints, self.samples, self.evaluations):
            if folder.is_symlink():
                raise UsageError(
                    f"{folder}: is a symbolic link, which a run does not write through; put the "
                    "folder itself there"
                )


def _portable(name: str) -> str:
    """Return a name that is valid on Windows, too."""
    safe = re.sub(r"[^A-Za-z0-9._-]", "_", name).strip(". ") or "run"
    return f"_{safe}" if _RESERVED.match(safe) else safe
