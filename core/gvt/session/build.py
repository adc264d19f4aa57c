"""Build the data set and the task of a configuration."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from gvt.config import ComponentConfig, RunConfig
from gvt.config.made import CODE
from gvt.config.networks import network_sections, networks_of, section_of
from gvt.config.parameters import (
    Unbuilt,
    components_in,
    paths_in,
    signature_of,
)
from gvt.config.paths import expanded
from gvt.config.pretrained import built_for
from gvt.config.recorded import all_sections, of_training, sections
from gvt.config.schema import HeadConfig
from gvt.data_info import DataInfo
from gvt.device.placement import Placement
from gvt.errors import ConfigError, DataError
from gvt.heads.vocabulary import Vocabulary
from gvt.interfaces import Dataset, FileDataset
from gvt.printable import printable
from gvt.session.component import built, check_has, checked, feature_info_of, find, splits_in
from gvt.task import Task
from gvt_registry import Offer, UnknownComponent, default_registry, nearest


def validate_components(
    config: RunConfig,
    trained_with: Mapping[str, str] | None = None,
    *,
    training: bool = True,
    in_code: bool = False,
) -> None:
    """Check the name and the parameters of every component, before any data is read.

    Args:
        config: Configuration of the run.
        trained_with: For a checkpoint, the distribution of each `kind:name` in training.
        training: Whether to check optimisers, schedules and transforms, too.
        in_code: Whether the task is given in code, and may have parts that no recipe describes.

    Raises:
        UnknownComponent: If no plugin offers one.
        BrokenComponent: If its code cannot be imported.
        ConfigError: If a parameter does not fit, or the task takes other networks.
    """
    with built_for(checkpoint=trained_with is not None):
        if not in_code:
            _check_networks(config, trained_with)
        for section, kind, component in all_sections(config):
            if component.name == CODE and (in_code or section == "data"):
                continue
            unbuilt = checked(section, kind, component, trained_with)
            if trained_with is None:  # otherwise its paths may not be read
                for place, path, about in paths_in(section, unbuilt):
                    expanded(place, path, about=about)  # an error if a variable is not set
    for key in ("split", "final"):
        split = getattr(config.evaluate, key)
        if split is not None and config.data.name != CODE:
            check_split(f"evaluate.{key}", config, split)
    if not training:
        return
    # Imported here, since it imports torchvision, which `gvt.load` does not need.
    from gvt.data.transforms import build_transforms
    from gvt.loop.optim import check_optimizer

    for section, kind, component in of_training(config) if trained_with else ():
        find(section, kind, component, trained_with)
    for key, optimizer in config.optimizers.items():
        check_optimizer(key, optimizer)
    build_transforms("data.transforms", config.data.transforms)
    build_transforms("data.batch_transforms", config.data.batch_transforms)


def paths_of(config: RunConfig, trained_with: Mapping[str, str]) -> dict[str, str]:
    """Return the paths in the configuration of a checkpoint, as written, by their dotted names."""
    with built_for(checkpoint=True):
        return {
            place: path
            for section, kind, component in sections(config)
            for place, path, _ in paths_in(section, checked(section, kind, component, trained_with))
        }


def placement_of(config: RunConfig, local_rank: int = 0) -> Placement:
    """Return the device, precision and memory format of a run, with `auto` resolved."""
    train = config.train
    layout = "contiguous" if train.shard and train.memory_format == "auto" else train.memory_format
    return Placement.resolve(config.device, train.precision, layout, train.compile, local_rank)


def splits_of(config: RunConfig) -> tuple[str, ...]:
    """Return the names of the splits that the data set of a run has."""
    return splits_in(find("data", "dataset", config.data).load())


def check_split(where: str, config: RunConfig, split: str) -> None:
    """Check that the data has a split.

    Raises:
        ConfigError: If it does not; the message begins with `where`.
    """
    check_has(where, config.data.name, splits_of(config), split)


def open_dataset(
    config: RunConfig, split: str, reader: Mapping[str, Any] | None = None, *, quiet: bool = False
) -> Dataset:
    """Open one split of the data.

    Warnings name what is easily overlooked in its image files; see `gvt.PictureReader.notes_on`.

    Args:
        config: Configuration of the run.
        split: Name of the split.
        reader: Document of the reader of the training data; None to open the training data itself.
        quiet: Whether to leave out these warnings.

    Raises:
        DataError: If the data is absent, damaged or empty.
        ConfigError: If a parameter does not fit, or there is no such split.
    """
    dataset = build_dataset(config, split, reader)
    if len(dataset) == 0:
        takes_root = "root" in signature_of(type(dataset))[0]
        lacks_root = takes_root and config.data.parameters.get("root") is None
        raise DataError(
            f"data: {config.data.name} has no samples in its split {split!r}"
            + "; give data.root" * lacks_root
        )
    if isinstance(dataset, FileDataset) and dataset.files and dataset.reader and not quiet:
        for note in dataset.reader.notes_on(dataset.files):
            warnings.warn(f"data: split {split}: {note}", stacklevel=2)
    return dataset


def build_dataset(
    config: RunConfig, split: str, reader: Mapping[str, Any] | None = None
) -> Dataset:
    """Build one split of the data as `open_dataset` does; it may be empty, without warnings."""
    unbuilt = checked("data", "dataset", config.data)
    try:
        return built("data", unbuilt, {"split": split, "reader": reader})  # type: ignore[no-any-return]
    except DataError as error:
        if hint := _elsewhere(unbuilt):
            raise DataError(f"{error}; {hint}", details=error.details) from error
        raise


def _elsewhere(data: Unbuilt) -> str:
    """Return what to do about a relative root that does not exist, such as in another folder."""
    for place, text, _ in paths_in("data", data):
        path = Path(expanded(place, text)).expanduser()
        if place.endswith(".root") and not path.is_absolute() and not path.exists():
            return (
                f"{place} is relative to the current folder, {printable(Path.cwd())}; for another "
                f"one give {place}=PATH"
            )
    return ""


def build_task(
    config: RunConfig, info: DataInfo, trained_with: Mapping[str, str] | None = None
) -> Task:
    """Build the networks and the task around them.

    Args:
        config: Configuration of the run.
        info: Information about the data.
        trained_with: For a checkpoint, whose weights are loaded afterwards, the distribution of
            each `kind:name` in training.

    Raises:
        ConfigError: If parts do not fit together.
    """
    available, own = dict(info.injected), dict[str, Any]()
    parts = {n: part_of(f"heads.{n}", head, info) for n, head in config.heads.items()}
    if trained_with is None:
        for name, head in config.heads.items():
            _check_classes(f"heads.{name}", head, parts[name])

    def build(section: str, kind: str, of: ComponentConfig, *facts: Mapping[str, Any]) -> Any:
        with built_for(checkpoint=trained_with is not None):
            return built(section, checked(section, kind, of, trained_with), *facts)

    for name, network in network_sections(config).items():
        own[name] = build(*network, available)
        if name == "backbone":
            available["feature_info"] = feature_info_of(name, own[name])
    if config.heads:
        own["heads"] = {
            name: build(f"heads.{name}", "head", head, available | parts[name].injected_classes)
            for name, head in config.heads.items()
        }
        words = {n: w for n, head in config.heads.items() if (w := vocabulary_of(head, info))}
        own["vocabularies"] = words
    task = build("task", "task", config.task, available, own)
    if not isinstance(task, Task):
        raise ConfigError(f"task: {config.task.name} built a {type(task).__name__}, no gvt.Task")
    return task


def _check_classes(section: str, head: HeadConfig, info: DataInfo) -> None:
    """Check that a head that classifies images has at least two classes.

    Raises:
        ConfigError: If there is only one.
    """
    needs = getattr(find(section, "head", head).load(), "needs", ())
    if tuple(needs) == ("class",) and len(info.classes) == 1:
        raise ConfigError(
            f"{section}: {head.name} learns which class an image is of, and the data has only one, "
            f"{printable(info.classes[0])}; {info.hint or 'give it images of at least two'}"
        )


def part_of(section: str, head: HeadConfig, info: DataInfo) -> DataInfo:
    """Return the information about the data that a head learns from, a part or all of it.

    Raises:
        ConfigError: If there is no such part, or the head learns from parts that differ in their
            classes.
    """
    parts = info.parts
    if head.learns_from is None:
        lists = {part.classes for part in parts.values()}
        if len(lists) > 1 and "num_classes" in signature_of(find(section, "head", head).load())[0]:
            raise ConfigError(
                f"{section}: the parts of the data have other classes; say which one it learns "
                f"from: {section}.learns_from={' or '.join(parts)}"
            )
        return info
    if head.learns_from not in parts:
        hint = nearest(head.learns_from, parts) or f"; its parts: {', '.join(parts) or 'none'}"
        raise ConfigError(f"{section}.learns_from: the data has no part {head.learns_from!r}{hint}")
    return parts[head.learns_from]


def vocabulary_of(head: HeadConfig, info: DataInfo) -> Vocabulary | None:
    """Return the classes of a head that learns from one part of the data; None for all parts."""
    if head.learns_from is None:
        return None
    classes = info.parts[head.learns_from].classes
    numbers = tuple(info.classes.index(of_part) for of_part in classes)
    return Vocabulary(head.learns_from, classes, numbers, len(info.classes))


def offers_used(config: RunConfig) -> dict[str, Offer]:
    """Return the offer of each component of a run, by `kind:name`; those of torch are left out."""
    offers = {}
    for section, kind, component in (*sections(config), *of_training(config)):
        offer = offers[f"{kind}:{component.name}"] = find(section, kind, component)
        for inner, name in components_in(offer.load(), component.parameters):
            with suppress(UnknownComponent):
                offers[f"{inner}:{name}"] = default_registry().find(inner, name)
    return offers


def _check_networks(config: RunConfig, trained_with: Mapping[str, str] | None) -> None:
    """Check that the recipe has the networks that its task's constructor takes.

    Raises:
        ConfigError: If one is missing, or the task does not take it.
    """
    target, task = find("task", "task", config.task, trained_with).load(), config.task.name
    declared, _ = signature_of(target)
    takes = {n: section_of(n) for n in (*networks_of("task", target), "heads") if n in declared}
    given = [*network_sections(config), *(["heads"] if config.heads else [])]
    for name in (n for n in given if n not in takes):
        section, known = section_of(name), ", ".join(takes.values()) or "none"
        hint = nearest(section, takes.values())
        raise ConfigError(f"{section}: task {task} takes none; it takes {known}{hint}")
    for name, section in takes.items():
        if name in config.task.parameters:
            raise ConfigError(f"task.{name}: is configured as {section}; move it there")
        if declared[name].required and name not in given:
            raise ConfigError(f"{section}: is missing; task {task} needs it")
