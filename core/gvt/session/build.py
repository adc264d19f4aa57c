"""From a configuration to a data set and a task. The order: validate, data, networks, task."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, get_args

from gvt.config import ComponentConfig, RunConfig
from gvt.config.injected import INJECTED, NETWORKS
from gvt.config.parameters import (
    Parameter,
    Unbuilt,
    check_parameters,
    check_variables,
    components_in,
    construct,
    paths_in,
    signature_of,
    waits,
)
from gvt.config.paths import expanded, mapped
from gvt.config.pretrained import built_for
from gvt.config.recorded import sections
from gvt.config.schema import HeadConfig
from gvt.data_info import DataInfo
from gvt.errors import ConfigError, DataError
from gvt.heads.vocabulary import Vocabulary
from gvt.interfaces import Dataset, FileDataset, Head, Task
from gvt.printable import printable
from gvt_registry import Offer, UnknownComponent, default_registry, nearest


def validate_components(config: RunConfig, trained_with: Mapping[str, str] | None = None) -> None:
    """Check every component's name and parameters, before any data is read.

    Args:
        config: The run.
        trained_with: For a checkpoint: the distribution of each `kind:name` then.

    Raises:
        UnknownComponent: If nobody offers one.
        BrokenComponent: If its code cannot be imported.
        ConfigError: If a parameter does not fit, or the task takes other networks.
    """
    # Imported here, since it brings torchvision, which `gvt.load` does not need.
    from gvt.data.transforms import build_transforms
    from gvt.loop.optim import check_optimizer

    with built_for(checkpoint=trained_with is not None):
        for section, kind, component in sections(config):
            target, parameters = _checked(section, kind, component, trained_with)
            if trained_with is None:  # else it may be that nothing is read, or not from there
                check_variables(section, Unbuilt(kind, component.name, target, parameters))
    _check_networks(config)
    for key, optimizer in config.optimizers.items():
        check_optimizer(key, optimizer)
    build_transforms("data.transforms", config.data.transforms)
    build_transforms("data.batch_transforms", config.data.batch_transforms)
    for key in ("split", "final"):
        split = getattr(config.evaluate, key)
        if split is not None:
            check_split(f"evaluate.{key}", config, split)


def paths_of(config: RunConfig, trained_with: Mapping[str, str]) -> dict[str, str]:
    """Return the paths in a checkpoint's configuration as they are written, by their places."""
    found: dict[str, str] = {}
    with built_for(checkpoint=True):
        for section, kind, component in sections(config):
            _, parameters = _checked(section, kind, component, trained_with)
            found |= {place: path for place, path, _ in paths_in(section, parameters)}
    return found


def splits_of(config: RunConfig) -> tuple[str, ...]:
    """Return the names of the splits that the data set of a run has."""
    return _splits(_find("dataset", config.data).load())


def check_split(where: str, config: RunConfig, split: str) -> None:
    """Check that the data has a split.

    Raises:
        ConfigError: If it has not; `where` is what named it.
    """
    found = _find("dataset", config.data)
    _check_has(where, Unbuilt("dataset", config.data.name, found.load(), {}), split)


def _splits(target: Any) -> tuple[str, ...]:
    splits: tuple[str, ...] = getattr(target, "splits", ("train",))
    return splits


def _check_has(where: str, of: Unbuilt, split: str) -> None:
    splits = _splits(of.target)
    if split not in splits:
        raise ConfigError(
            f"{where}: {of.name} has no split {split!r}; it has {', '.join(splits)}"
            f"{nearest(split, splits)}"
        )


def open_dataset(config: RunConfig, split: str, *, quiet: bool = False) -> Dataset:
    """Open one split of the data.

    A warning says what is easily overlooked in its image files; see `gvt.PictureReader.notes_on`.

    Args:
        config: The run.
        split: The split.
        quiet: Whether to leave out that warning.

    Raises:
        DataError: If it is absent, damaged or empty.
        ConfigError: If a parameter does not fit, or there is no such split.
    """
    dataset = build_dataset(config, split)
    if len(dataset) == 0:
        lacks_root = (
            "root" in signature_of(type(dataset))[0] and config.data.parameters.get("root") is None
        )
        raise DataError(
            f"data: {config.data.name} has no samples in its split {split!r}"
            + ("; give data.root" if lacks_root else "")
        )
    if isinstance(dataset, FileDataset) and dataset.files and dataset.reader and not quiet:
        for note in dataset.reader.notes_on(dataset.files):
            warnings.warn(f"data: split {split}: {note}", stacklevel=2)
    return dataset


def build_dataset(config: RunConfig, split: str) -> Dataset:
    """Do what `open_dataset` does, for a split that may be empty: its classes may be enough."""
    target, parameters = _checked("data", "dataset", config.data)
    whole = Unbuilt("dataset", config.data.name, target, parameters)
    try:
        dataset: Dataset = _built("data", whole, {"split": split})
    except DataError as error:
        hint = _elsewhere(whole)
        if not hint:
            raise
        raise DataError(f"{error}; {hint}", details=error.details) from error
    return dataset


def _elsewhere(data: Unbuilt) -> str:
    """Return what to do about a relative root that is not there, such as in another folder."""
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
        config: The run.
        info: What the data says of itself.
        trained_with: For a checkpoint, whose weights the task is given afterwards: the
            distribution of each `kind:name` then.

    Raises:
        ConfigError: If something does not fit together.
    """
    available = dict(info.injected)
    if trained_with is None:
        for name, head in (config.heads or {}).items():
            _check_classes(f"heads.{name}", head, part_of(f"heads.{name}", head, info))

    def build(
        section: str, kind: str, component: ComponentConfig, of_part: Mapping[str, Any] = {}
    ) -> Any:
        with built_for(checkpoint=trained_with is not None):
            target, parameters = _checked(section, kind, component, trained_with)
            whole = Unbuilt(kind, component.name, target, parameters)
            return _built(section, whole, {**available, **of_part})

    for name in NETWORKS:
        component = getattr(config, name)
        if component is not None:
            available[name] = build(name, name, component)
    if "backbone" in available:
        available["feature_info"] = _feature_info("backbone", available["backbone"])
    if config.heads:
        heads: dict[str, Head] = {}
        for name, head in config.heads.items():
            part = part_of(f"heads.{name}", head, info)
            heads[name] = build(f"heads.{name}", "head", head, part.injected_classes)
        words = {name: vocabulary_of(head, info) for name, head in config.heads.items()}
        known = {name: of_head for name, of_head in words.items() if of_head is not None}
        available |= {"heads": heads, "vocabularies": known}
    task = build("task", "task", config.task)
    if not isinstance(task, Task):
        raise ConfigError(f"task: {config.task.name} built a {type(task).__name__}, no gvt.Task")
    return task


def _check_classes(section: str, head: HeadConfig, info: DataInfo) -> None:
    """Check that a head that tells the classes of whole images apart has two.

    Raises:
        ConfigError: If there is one only.
    """
    needs = getattr(_find("head", head).load(), "needs", ())
    if tuple(needs) == ("class",) and len(info.classes) == 1:
        raise ConfigError(
            f"{section}: {head.name} learns which class an image is of, and the data has only one, "
            f"{printable(info.classes[0])}; {info.hint or 'give it images of at least two'}"
        )


def part_of(section: str, head: HeadConfig, info: DataInfo) -> DataInfo:
    """Return the information about the part of the data that a head learns from, perhaps all.

    Raises:
        ConfigError: If there is no such part, or it learns from parts that differ in their classes.
    """
    parts = info.parts
    if head.learns_from is None:
        lists = {part.classes for part in parts.values()}
        if len(lists) > 1 and "num_classes" in signature_of(_find("head", head).load())[0]:
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


def _built(section: str, of: Unbuilt, available: Mapping[str, Any]) -> Any:
    """Build a component with what it asks for by name of what is available, and those in it.

    Heads in it stand on the backbone in it.
    """
    declared, _ = signature_of(of.target)
    if of.kind == "dataset" and "split" in available:
        _check_has(section, of, available["split"])
    given: dict[str, Any] = {}

    def build(where: str, item: Any) -> Any:
        return _built(where, item, available) if isinstance(item, Unbuilt) else item

    for name in sorted(of.parameters, key=lambda name: name != "backbone"):
        given[name] = mapped(f"{section}.{name}", of.parameters[name], build)
        if name == "backbone" and given[name] is not None:
            info = _feature_info(f"{section}.{name}", given[name])
            available = {**available, "feature_info": info}
    wanted = {n: v for n, v in available.items() if n in declared and n not in given}
    _check_facts(section, of, declared, wanted)
    return construct(section, of.target, {**given, **wanted})


def _check_facts(
    section: str, of: Unbuilt, declared: Mapping[str, Parameter], wanted: Mapping[str, Any]
) -> None:
    """Check that the data has what a network is built for.

    Raises:
        ConfigError: If its images differ in size where the network has to know it, or it has no
            classes for a head.
    """
    if "image_shape" in wanted and wanted["image_shape"] is None:
        annotation = declared["image_shape"].annotation
        if annotation is not Any and type(None) not in get_args(annotation):
            raise ConfigError(
                f"{section}: {of.name} is built for images of one size, and these differ; "
                "give data.size"
            )
    if of.kind == "head" and wanted.get("num_classes") == 0:
        raise ConfigError(
            f"{section}: {of.name} learns classes, and the data has none; for image_folder, put "
            "the pictures of each class into a folder of their own"
        )


def _feature_info(section: str, backbone: Any) -> Any:
    info = getattr(backbone, "feature_info", None)
    if not info:
        raise ConfigError(f"{section}: {type(backbone).__name__} has no feature_info")
    return info


def offers_used(config: RunConfig) -> dict[str, Offer]:
    """Return who offers each component of a run, by `kind:name`; torch's own are left out."""
    found = {}
    for _, kind, component in sections(config):
        offer = found[f"{kind}:{component.name}"] = _find(kind, component)
        for inner, name in components_in(offer.load(), component.parameters):
            with suppress(UnknownComponent):
                found[f"{inner}:{name}"] = default_registry().find(inner, name)
    return found


def create(kind: str, name: str, **parameters: Any) -> Any:
    """Build one component: `gvt.create("generator", "dcgan", image_shape=(1, 28, 28))`.

    A component within it is given as an object, or as in a recipe, and is then built for the same
    images, or of the same split.

    Raises:
        UnknownComponent: If nobody offers it.
        ConfigError: If a parameter is unknown, of a wrong type or missing.
    """
    target = default_registry().find(kind, name).load()
    where = f"{kind} {name}"
    filled = INJECTED["backbone"] | INJECTED["dataset"]
    facts = {n: v for n, v in parameters.items() if n in filled}
    others = {
        n: v for n, v in parameters.items() if n not in facts.keys() - signature_of(target)[0]
    }
    checked = check_parameters(where, target, others)
    if not waits(checked):  # then nothing takes facts that it does not take itself
        check_parameters(where, target, parameters)
    return _built(where, Unbuilt(kind, name, target, checked), facts)


def _find(
    kind: str, config: ComponentConfig, trained_with: Mapping[str, str] | None = None
) -> Offer:
    origin = (trained_with or {}).get(f"{kind}:{config.name}", "")[:200]  # of a file, any length
    return default_registry().find(kind, config.name, trained_with=origin)


def _checked(
    section: str, kind: str, config: ComponentConfig, trained_with: Mapping[str, str] | None = None
) -> tuple[Callable[..., Any], dict[str, Any]]:
    target = _find(kind, config, trained_with).load()
    return target, check_parameters(section, target, config.parameters, INJECTED[kind])


def _check_networks(config: RunConfig) -> None:
    """Check that the recipe has the networks that its task's constructor takes."""
    declared, _ = signature_of(_find("task", config.task).load())
    taken = [n for n in (*NETWORKS, "heads") if n in declared]
    for name in (*NETWORKS, "heads"):
        if getattr(config, name) and name not in taken:
            raise ConfigError(
                f"{name}: task {config.task.name} takes none; it takes {', '.join(taken) or 'none'}"
            )
        if name in taken and not getattr(config, name) and declared[name].required:
            raise ConfigError(f"{name}: is missing; task {config.task.name} needs it")
