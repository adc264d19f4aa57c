"""From a recipe and overrides to a validated configuration, before any data is read."""

from gvt.config.compose import compose, load_recipe
from gvt.config.paths import PathText
from gvt.config.schema import (
    Cadence,
    ComponentConfig,
    DataConfig,
    EmaConfig,
    EvaluateConfig,
    OptimizerConfig,
    RunConfig,
    Section,
    TrainConfig,
)

__all__ = [
    "Cadence",
    "ComponentConfig",
    "DataConfig",
    "EmaConfig",
    "EvaluateConfig",
    "OptimizerConfig",
    "PathText",
    "RunConfig",
    "Section",
    "TrainConfig",
    "compose",
    "load_recipe",
]
