"""The content of a run folder: how the run stands, its settings and its numbers."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from gvt import Evaluation, UsageError
from gvt.config import parse_yaml, read_yaml
from gvt.loop import Figure, from_document
from gvt.runs import Log, RunFolder, guessed, read_log

_TIME = re.compile(r"(\d{4}-\d\d-\d\d)_(\d\d)-(\d\d)-(\d\d)(?:_(\d+))?").fullmatch


@dataclass(frozen=True)
class Number:
    """The last value of a figure.

    Attributes:
        step: Steps done by then.
        value: The value.
        figure: What it measures.
    """

    step: int
    value: float
    figure: Figure


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
        last: The last number of each name, from the log or a later evaluation.
        unreadable: Files there that cannot be read, with the reason.
    """

    folder: RunFolder
    recipe: str
    time: str
    config: str
    settings: Mapping[str, str]
    environment: Mapping[str, str]
    log: Log
    last: Mapping[str, Number]
    unreadable: list[tuple[str, str]]

    @property
    def outcome(self) -> str:
        """How it ended; `running` also if it was killed."""
        return "running" if self.log.ending is None else str(self.log.ending.get("outcome"))

    @property
    def standing(self) -> str:
        """How it stands, in a line."""
        step, ending = self.log.step, self.log.ending
        if ending is None:
            written = f"the last step written down is {step:,}"
            return f"Running, or killed: {written if step else 'no step is written down yet'}."
        words = {"success": "Finished", "interrupt": "Interrupted", "failure": "Failed"}
        word, early = words.get(self.outcome, self.outcome), ending.get("stopped_early")
        took = timedelta(seconds=round(ending.get("seconds", 0)))
        total = f"{ending.get('total_steps', 0):,}"
        return f"{word} at step {step:,} of {total}, after {took}{f': {early}' * bool(early)}."

    @property
    def error(self) -> str:
        """What it failed with."""
        ending = self.log.ending or {}
        return str(ending.get("error") or "") if self.outcome == "failure" else ""

    @property
    def resume(self) -> str:
        """The command that resumes it; empty for a run that is complete."""
        if self.outcome == "success":
            return ""
        written = (self.log.ending or {}).get("resume")
        return str(written or shlex.join(["gvt", "resume", str(self.folder.path)]))


def summarise(folder: RunFolder) -> Summary:
    """Return what is known of a run.

    Raises:
        UsageError: If the folder is not a run's.
        ConfigError: If its config.yaml is not YAML.
    """
    if not folder.config.is_file():
        raise UsageError(
            f"{str(folder.path)!r} is no run: it has no {folder.config.name}; "
            "name a folder such as runs/RECIPE/TIME"
        )
    text = read_yaml(folder.config, str(folder.config))
    config = parse_yaml(text, str(folder.config))
    path = folder.path.resolve()
    at = _TIME(path.name)
    evaluations, unreadable = _evaluations(folder.evaluations)
    classes = next((found.classes for *_, found in evaluations[::-1] if found.classes), ())
    log = read_log(folder.metrics, classes)
    return Summary(
        folder=folder,
        recipe=str(
            (config.get("recipe") if isinstance(config, Mapping) else "") or path.parent.name
        ),
        time=f"{at[1]} {at[2]}:{at[3]}:{at[4]}{f' ({at[5]})' * bool(at[5])}" if at else path.name,
        config=text,
        settings=dict(_flat(config)),
        environment=_environment(folder.environment),
        log=log,
        last=_last(log, evaluations, classes),
        unreadable=unreadable,
    )


def _last(
    log: Log, evaluations: Sequence[tuple[str, int, Evaluation]], classes: Sequence[str]
) -> dict[str, Number]:
    """Return the last number of each name.

    An evaluation of a later step than the log's last does not count: it is of weights that the
    run has since gone back behind.
    """
    last = {name: Number(*points[-1], log.figures[name]) for name, points in log.curves.items()}
    for split, step, found in evaluations:
        for name, (metric, value) in zip(found.named(split), found.metrics.items(), strict=True):
            if (last[name].step if name in last else 0) <= step <= log.step:
                last[name] = Number(
                    step, value, found.figures.get(metric) or guessed(name, classes)
                )
    return last


def _evaluations(
    folder: Path,
) -> tuple[list[tuple[str, int, Evaluation]], list[tuple[str, str]]]:
    """Return (split, step, evaluation) of what is in a folder, and what cannot be read there."""
    evaluations, unreadable = [], []
    for path in sorted(folder.glob("*.json")):
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
            # What is not finite is null, which is all that JSON has for it.
            values = {n: float("nan" if v is None else v) for n, v in document["metrics"].items()}
            classes = tuple(map(str, document.get("classes", ())))
            figures = from_document(document.get("figures"))
            found = Evaluation(values, classes=classes, figures=figures)
            evaluations.append((str(document["split"]), int(document["step"]), found))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            unreadable.append((str(path), f"{type(error).__name__}: {error}"))
    return evaluations, unreadable


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
