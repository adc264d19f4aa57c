"""The Markdown table of the six detectors, from the seconds of detectors.py."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median, quantiles

LIKE = "faster_rcnn"
"""The detector that the others are compared with."""

SEARCH = "selective_search"
WAYS = ("train", "predict")


def detectors_table(command: str, seconds: Mapping[str, Sequence[float]]) -> str:
    """Return a table of training and prediction, and a comparison of the three generations.

    Args:
        command: The command that measured the seconds.
        seconds: Seconds for each image, by round, of `detector/train`, `detector/predict` and
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


def _cells(seconds: Sequence[float], reference: Sequence[float]) -> tuple[str, str]:
    milliseconds = _spread([1000 * second for second in seconds], ".0f")
    return milliseconds, _spread(_ratios(seconds, reference), ".2f")


def _generations(seconds: Mapping[str, Sequence[float]]) -> str:
    """Return the ratios of the three generations' predictions, without and with the search."""
    rcnn, fast, faster = (
        seconds[f"{name}/predict"] for name in ("rcnn", "fast_rcnn", "faster_rcnn")
    )
    search = seconds[SEARCH]
    sentences = []
    for word, extra in (("without", [0.0] * len(search)), ("with", search)):
        rcnn_times, fast_times = (
            [a + b for a, b in zip(times, extra, strict=True)] for times in (rcnn, fast)
        )
        rcnn_ratio = _spread(_ratios(rcnn_times, fast_times), ".1f")
        fast_ratio = _spread(_ratios(fast_times, faster), ".1f")
        sentences.append(
            f"{word} selective search R-CNN takes {rcnn_ratio} times as long as Fast R-CNN, and "
            f"that {fast_ratio} times as long as Faster R-CNN"
        )
    milliseconds = _spread([1000 * second for second in search], ".0f")
    return (
        f"Selective search takes {milliseconds} ms an image. In predictions, "
        f"{'; '.join(sentences)}."
    )


def _ratios(seconds: Sequence[float], reference: Sequence[float]) -> list[float]:
    return [one / other for one, other in zip(seconds, reference, strict=True)]


def _spread(values: Sequence[float], form: str) -> str:
    """Return a median with its quartiles."""
    low, _, high = quantiles(values, n=4) if len(values) > 1 else [values[0]] * 3
    return f"{median(values):{form}} ({low:{form}} to {high:{form}})"
