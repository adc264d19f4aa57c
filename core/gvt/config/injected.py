"""Parameters of a component's constructor that gvt fills in by name."""

from __future__ import annotations

NETWORKS = ("generator", "discriminator", "backbone")
"""Networks with a section of their own in a recipe, named after their kind.

All others are in `networks`. Every network is passed to the task.
"""

_OF_IMAGES = ("image_shape", "image_channels", "data_range")
_OF_CLASSES = ("num_classes", "background", "class_counts")
_OF_DATA = (*_OF_IMAGES, *_OF_CLASSES, "reader")

FACTS = (*_OF_DATA, "feature_info")
"""Parameters whose values follow from the data or the backbone."""

INJECTED: dict[str, frozenset[str]] = {
    "dataset": frozenset({"split", "reader"}),
    **{network: frozenset(_OF_DATA) for network in NETWORKS},
    "network": frozenset(FACTS),
    "head": frozenset(FACTS),
    "task": frozenset({*FACTS, *NETWORKS, "heads", "vocabularies"}),
    "optimizer": frozenset({"params"}),
    "schedule": frozenset({"optimizer"}),
    "transform": frozenset({"num_classes"}),
}
"""Parameters that a recipe cannot give, by kind of component."""
