"""Which words of a text decided its class."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gvt import Batch, Placement, Task, UsageError
from gvt.predictions import by_head

from .reader import PADDING, UNKNOWN, TextReader, places_in

_LEAST = 1e-6
"""Least probability of a class whose odds are computed."""


@dataclass(frozen=True)
class Influence:
    """The class that a head predicts for a text, and the words that decided.

    Attributes:
        label: Index of the class.
        score: Its probability.
        places: Start and end of each word in the text.
        gains: (M,), what each word adds to the log odds of the class, in the order of the words;
            NaN for those before the last ones, which the model does not read.
    """

    label: int
    score: float
    places: list[tuple[int, int]]
    gains: Tensor


@torch.no_grad()
def influences(
    task: Task, placement: Placement, reader: TextReader, text: str
) -> dict[str, Influence]:
    """Return the influence of the words of a text on each head that predicts its class.

    The influence of a word is what the log odds of the predicted class lose if it is replaced by an
    unknown word. It does not depend on how the model computes.

    Args:
        task: The task, in eval mode, on its device.
        placement: The device and the precision.
        reader: Its text reader.
        text: The text.

    Raises:
        UsageError: If no head predicts a class.
    """
    tokens = reader.tokens([text])[0]
    rows = (tokens != PADDING).nonzero().flatten()
    without = tokens.repeat(len(rows), 1)
    without[torch.arange(len(rows)), rows] = UNKNOWN
    batch = Batch({"tokens": torch.cat([tokens[None], without]).to(placement.device)})
    with placement.autocast():
        predictions = [by_head(prediction) for prediction in task.predict(batch)]
    found = {}
    places = places_in(text)
    for head, first in predictions[0].items():
        if "class" not in first:
            continue
        label = int(first["class"])
        scores = torch.stack([p[head]["scores"][label].float().cpu() for p in predictions])
        odds = scores.clamp(_LEAST, 1 - _LEAST).logit()
        gains = torch.full((len(places),), torch.nan)
        if len(rows):
            gains[-len(rows) :] = odds[0] - odds[1:]
        found[head] = Influence(label, float(scores[0]), places, gains)
    if not found:
        raise UsageError("no head of this model predicts a class, so no words decide it")
    return found
