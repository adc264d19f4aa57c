"""Update the documents of older checkpoints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gvt.config.recorded import with_unrecorded


def migrated(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the document of a checkpoint, completed with the parameters that it lacks.

    Format 1 recorded only the parameters in the recipe; all others had their defaults. A component
    whose default has changed since gives the former one in `gvt_unrecorded`. A complete document
    is returned unchanged.

    Raises:
        ConfigError: If the configuration does not fit the schema.
    """
    return {**document, "config": with_unrecorded(document["config"])}
