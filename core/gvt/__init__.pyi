"""The public names of gvt for type checkers; `__init__.py` imports them when they are used."""

from gvt.batch import (
    Batch as Batch,
    Frame as Frame,
    Record as Record,
    Sample as Sample,
    Targets as Targets,
)
from gvt.config import (
    DataConfig as DataConfig,
    EvaluateConfig as EvaluateConfig,
    OptimizerConfig as OptimizerConfig,
    PathText as PathText,
    RunConfig as RunConfig,
    Section as Section,
    TrainConfig as TrainConfig,
    compose as compose,
)
from gvt.config.parameters import PassedTo as PassedTo
from gvt.config.pretrained import restoring as restoring
from gvt.data import Loader as Loader
from gvt.device.placement import Placement as Placement
from gvt.errors import (
    CheckpointError as CheckpointError,
    ConfigError as ConfigError,
    DataError as DataError,
    GvtError as GvtError,
    HookError as HookError,
    Interrupted as Interrupted,
    NonFiniteError as NonFiniteError,
    OutOfMemoryError as OutOfMemoryError,
    ProcessError as ProcessError,
    RunInUseError as RunInUseError,
    UsageError as UsageError,
)
from gvt.heads.metrics import StackedMetric as StackedMetric
from gvt.heads.multihead import MultiHead as MultiHead
from gvt.heads.vocabulary import Vocabulary as Vocabulary
from gvt.interfaces import (
    Backbone as Backbone,
    Curves as Curves,
    Dataset as Dataset,
    Discriminator as Discriminator,
    Generator as Generator,
    Head as Head,
    Loss as Loss,
    Metric as Metric,
    Phase as Phase,
    Step as Step,
    Task as Task,
    TrainingLoop as TrainingLoop,
)
from gvt.loop.evaluation import Evaluation as Evaluation, evaluate as evaluate
from gvt.loop.listener import Listener as Listener, Run as Run
from gvt.loop.trainer import Trainer as Trainer
from gvt.runs.display import Display as Display
from gvt.seeding import derive as derive, random_source as random_source
from gvt.session.additions import add_head as add_head, save as save
from gvt.session.api import resume as resume, run as run
from gvt.session.build import create as create
from gvt.session.judging import evaluate_checkpoint as evaluate_checkpoint
from gvt.session.opened import Opened as Opened, open as open
from gvt.session.saved import load as load, sample as sample
from gvt.vision.layers import Dropout as Dropout
from gvt.vision.pictures.reader import PictureReader as PictureReader
from gvt_registry import Component as Component, Registry

_registry: Registry

__version__: str
register = _registry.register
