"""`gvt data check`: all data of a recipe, read once."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress

from gvt.config import RunConfig, compose
from gvt.config.parameters import signature_of
from gvt.data_info import DataInfo
from gvt.errors import ConfigError, DataError
from gvt.interfaces import Dataset
from gvt.session.build import open_dataset, splits_of, validate_components
from gvt.vision.pictures.reading import UnreadablePicture
from gvt_registry import default_registry

from .contents import Contents, contents_of
from .table import named, table

Errors = Mapping[str, ConfigError | DataError]
"""Why a split could not be opened, by its name."""


def check(recipe: str, overrides: Sequence[str]) -> str:
    """Read every sample of every split once, and return a table of what is there.

    A data set with a parameter `on_error` is opened with `error`, since one that leaves out what
    it cannot read has nothing to be counted. Where that fails, one that reports `problems` is
    opened with `skip`, unless the recipe chooses another way to continue. A split that does not
    exist is a line below the table, and so is a class that never occurs, and what is easily
    overlooked in image files. Files beside the images that are not read are counted.

    Raises:
        ConfigError: If no split can be opened because of a setting.
        DataError: If no split can be opened because of the data, samples cannot be read, there
            are problems at which training would stop, or there is nothing to learn from. If any
            split was opened, its details are the table.
    """
    ways, stops = _configured(recipe, overrides)
    config = ways[0]
    validate_components(config)
    splits: dict[str, Contents] = {}
    classes: Sequence[str] = ()
    errors: dict[str, ConfigError | DataError] = {}
    for split in splits_of(config):
        try:
            dataset = _opened(ways, split)
        except (ConfigError, DataError) as error:
            errors[split] = error
            continue
        splits[split] = contents_of(dataset, split)
        classes = classes or splits[split].info.classes
    if not splits:
        raise next(iter(errors.values()))
    report = table(splits, classes, _notes(splits, classes, errors))
    if objection := _objection(splits, errors, stops, config.data.name):
        raise DataError(objection, details=report)
    return report


def _notes(splits: Mapping[str, Contents], classes: Sequence[str], errors: Errors) -> list[str]:
    # After its semicolon an error says what to do, and here nothing need be done.
    notes = [f"{split}: left out, {str(e).partition(';')[0]}" for split, e in errors.items()]
    for split, contents in splits.items():
        notes += [f"{split}: {remark}" for remark in contents.remarks]
        missing = contents.missing(classes)
        notes += named([f"{split}: class {name} never occurs" for name in missing])
        for kind, places in contents.problems.items():
            notes += named([f"{split}: {kind}: {place}" for place in places])
    return notes + [e.details for e in errors.values() if e.details]


def _objection(splits: Mapping[str, Contents], errors: Errors, stops: bool, name: str) -> str:
    """Return what is wrong with the data set `name`, an empty text if nothing is.

    `stops` says whether training would stop at a problem.
    """
    if unreadable := sum(len(contents.unreadable) for contents in splits.values()):
        return f"{name}: {unreadable} samples cannot be read"
    if broken := [split for split, e in errors.items() if isinstance(e, UnreadablePicture)]:
        return f"{name}: pictures of {' and '.join(broken)} are broken"
    problems = sum(len(places) for s in splits.values() for places in s.problems.values())
    if problems and stops:
        return f"{name}: bad annotations or images: {problems:,}; data.on_error is error"
    if isinstance(errors.get("train"), DataError):
        return str(errors["train"])
    if "train" in splits and (lacks := splits["train"].info.lacks):
        kind, advice = next(iter(lacks.items()))
        return f"{name}: no image of the training split has any {kind}: {advice}"
    return ""


def _configured(recipe: str, overrides: Sequence[str]) -> tuple[list[RunConfig], bool]:
    """Return the ways to open the data, in their order, and whether training would stop."""
    config = compose(recipe, overrides)
    declared, _ = signature_of(default_registry().find("dataset", config.data.name).load())
    if "on_error" not in declared:
        return [config], False
    strict = compose(recipe, [*overrides, "data.on_error=error"])
    stops = config.data.parameters.get("on_error", declared["on_error"].default) == "error"
    return [strict, compose(recipe, [*overrides, "data.on_error=skip"]) if stops else config], stops


def _opened(ways: Sequence[RunConfig], split: str) -> Dataset:
    """Return a split, and show its warnings, except for those of `problems`: the table has them.

    Where it cannot be opened with all that is bad, it is opened without, if it reports that.
    """
    strict, *lenient = ways
    try:
        dataset, caught = _with_warnings(strict, split)
    except DataError:
        for config in lenient:
            with suppress(DataError):
                dataset, caught = _with_warnings(config, split)
                if DataInfo.of(dataset).problems is not None:
                    break
        else:
            raise
    listed = bool(DataInfo.of(dataset).problems)
    for warning in caught:
        if not listed or warning.category is not UserWarning:
            warnings.warn_explicit(
                warning.message, warning.category, warning.filename, warning.lineno
            )
    return dataset


def _with_warnings(
    config: RunConfig, split: str
) -> tuple[Dataset, Sequence[warnings.WarningMessage]]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        return open_dataset(config, split, quiet=True), caught
