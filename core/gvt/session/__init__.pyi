"""Public names of `gvt.session`, each with its module; imported when first used."""

from .build import (
    build_task as build_task,
    check_split as check_split,
    open_dataset as open_dataset,
    splits_of as splits_of,
    validate_components as validate_components,
)
from .finding import PathLike as PathLike, find_run as find_run
from .judging import Judged as Judged, check_classes as check_classes, split_of as split_of
