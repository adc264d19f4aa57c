"""The six detectors side by side, in Markdown, from the seconds of detectors.py."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median, quantiles

LIKE = "faster_rcnn"
"""The detector that the others are compared with."""

SEARCH = "selective_search"
WAYS = ("train", "predict")


def detectors_table(command: str, seconds: Mapping[str, Sequence[float]]) -> str:
    """Return a table of training and prediction, and what the three generations are worth.

    Args:
        command: What measured it.
        seconds: An image of each round, by `detector/train`, `detector/predict` and
            `selective_search`.
    """
    names = [side.removesuffix("/train") for side in seconds if side.endswith("/train")]
    lines = [
        f"`python benchmarks/{command}`: milliseconds an image, and how many times those of "
        f"`{LIKE}` in the same round; medians with quartiles.",
        "",
        "| detector | training step, ms | ratio | prediction, ms | ratio |",
        "| --- | --- | --- | --- | --- |",
    ]
    for name in names:
        cells = [
            cell
            for way in WAYS
            for cell in _cells(seconds[f"{name}/{way}"], seconds[f"{LIKE}/{way}"])
        ]
        lines.append(f"| `{name}` | {' | '.join(cells)} |")
    return "\n".join([*lines, "", _generations(seconds)])


def _cells(own: Sequence[float], like: Sequence[float]) -> tuple[str, str]:
    milliseconds = _spread([1000 * second for second in own], ".0f")
    return milliseconds, _spread(_ratios(own, like), ".2f")


def _generations(seconds: Mapping[str, Sequence[float]]) -> str:
    """Return the ratios of the three generations in predictions, without and with the search."""
    rcnn, fast, faster = (
        seconds[f"{name}/predict"] for name in ("rcnn", "fast_rcnn", "faster_rcnn")
    )
    search = seconds[SEARCH]
    found = []
    for what, given in (("without", [0.0] * len(search)), ("with", search)):
        of_rcnn, of_fast = (
            [own + other for own, other in zip(side, given, strict=True)] for side in (rcnn, fast)
        )
        found.append(
            f"{what} selective search R-CNN takes {_spread(_ratios(of_rcnn, of_fast), '.1f')} "
            f"times as long as Fast R-CNN, and that {_spread(_ratios(of_fast, faster), '.1f')} "
            "times as long as Faster R-CNN"
        )
    milliseconds = _spread([1000 * second for second in search], ".0f")
    return f"Selective search takes {milliseconds} ms an image. In predictions, {'; '.join(found)}."


def _ratios(own: Sequence[float], like: Sequence[float]) -> list[float]:
    return [one / other for one, other in zip(own, like, strict=True)]


def _spread(values: Sequence[float], form: str) -> str:
    """Return a median with its quartiles."""
    low, _, high = quantiles(values, n=4) if len(values) > 1 else [values[0]] * 3
    return f"{median(values):{form}} ({low:{form}} to {high:{form}})"
