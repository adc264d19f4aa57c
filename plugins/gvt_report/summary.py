"""What the folder of a run says of it: how it stands, its settings and numbers."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from gvt import Evaluation, UsageError
from gvt.config import parse_yaml, read_yaml
from gvt.runs import Log, RunFolder, read_log

Numbers = dict[str, tuple[int, float]]
"""(step, value) by name."""

_TIME = re.compile(r"(\d{4}-\d\d-\d\d)_(\d\d)-(\d\d)-(\d\d)(?:_(\d+))?").fullmatch


@dataclass(frozen=True)
class Summary:
    """What is known of a run.

    Attributes:
        folder: The folder.
        recipe: Its recipe's name.
        time: When it began, for people.
        config: Its `config.yaml`.
        settings: The same, flat, by dotted paths.
        environment: What it computed on, likewise.
        log: Its `metrics.jsonl`.
        evaluated: The numbers in `evaluation/`, by split and metric.
        classes: Names of the classes, as evaluations have them.
        unreadable: Files there that cannot be read, with the reason.
    """

    folder: RunFolder
    recipe: str
    time: str
    config: str
    settings: Mapping[str, str]
    environment: Mapping[str, str]
    log: Log
    evaluated: Numbers
    classes: tuple[str, ...]
    unreadable: list[tuple[str, str]]

    @property
    def last(self) -> Numbers:
        """The last number of each name, be it of the log or of a later evaluation."""
        last = {name: points[-1] for name, points in self.log.curves.items()}
        later = {n: p for n, p in self.evaluated.items() if n not in last or p[0] >= last[n][0]}
        return last | later

    @property
    def outcome(self) -> str:
        """How it ended; `running` also if it was killed."""
        return "running" if self.log.ending is None else str(self.log.ending.get("outcome"))

    @property
    def standing(self) -> str:
        """How it stands, in a line."""
        ending = self.log.ending
        if ending is None:
            written = (
                f"the last step written down is {self.log.step:,}"
                if self.log.step
                else ("no step is written down yet")
            )
            return f"Running, or killed: {written}."
        words = {"success": "Finished", "interrupt": "Interrupted", "failure": "Failed"}
        word = words.get(self.outcome, self.outcome)
        took = timedelta(seconds=round(ending.get("seconds", 0)))
        early = ending.get("stopped_early")
        return (
            f"{word} at step {self.log.step:,} of {ending.get('total_steps', 0):,}, after {took}"
            + (f": {early}." if early else ".")
        )

    @property
    def error(self) -> str:
        """What it failed with."""
        if self.outcome != "failure" or self.log.ending is None:
            return ""
        return str(self.log.ending.get("error") or "")

    @property
    def resume(self) -> str:
        """The command that goes on with it; nothing for one that is complete."""
        if self.outcome == "success":
            return ""
        written = (self.log.ending or {}).get("resume")
        return str(written or shlex.join(["gvt", "resume", str(self.folder.path)]))


def summarise(folder: RunFolder) -> Summary:
    """Return what is known of a run.

    Raises:
        UsageError: If the folder is no run.
        ConfigError: If its config.yaml is no YAML.
    """
    if not folder.config.is_file():
        raise UsageError(
            f"{str(folder.path)!r} is no run: it has no {folder.config.name}; "
            "name a folder such as runs/RECIPE/TIME"
        )
    text = read_yaml(folder.config, str(folder.config))
    config = parse_yaml(text, str(folder.config))
    recipe = config.get("recipe") if isinstance(config, Mapping) else None
    name = folder.path.resolve().name
    at = _TIME(name)
    time = name if at is None else f"{at[1]} {at[2]}:{at[3]}:{at[4]}{f' ({at[5]})' * bool(at[5])}"
    log = read_log(folder.metrics)
    evaluated, classes, unreadable = _evaluated(folder.evaluations, log.step)
    return Summary(
        folder,
        str(recipe or folder.path.resolve().parent.name),
        time,
        text,
        dict(_flat(config)),
        _environment(folder.environment),
        log,
        evaluated,
        classes,
        unreadable,
    )


def _evaluated(folder: Path, until: int) -> tuple[Numbers, tuple[str, ...], list[tuple[str, str]]]:
    """Return the numbers of evaluations, the names of the classes, and files without either.

    One of a later step is of weights that the run has since gone back behind, and counts no more.
    """
    found: Numbers = {}
    classes: tuple[str, ...] = ()
    unreadable = []
    for path in sorted(folder.glob("*.json")):
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
            split, step = str(document["split"]), int(document["step"])
            # What is not finite is null, which is all that JSON has for it.
            values = {n: float("nan" if v is None else v) for n, v in document["metrics"].items()}
            classes = tuple(map(str, document.get("classes", ()))) or classes
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            unreadable.append((str(path), f"{type(error).__name__}: {error}"))
            continue
        if step <= until:
            found |= {n: (step, v) for n, v in Evaluation(values).named(split).items()}
    return found, classes, unreadable


def _environment(path: Path) -> dict[str, str]:
    try:
        return dict(_flat(json.loads(path.read_text(encoding="utf-8"))))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        return {path.name: f"cannot be read: {error}"}


def _flat(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield every leaf by its dotted path, as text; lists are leaves."""
    if isinstance(value, Mapping) and value:
        for key, part in value.items():
            yield from _flat(part, f"{path}.{key}" if path else str(key))
    elif path:
        yield path, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
