"""`gvt data check`: all data of a recipe, read once."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence

from gvt import ConfigError, DataError, Dataset, RunConfig, compose
from gvt.config import signature_of
from gvt.session import open_dataset, splits_of, validate_components
from gvt.vision.pictures import UnreadablePicture
from gvt_registry import default_registry

from .contents import Contents, contents_of
from .table import named, table

Errors = Mapping[str, ConfigError | DataError]
"""Why a split could not be opened, by its name."""


def check(recipe: str, overrides: Sequence[str]) -> str:
    """Read every sample of every split once, and return a table of what is there.

    A data set with a parameter `on_error` is opened with `error`, since one that leaves out what
    it cannot read has nothing to be counted. One that reports `problems` is opened with `skip`,
    unless the recipe chooses another way to continue. A split that does not exist is a line below
    the table, and so is a class that never occurs, and what is easily overlooked in image files.
    Files beside the images that are not read are counted.

    Raises:
        ConfigError: If no split can be opened because of a setting.
        DataError: If no split can be opened because of the data, samples cannot be read, there
            are problems at which training would stop, or there is nothing to learn from. If any
            split was opened, its details are the table.
    """
    config, stops = _configured(recipe, overrides)
    validate_components(config)
    splits: dict[str, Contents] = {}
    classes: list[str] = []
    errors: dict[str, ConfigError | DataError] = {}
    for split in splits_of(config):
        try:
            dataset = _opened(config, split)
        except (ConfigError, DataError) as error:
            errors[split] = error
            continue
        classes = classes or [str(name) for name in dataset.classes]
        splits[split] = contents_of(dataset, split)
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
    if "train" in splits and (lacks := splits["train"].lacks):
        kind, advice = next(iter(lacks.items()))
        return f"{name}: no image of the training split has any {kind}: {advice}"
    return ""


def _configured(recipe: str, overrides: Sequence[str]) -> tuple[RunConfig, bool]:
    """Return a configuration with which bad data is reported, and whether training would stop."""
    config = compose(recipe, overrides)
    target = default_registry().find("dataset", config.data.name).load()
    declared, _ = signature_of(target)
    if "on_error" not in declared:
        return config, False
    stops = config.data.parameters.get("on_error", declared["on_error"].default) == "error"
    if hasattr(target, "problems"):
        return compose(recipe, [*overrides, "data.on_error=skip"]) if stops else config, stops
    return compose(recipe, [*overrides, "data.on_error=error"]), stops


def _opened(config: RunConfig, split: str) -> Dataset:
    """Return a split, and show its warnings, except for those of `problems`: the table has them."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        dataset = open_dataset(config, split, quiet=True)
    for warning in caught:
        listed = getattr(dataset, "problems", None) and warning.category is UserWarning
        if not listed:
            warnings.warn_explicit(
                warning.message, warning.category, warning.filename, warning.lineno
            )
    return dataset
