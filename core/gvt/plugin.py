"""The components of the core, which it offers as a plugin."""

from gvt_registry import Component, hookimpl


@hookimpl
def gvt_components() -> list[Component]:
    """Offer the supervised task."""
    summary = "Heads on one backbone, each with the targets that it needs"
    return [Component("task", "heads", "gvt.heads.multihead:MultiHead", summary=summary)]
