"""Run folders: `root/<recipe>/<time>`."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from gvt.config.text import dump_yaml
from gvt.errors import UsageError
from gvt.files import make_folder, replacing, sync_folder

_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\.|$)", re.IGNORECASE)


class RunFolder:
    """The files of a run.

    Args:
        path: Path of the folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        """The folder."""
        self.config: Path = path / "config.yaml"
        """The resolved configuration, in YAML."""
        self.environment: Path = path / "environment.json"
        """Versions, device and plugins, in JSON."""
        self.metrics: Path = path / "metrics.jsonl"
        """A JSON object a line: losses, evaluations, and where the run was resumed."""
        self.samples: Path = path / "samples"
        """What the task shows, by name and step: sheets of images, sounds, texts."""
        self.losses_plot: Path = path / "losses.png"
        """The plot of losses and metrics."""
        self.scatter_plot: Path = path / "scatter.png"
        """The losses of two phases against each other, if a task has two."""
        self.data: Path = path / "data.png"
        """A sheet of training samples as the model gets them, with their targets; `data.txt`,
        `data.wav` and so on if they are not images."""
        self.evaluations: Path = path / "evaluation"
        """The last evaluation of each held-out split: metrics, tables, worst mistakes."""
        self.report: Path = path / "report.html"
        """The report of the run, as one page for a browser."""
        self.progress: Path = path / "progress.png"
        """One image of every sheet, over the run."""
        self.checkpoints: Path = path / "checkpoints"
        """`last.safetensors`, `best.safetensors` and numbered ones."""

    @classmethod
    def create(cls, root: Path, recipe: str) -> RunFolder:
        """Create a new folder, named by the time; within one second, with a number, too."""
        parent = root / _portable(recipe)
        make_folder(parent)
        stamp = time.strftime("%Y-%m-%d_%H-%M-%S")
        for number in range(1, 10_000):
            path = parent / (stamp if number == 1 else f"{stamp}_{number}")
            with suppress(FileExistsError):
                path.mkdir()
                sync_folder(parent)
                return cls(path)
        raise UsageError(f"{parent}: ten thousand runs began this second")

    @classmethod
    def latest(cls, root: Path) -> RunFolder:
        """Return the run that was last started or resumed.

        Raises:
            UsageError: If there is none.
        """
        if (newest := cls.newest(root)) is None:
            raise UsageError(f"no run under {str(root)!r}; start one: gvt run RECIPE")
        return newest

    @classmethod
    def newest(cls, root: Path, recipe: str | None = None) -> RunFolder | None:
        """Return the run that was last started or resumed, of one recipe or of any; or None."""
        recipes = "*" if recipe is None else _portable(recipe)
        configs = root.glob(f"{recipes}/*/config.yaml")
        newest = max(configs, key=lambda path: path.stat().st_mtime_ns, default=None)
        return None if newest is None else cls(newest.parent)

    def describe(self, config: Mapping[str, Any], environment: Mapping[str, Any]) -> None:
        """Write the configuration and the environment of the run."""
        with replacing(self.config) as file:
            file.write(dump_yaml(dict(config)).encode())
        with replacing(self.environment) as file:
            file.write((json.dumps(environment, indent=2) + "\n").encode())

    def check_links(self, *folders: Path) -> None:
        """Check that folders of this run are not links to other places.

        Args:
            folders: Some of its folders; all of them by default.

        Raises:
            UsageError: If one is a symbolic link, as in an unpacked run it may be.
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
