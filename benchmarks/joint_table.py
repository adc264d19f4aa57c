"""The Markdown tables of heads that learn alone and together."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from statistics import mean, median
from typing import Any

Heads = Mapping[str, tuple[str, ...]]
"""The metrics of each head, all of them better if larger."""

Results = dict[str, dict[str, dict[str, dict[str, Any]]]]
"""By mix, number of steps ("" for the recipe's) and row: `command`, and `seeds` with numbers."""

Numbers = Mapping[str, float]

MISSING = "-"


def joint_table(results: Results, heads: Mapping[str, Heads]) -> str:
    """Return the tables of all mixes and numbers of steps.

    Args:
        results: The results.
        heads: The heads of each mix.
    """
    parts = []
    for mix, by_steps in results.items():
        for steps, rows in by_steps.items():
            title = f"**{mix}**, {f'{int(steps):,} steps' if steps else 'steps of the recipe'}"
            parts += [title, "", _table(rows, heads[mix]), "", _commands(rows), ""]
    return "\n".join(parts).rstrip()


def compared(joint: Numbers, alone: Numbers, heads: Heads) -> tuple[float, float]:
    """Return the mean relative change in percent, and the worst difference in points.

    The relative change of a head is the mean of those of its metrics, so each head counts once. A
    point is a hundredth of a metric.

    Args:
        joint: The metrics of all heads together, as `HEAD/METRIC`.
        alone: The metrics of each head alone.
        heads: The heads.

    Returns:
        Both are NaN if a metric is missing; the change is NaN if one was 0 alone.
    """
    names = {head: [f"{head}/{metric}" for metric in of] for head, of in heads.items()}
    if not {n for of in names.values() for n in of} <= joint.keys() & alone.keys():
        return math.nan, math.nan
    changes = {
        n: (joint[n] - alone[n]) / alone[n] if alone[n] else math.nan
        for of in names.values()
        for n in of
    }
    delta = mean(mean(changes[n] for n in of) for of in names.values())
    return 100 * delta, 100 * min(joint[n] - alone[n] for n in changes)


def _table(rows: Mapping[str, Any], heads: Heads) -> str:
    """Return the table of a mix: a row for each head alone, and for each way to combine them."""
    metrics = [f"{head}/{metric}" for head, of in heads.items() for metric in of]
    columns = ["learned", *metrics, "delta m, %", "worst, points", "seconds", "step", "seeds"]
    lines = [f"| {' | '.join(columns)} |", f"|{' --- |' * len(columns)}"]
    for name, row in rows.items():
        seeds: Mapping[str, Numbers] = row["seeds"]
        cells = [_cell([s[m] for s in seeds.values() if m in s], ".3f") for m in metrics]
        pairs = [] if _is_alone(name) else _pairs(rows, seeds, heads)
        cells += [_cell((pair[place] for pair in pairs), "+.1f") for place in (0, 1)]
        cells.append(_cell([s["seconds"] for s in seeds.values()], ".0f"))
        cells.append(_cell(_step_ratios(rows, seeds), ".2f"))
        lines.append(f"| {' | '.join([name, *cells, str(len(seeds))])} |")
    return "\n".join(lines)


def _pairs(
    rows: Mapping[str, Any], seeds: Mapping[str, Numbers], heads: Heads
) -> list[tuple[float, float]]:
    """Return the comparisons with the heads alone, for each seed that all of them have."""
    singles = [row["seeds"] for name, row in rows.items() if _is_alone(name)]
    pairs = []
    for seed, joint in seeds.items():
        alone = {k: v for single in singles for k, v in single.get(seed, {}).items() if "/" in k}
        pairs.append(compared(joint, alone, heads))
    return pairs


def _step_ratios(rows: Mapping[str, Any], seeds: Mapping[str, Numbers]) -> list[float]:
    """Return the duration of a step as a multiple of the slowest one alone of the same seed."""
    singles = [row["seeds"] for name, row in rows.items() if _is_alone(name)]
    return [
        numbers["step_seconds"] / max(single[seed]["step_seconds"] for single in singles)
        for seed, numbers in seeds.items()
        if singles and all(seed in single for single in singles)
    ]


def _is_alone(name: str) -> bool:
    return name.endswith(" alone")


def _cell(values: Iterable[float], form: str) -> str:
    """Return the median of numbers, and their range if there are several."""
    numbers = [value for value in values if not math.isnan(value)]
    if not numbers:
        return MISSING
    middle = format(median(numbers), form)
    if len(numbers) == 1:
        return middle
    return f"{middle} ({format(min(numbers), form)} to {format(max(numbers), form)})"


def _commands(rows: Mapping[str, Any]) -> str:
    """Return the command of each row, without the seed."""
    return "\n".join(f"- {name}: `{row['command']}`" for name, row in rows.items())
