"""The content of a run folder: the status of the run, its settings and its numbers."""

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
from gvt.loop import Figure
from gvt.runs import RunFolder
from gvt_report.log import Log, from_document, guessed, read_log

_TIME = re.compile(r"(\d{4}-\d\d-\d\d)_(\d\d)-(\d\d)-(\d\d)(?:_(\d+))?").fullmatch


@dataclass(frozen=True)
class Number:
    """The last value of a figure.

    Attributes:
        step: Number of training steps.
        value: The value.
        figure: The kind and the class of the figure.
    """

    step: int
    value: float
    figure: Figure


@dataclass(frozen=True)
class Summary:
    """The content of a run folder.

    Attributes:
        folder: The folder.
        recipe: Name of the recipe.
        time: Start time, formatted for people.
        config: The text of `config.yaml`.
        settings: The values of `config.yaml` by dotted path.
        environment: The values of `environment.json` by dotted path.
        log: The content of `metrics.jsonl`.
        last: The last number of each name, from the log or a later evaluation.
        unreadable: Files in the folder that cannot be read, with the reason.
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
        """The outcome of the run; `running` also if it was killed."""
        return "running" if self.log.ending is None else str(self.log.ending.get("outcome"))

    @property
    def standing(self) -> str:
        """The status of the run in one line."""
        step, ending = self.log.step, self.log.ending
        if ending is None:
            progress = f"the last logged step is {step:,}" if step else "no step is logged yet"
            return f"Running, or killed: {progress}."
        words = {"success": "Finished", "interrupt": "Interrupted", "failure": "Failed"}
        word, early = words.get(self.outcome, self.outcome), ending.get("stopped_early")
        took = timedelta(seconds=round(ending.get("seconds", 0)))
        total = f"{ending.get('total_steps', 0):,}"
        return f"{word} at step {step:,} of {total}, after {took}{f': {early}' * bool(early)}."

    @property
    def error(self) -> str:
        """The error that the run failed with; empty if it did not fail."""
        ending = self.log.ending or {}
        return str(ending.get("error") or "") if self.outcome == "failure" else ""

    @property
    def resume(self) -> str:
        """The command that resumes the run; empty if it is complete."""
        if self.outcome == "success":
            return ""
        command = (self.log.ending or {}).get("resume")
        return str(command or shlex.join(["gvt", "resume", str(self.folder.path)]))


def summarise(folder: RunFolder) -> Summary:
    """Read the content of a run folder.

    Raises:
        UsageError: If the folder is not a run folder.
        ConfigError: If its config.yaml is not YAML.
    """
    if not folder.config.is_file():
        raise UsageError(
            f"{str(folder.path)!r} is not a run folder: it has no {folder.config.name}; "
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

    An evaluation of a later step than the last one of the log is left out: the run was resumed
    from an earlier step.
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
    """Return (split, step, evaluation) of each file in a folder, and the unreadable files."""
    evaluations, unreadable = [], []
    for path in sorted(folder.glob("*.json")):
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
            # Values that are not finite are null in JSON.
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
    """Yield the dotted path and the text of every leaf; lists are leaves."""
    if isinstance(value, Mapping) and value:
        for key, part in value.items():
            yield from _flat(part, f"{path}.{key}" if path else str(key))
    elif path:
        yield path, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
