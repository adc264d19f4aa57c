"""Public names of `gvt.config`, each with its module; imported when first used."""

from .compose import (
    compose as compose,
    load_recipe as load_recipe,
    recipe_text as recipe_text,
    validate as validate,
)
from .injected import NETWORKS as NETWORKS
from .made import (
    CODE as CODE,
    Made as Made,
    made_of as made_of,
    same_facts as same_facts,
    section_of_made as section_of_made,
)
from .networks import networks_of as networks_of
from .parameters import (
    declaring as declaring,
    signature_of as signature_of,
    type_hints as type_hints,
)
from .paths import PathText as PathText, expanded as expanded
from .pretrained import built_for as built_for
from .recorded import unrecorded as unrecorded, with_defaults as with_defaults
from .schema import (
    BatchSize as BatchSize,
    Cadence as Cadence,
    ComponentConfig as ComponentConfig,
    DataConfig as DataConfig,
    EmaConfig as EmaConfig,
    EvaluateConfig as EvaluateConfig,
    HeadConfig as HeadConfig,
    OptimizerConfig as OptimizerConfig,
    RunConfig as RunConfig,
    Section as Section,
    TrainConfig as TrainConfig,
)
from .text import dump_yaml as dump_yaml, parse_yaml as parse_yaml, read_yaml as read_yaml
