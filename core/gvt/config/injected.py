"""What gvt fills into a component's constructor by name, and so is no configuration."""

from __future__ import annotations

NETWORKS = ("generator", "discriminator", "backbone")
"""Sections of a recipe that hold one network each, built before the task, which takes them."""

_OF_DATA = (
    "image_shape",
    "image_channels",
    "num_classes",
    "data_range",
    "background",
    "class_counts",
)

FACTS = (*_OF_DATA, "feature_info")
"""What follows from the data or the backbone."""

INJECTED: dict[str, frozenset[str]] = {
    "dataset": frozenset({"split"}),
    **{network: frozenset(_OF_DATA) for network in NETWORKS},
    "head": frozenset(FACTS),
    "task": frozenset({*FACTS, *NETWORKS, "heads", "vocabularies"}),
}
"""By the kind of component, the parameters that a recipe cannot give."""
