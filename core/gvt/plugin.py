"""The components of the core, which it offers as a plugin."""

from gvt_registry import Component, hookimpl


@hookimpl
def gvt_components() -> list[Component]:
    """Offer the supervised task, and its default weighting."""
    heads = "Heads on one backbone, each with the targets that it needs"
    fixed = "Sum of the losses of all heads, with the factors of task.weights"
    return [
        Component("task", "heads", "gvt.heads.multihead:MultiHead", summary=heads),
        Component("weighting", "fixed", "gvt.interfaces:Weighting", summary=fixed),
    ]
