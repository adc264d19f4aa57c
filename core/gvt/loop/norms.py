"""Norms that have nothing to normalise, in words that name the settings."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from gvt.batch import Batch
from gvt.errors import ConfigError

_REFUSAL = re.compile(
    r"Expected more than 1 (?P<what>value per channel|spatial element) when training, "
    r"got input size (torch\.Size\()?\[(?P<shape>[\d, ]+)\]"
)


@contextmanager
def explained_norms(micro_batches: Sequence[Batch]) -> Iterator[None]:
    """Say in one line what to change if a norm inside gets a single value for each channel.

    Args:
        micro_batches: The batches of the training step inside.

    Raises:
        ConfigError: In place of torch's ValueError.
    """
    try:
        yield
    except (ValueError, RuntimeError) as error:  # of a compiled network it is the latter
        refusal = _REFUSAL.search(str(error))
        if refusal is None:
            raise
        images, (_, channels, *_) = micro_batches[0].images, refusal["shape"].split(",")
        taken = int(refusal["shape"].split(",")[0])
        of_batch = "" if taken == len(images) else f", of which it gets {taken}"
        height, width = images.shape[-2:]
        counts = f"{len(images)} image{'s' if len(images) > 1 else ''} of {height}x{width} pixels"
        kind, remedy = "an instance norm", "raise data.size"
        if refusal["what"] == "value per channel":
            kind = "a batch norm"
            remedy = (
                f"raise data.batch_size (now {len(images)}; train.accumulate does not help) or "
                "data.size"
            )
        raise ConfigError(
            f"{kind} gets one value for each of its {channels.strip()} channels, from a batch of "
            f"{counts}{of_batch}: {remedy}, or choose a model that reduces images less or has "
            "another norm"
        ) from error
