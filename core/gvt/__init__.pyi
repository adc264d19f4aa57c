"""Public names of gvt, each with its module; imported when first used."""

from .batch import (
    IGNORED as IGNORED,
    Batch as Batch,
    Frame as Frame,
    Record as Record,
    Sample as Sample,
    Targets as Targets,
)
from .components import Component as Component, register as register
from .config import (
    DataConfig as DataConfig,
    EvaluateConfig as EvaluateConfig,
    OptimizerConfig as OptimizerConfig,
    PathText as PathText,
    RunConfig as RunConfig,
    Section as Section,
    TrainConfig as TrainConfig,
    compose as compose,
)
from .config.parameters import PassedTo as PassedTo
from .config.pretrained import restoring as restoring
from .data.loading import Loader as Loader
from .data_info import DataInfo as DataInfo
from .device.placement import Placement as Placement
from .errors import (
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
from .fields import Field as Field, Shown as Shown
from .heads.metrics import StackedMetric as StackedMetric
from .heads.multihead import MultiHead as MultiHead
from .heads.vocabulary import Vocabulary as Vocabulary
from .interfaces import (
    Backbone as Backbone,
    Curves as Curves,
    Dataset as Dataset,
    Discriminator as Discriminator,
    FileDataset as FileDataset,
    Generator as Generator,
    Head as Head,
    Loss as Loss,
    Metric as Metric,
    MixedDataset as MixedDataset,
    Prediction as Prediction,
    ResidentDataset as ResidentDataset,
    Weighting as Weighting,
)
from .loop.evaluation import Evaluation as Evaluation, Mistake as Mistake, evaluate as evaluate
from .loop.listener import Listener as Listener, Run as Run
from .loop.trainer import Trainer as Trainer
from .runs.display import Display as Display
from .seeding import (
    derive as derive,
    random_source as random_source,
    seed_everything as seed_everything,
    seeded as seeded,
)
from .session.api import resume as resume, run as run
from .session.component import create as create
from .session.judging import evaluate_checkpoint as evaluate_checkpoint
from .session.opened import Opened as Opened, open as open
from .session.saved import load as load
from .task import (
    Deployed as Deployed,
    Phase as Phase,
    Step as Step,
    Task as Task,
    TrainingLoop as TrainingLoop,
)
from .tools import Explainer as Explainer, Exporter as Exporter
from .vision.layers import Dropout as Dropout
from .vision.pictures.reader import PictureReader as PictureReader

__version__: str
