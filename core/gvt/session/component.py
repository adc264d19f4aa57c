"""Build one component: with its parameters, and with what follows from the data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, get_args

from gvt.config import ComponentConfig
from gvt.config.injected import FACTS, INJECTED
from gvt.config.made import CODE, remember
from gvt.config.networks import networks_of, section_of
from gvt.config.parameters import (
    Parameter,
    Unbuilt,
    check_parameters,
    construct,
    signature_of,
    waits,
)
from gvt.config.paths import mapped
from gvt.data_info import DataInfo
from gvt.errors import ConfigError
from gvt.interfaces import Dataset
from gvt_registry import Offer, default_registry, nearest


def create(
    kind: str, name: str, *, data: DataInfo | Dataset | None = None, **parameters: Any
) -> Any:
    """Build one component: `gvt.create("generator", "dcgan", image_shape=(1, 28, 28))`.

    A component in it is given as an object, or as in a recipe; it is then built for the same
    images, or the same split.

    Args:
        kind: Kind of the component.
        name: Name in the registry.
        data: The training data, or its information, which fills in the parameters that follow
            from it, such as `image_shape` and `num_classes`.
        parameters: Parameters of the component. A head that is given a `backbone` gets its
            `feature_info`.

    Raises:
        UnknownComponent: If no plugin offers it.
        ConfigError: If a parameter is unknown, of a wrong type or missing.
    """
    target = default_registry().find(kind, name).load()
    where, declared = f"{kind} {name}", signature_of(target)[0]
    if kind == "head" and "backbone" in parameters and "backbone" not in declared:
        parameters["feature_info"] = feature_info_of(where, parameters.pop("backbone"))
    info = data if data is None or isinstance(data, DataInfo) else DataInfo.of(data)
    of_data = {n: v for n, v in (info.injected if info else {}).items() if n not in parameters}
    filled_in = INJECTED["network"] | INJECTED["dataset"]
    facts = {n: v for n, v in parameters.items() if n in filled_in}
    taken = {n: v for n, v in parameters.items() if n not in facts or n in declared}
    checked = check_parameters(where, target, taken, of_data)
    if not waits(checked):  # without a component in it, no other one takes the facts
        check_parameters(where, target, parameters, of_data)
    return built(where, Unbuilt(kind, name, target, checked, taken), facts | of_data)


def built(section: str, of: Unbuilt, facts: Mapping[str, Any], own: Mapping[str, Any] = {}) -> Any:
    """Build a component and those in it, each with the facts that it takes by name.

    Heads in it are built for the backbone in it. `own` is passed to the component only.
    """
    declared, _ = signature_of(of.target)
    if of.kind == "dataset" and "split" in facts:
        check_has(section, of.name, splits_in(of.target), facts["split"])
    facts = {**facts, **{n: v for n, v in of.parameters.items() if n in FACTS}}
    values: dict[str, Any] = {}

    def build(where: str, item: Any) -> Any:
        return built(where, item, facts) if isinstance(item, Unbuilt) else item

    for name in sorted(of.parameters, key=lambda name: name != "backbone"):
        values[name] = mapped(f"{section}.{name}", of.parameters[name], build)
        if name == "backbone" and values[name] is not None:
            info = feature_info_of(f"{section}.{name}", values[name])
            facts = {**facts, "feature_info": info}
    taken = {n: v for n, v in {**facts, **own}.items() if n in declared and n not in values}
    _check_facts(section, of, declared, taken)
    arguments, networks = {**values, **taken}, networks_of(of.kind, of.target)
    component = construct(section, of.target, arguments)
    parts = {section_of(n): arguments[n] for n in networks if arguments.get(n) is not None}
    if of.kind == "task":
        parts |= {f"heads.{name}": head for name, head in arguments.get("heads", {}).items()}
    remember(component, of, arguments, parts)
    return component


def _check_facts(
    section: str, of: Unbuilt, declared: Mapping[str, Parameter], facts: Mapping[str, Any]
) -> None:
    """Check that the data has what a component is built for.

    Raises:
        ConfigError: If images differ in size and the component is built for one size, or there are
            no classes for a head.
    """
    if "image_shape" in facts and facts["image_shape"] is None:
        annotation = declared["image_shape"].annotation
        if annotation is not Any and type(None) not in get_args(annotation):
            raise ConfigError(
                f"{section}: {of.name} is built for images of one size, not of several or none; "
                "give data.size"
            )
    if of.kind == "head" and facts.get("num_classes") == 0:
        raise ConfigError(
            f"{section}: {of.name} learns classes, and the data has none; for image_folder, put "
            "the pictures of each class into a folder of their own"
        )


def feature_info_of(section: str, backbone: Any) -> Any:
    """Return the `feature_info` of a backbone.

    Raises:
        ConfigError: If it has none.
    """
    info = getattr(backbone, "feature_info", None)
    if not info:
        raise ConfigError(f"{section}: {type(backbone).__name__} has no feature_info")
    return info


def checked(
    section: str, kind: str, config: ComponentConfig, trained_with: Mapping[str, str] | None = None
) -> Unbuilt:
    """Return a component of a configuration with checked parameters.

    A checkpoint may give facts, for a part that was built in code for other ones than those of the
    data. A recipe cannot.

    Raises:
        UnknownComponent: If no plugin offers it.
        ConfigError: If a parameter does not fit.
    """
    target = find(section, kind, config, trained_with).load()
    injected = INJECTED[kind] | networks_of(kind, target).keys()
    injected -= {n for n in FACTS if trained_with is not None and n in config.parameters}
    parameters = check_parameters(section, target, config.parameters, injected)
    return Unbuilt(kind, config.name, target, parameters, config.parameters)


def find(
    section: str, kind: str, config: ComponentConfig, trained_with: Mapping[str, str] | None = None
) -> Offer:
    """Return the offer of a component of a configuration.

    Raises:
        UnknownComponent: If no plugin offers it.
        ConfigError: If it was built in code.
    """
    if config.name == CODE:
        hint = "load the weights into a task that is built again, with gvt.load(PATH, task=...)"
        if kind == "dataset":
            hint = "name other data, such as data.name=image_folder data.root=PATH"
        raise ConfigError(
            f"{section}: was built in code, so no recipe describes it; {hint}, or resume the run "
            "with gvt.fit(task, data, resume=PATH)"
        )
    origin = (trained_with or {}).get(f"{kind}:{config.name}", "")[:200]  # of a file, any length
    return default_registry().find(kind, config.name, trained_with=origin)


def splits_in(target: Any) -> tuple[str, ...]:
    """Return the names of the splits of a class of data sets."""
    return tuple(getattr(target, "splits", ("train",)))


def check_has(where: str, data: str, splits: Sequence[str], split: str) -> None:
    """Check that a data set has a split.

    Raises:
        ConfigError: If it does not; the message begins with `where`.
    """
    if split not in splits:
        raise ConfigError(
            f"{where}: {data} has no split {split!r}; it has {', '.join(splits)}"
            f"{nearest(split, splits)}"
        )
