"""From a recipe and overrides to a validated configuration, before any data is read."""

from gvt.config.compose import compose, load_recipe, recipe_text
from gvt.config.parameters import signature_of
from gvt.config.paths import PathText
from gvt.config.recorded import unrecorded
from gvt.config.schema import (
    BatchSize,
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
from gvt.config.text import dump, parse, read

__all__ = [
    "BatchSize",
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
    "dump",
    "load_recipe",
    "parse",
    "read",
    "recipe_text",
    "signature_of",
    "unrecorded",
]
