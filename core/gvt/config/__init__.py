"""Recipes and their validated configuration."""

from gvt.config.compose import compose, load_recipe, recipe_text
from gvt.config.parameters import declaring, signature_of, type_hints
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
from gvt.config.text import dump_yaml, parse_yaml, read_yaml

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
    "declaring",
    "dump_yaml",
    "load_recipe",
    "parse_yaml",
    "read_yaml",
    "recipe_text",
    "signature_of",
    "type_hints",
    "unrecorded",
]
