"""Read all samples of a recipe's data once: `gvt data check`."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence

from gvt import ConfigError, DataError, DataInfo, Dataset, RunConfig, compose
from gvt.config import signature_of
from gvt.session import open_dataset, splits_of, validate_components
from gvt.vision.pictures import UnreadablePicture
from gvt_registry import default_registry

from .contents import Contents, contents_of
from .table import table, truncated

Errors = Mapping[str, ConfigError | DataError]
"""The errors of the splits that could not be opened, by name of the split."""


def check(recipe: str, overrides: Sequence[str]) -> str:
    """Read every sample of every split once, and return a table of the contents.

    A data set with a parameter `on_error` is opened with `error`, so that no problem is skipped
    silently. If that fails and the data set reports `problems`, it is opened with `skip`, or with
    the recipe's own `on_error` if that is not `error`. Below the table are splits that do not
    exist, classes that never occur, and remarks on the image files. Files that are not images are
    counted.

    Raises:
        ConfigError: If no split can be opened because of a setting.
        DataError: If no split can be opened because of the data, samples cannot be read, training
            would stop at a problem, or the training split has no targets. If any split was opened,
            the table is in the error's details.
    """
    strict, lenient, stops = _configured(recipe, overrides)
    validate_components(strict)
    splits: dict[str, Contents] = {}
    classes: Sequence[str] = ()
    errors: dict[str, ConfigError | DataError] = {}
    for split in splits_of(strict):
        try:
            dataset = _opened(strict, lenient, split)
        except (ConfigError, DataError) as error:
            errors[split] = error
            continue
        splits[split] = contents_of(dataset, split)
        classes = classes or splits[split].info.classes
    if not splits:
        raise next(iter(errors.values()))
    report = table(splits, classes, _notes(splits, classes, errors))
    if objection := _objection(splits, errors, stops, strict.data.name):
        raise DataError(objection, details=report)
    return report


def _notes(splits: Mapping[str, Contents], classes: Sequence[str], errors: Errors) -> list[str]:
    # The advice behind the semicolon does not apply here.
    notes = [f"{split}: left out, {str(e).partition(';')[0]}" for split, e in errors.items()]
    for split, contents in splits.items():
        notes += [f"{split}: {remark}" for remark in contents.remarks]
        missing = contents.missing(classes)
        notes += truncated([f"{split}: class {name} never occurs" for name in missing])
        for kind, places in contents.problems.items():
            notes += truncated([f"{split}: {kind}: {place}" for place in places])
    return notes + [e.details for e in errors.values() if e.details]


def _objection(splits: Mapping[str, Contents], errors: Errors, stops: bool, name: str) -> str:
    """Return why a data set cannot be used for training; empty if it can.

    Args:
        splits: Contents of the splits that were opened.
        errors: Errors of the other splits.
        stops: Whether training would stop at a problem.
        name: Name of the data set.
    """
    if unreadable := sum(len(contents.unreadable) for contents in splits.values()):
        return f"{name}: {unreadable} samples cannot be read"
    if broken := [split for split, e in errors.items() if isinstance(e, UnreadablePicture)]:
        return f"{name}: unreadable images in {' and '.join(broken)}"
    problems = sum(len(places) for s in splits.values() for places in s.problems.values())
    if problems and stops:
        return f"{name}: bad annotations or images: {problems:,}; data.on_error is error"
    if isinstance(errors.get("train"), DataError):
        return str(errors["train"])
    if "train" in splits and (lacks := splits["train"].info.lacks):
        kind, advice = next(iter(lacks.items()))
        return f"{name}: no sample of the training split has any {kind}: {advice}"
    return ""


def _configured(recipe: str, overrides: Sequence[str]) -> tuple[RunConfig, RunConfig, bool]:
    """Return the strict and the lenient configuration, and whether training stops at a problem."""
    config = compose(recipe, overrides)
    declared, _ = signature_of(default_registry().find("dataset", config.data.name).load())
    if "on_error" not in declared:
        return config, config, False
    stops = config.data.parameters.get("on_error", declared["on_error"].default) == "error"
    strict = compose(recipe, [*overrides, "data.on_error=error"])
    lenient = compose(recipe, [*overrides, "data.on_error=skip"]) if stops else config
    return strict, lenient, stops


def _opened(strict: RunConfig, lenient: RunConfig, split: str) -> Dataset:
    """Return a split, opened strictly if possible, else leniently if it reports `problems`.

    Its warnings are shown, except for those of `problems`, which are in the table.
    """
    with warnings.catch_warnings(record=True) as messages:
        warnings.simplefilter("always")
        try:
            dataset = open_dataset(strict, split, quiet=True)
        except DataError:
            messages.clear()
            dataset = open_dataset(lenient, split, quiet=True)
            if DataInfo.of(dataset).problems is None:
                raise
    in_table = bool(DataInfo.of(dataset).problems)
    for warning in messages:
        if not in_table or warning.category is not UserWarning:
            warnings.warn_explicit(
                warning.message, warning.category, warning.filename, warning.lineno
            )
    return dataset
