"""Public names of `gvt.session`, each with its module; imported when first used."""

from .api import locked as locked
from .build import (
    build_task as build_task,
    check_split as check_split,
    offers_used as offers_used,
    open_dataset as open_dataset,
    part_of as part_of,
    splits_of as splits_of,
    validate_components as validate_components,
    vocabulary_of as vocabulary_of,
)
from .finding import PathLike as PathLike, find_run as find_run
from .judging import Judged as Judged, check_classes as check_classes, split_of as split_of
from .opened import PINNED as PINNED
from .saved import write_checkpoint as write_checkpoint
from .training import Given as Given, document_of as document_of, train as train
