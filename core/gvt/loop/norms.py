"""Errors of norm layers that get a single value for each channel."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from gvt.batch import Batch
from gvt.errors import ConfigError

_TORCH_ERROR = re.compile(
    r"Expected more than 1 (?P<what>value per channel|spatial element) when training, "
    r"got input size (torch\.Size\()?\[(?P<shape>[\d, ]+)\]"
)


@contextmanager
def explained_norms(micro_batches: Sequence[Batch]) -> Iterator[None]:
    """Replace torch's error for a single value for each channel by one that names the settings.

    Args:
        micro_batches: The batches of the training step inside the context.

    Raises:
        ConfigError: In place of torch's ValueError.
    """
    try:
        yield
    except (ValueError, RuntimeError) as error:  # RuntimeError is raised by compiled modules
        match = _TORCH_ERROR.search(str(error))
        if match is None or "image" not in micro_batches[0].inputs:
            raise
        images, (length, channels, *_) = micro_batches[0].images, match["shape"].split(",")
        share = "" if int(length) == len(images) else f", of which it gets {length}"
        height, width = images.shape[-2:]
        counts = f"{len(images)} image{'s' if len(images) > 1 else ''} of {height}x{width} pixels"
        kind, remedy = "an instance norm", "raise data.size"
        if match["what"] == "value per channel":
            kind = "a batch norm"
            remedy = (
                f"raise data.batch_size (now {len(images)}; train.accumulate does not help) or "
                "data.size"
            )
        raise ConfigError(
            f"{kind} gets one value for each of its {channels.strip()} channels, from a batch of "
            f"{counts}{share}: {remedy}, or choose a model that reduces images less or has "
            "another norm"
        ) from error
