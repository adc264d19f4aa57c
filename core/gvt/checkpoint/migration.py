"""Documents of older checkpoints, as they would be written today."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gvt.config.recorded import with_unrecorded


def migrated(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a checkpoint's document with the parameters that it was written without.

    Format 1 recorded those parameters alone that a recipe gave; all others were the defaults of
    that time. A component whose default has changed since says what it was, in `gvt_unrecorded`.
    A document that records everything comes back unchanged.

    Raises:
        ConfigError: If its configuration does not fit the schema.
    """
    return {**document, "config": with_unrecorded(document["config"])}
