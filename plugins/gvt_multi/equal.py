"""Checks that heads of several checkpoints can share one backbone without a change of a bit."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from gvt import RunConfig, UsageError
from gvt.config import with_defaults
from gvt.printable import printable, shortened
from gvt.session import PINNED
from gvt_multi.source import Source

_OF_WEIGHTS = ("pretrained", "weights")
"""Parameters of a backbone that say where its first weights are from; a checkpoint has its own."""

_ABSENT = object()


def check_same_settings(first: Source, other: Source) -> None:
    """Check that two checkpoints have one backbone, and the same images in the same arithmetic.

    Raises:
        UsageError: If a setting differs. The message has its name and both values.
    """
    _check_equal(first, other, _backbone, "heads can only be merged on equal backbones")
    _check_equal(first, other, _inputs, "heads of one backbone get the same images")
    hint = "a checkpoint has one; train the heads with the same"
    _check_equal(first, other, _arithmetic, hint)


def check_same_backbone(first: Source, other: Source) -> None:
    """Check that the backbones of two checkpoints have the same parameters and buffers, bitwise.

    Raises:
        UsageError: If a tensor differs. The message has its name, and how it differs.
    """
    one, two = (_tensors(source.task.backbone) for source in (first, other))
    for name in {**one, **two}:
        if how := difference(one.get(name), two.get(name), first.label, other.label):
            raise UsageError(
                f"backbone.{name}: {how}; heads can only be merged on equal backbones: train them "
                "with init_from of one checkpoint, and train.unfreeze={backbone: never}"
            )


def warn_of_other_sections(first: Source, other: Source) -> None:
    """Warn about settings of plugins, such as `predict.flips`, in which two checkpoints differ."""
    one, two = (_of_plugins(source) for source in (first, other))
    for name in {**one, **two}:
        value, another = one.get(name, _ABSENT), two.get(name, _ABSENT)
        if value != another:
            warnings.warn(
                f"{printable(name)}: {_shown(value)} in {first.label}, and {_shown(another)} in "
                f"{other.label}; the merged checkpoint has the former",
                stacklevel=3,
            )


def _of_plugins(source: Source) -> dict[str, Any]:
    sections = source.opened.config.document().items()
    further = {name: of for name, of in sections if name not in RunConfig.model_fields}
    return {n: v for name, of in further.items() for n, v in _flat(name, of)}


def _backbone(source: Source) -> dict[str, Any]:
    config = with_defaults(source.opened.config)
    settings = dict(_flat("backbone", config.document()["backbone"]))
    further = {n: v for n, v in settings.items() if n.rpartition(".")[2] not in _OF_WEIGHTS}
    return {**further, "task.share": config.task.parameters.get("share")}


def _inputs(source: Source) -> dict[str, Any]:
    info = source.opened.info
    return {
        "data.image_shape": info.image_shape,
        "data.channels": info.image_channels,
        "data.range": info.data_range,
        **dict(_flat("data.reader", info.reader or {})),
    }


def _arithmetic(source: Source) -> dict[str, Any]:
    train = source.opened.config.train
    return {f"train.{name}": getattr(train, name) for name in PINNED}


def _check_equal(first: Source, other: Source, settings: Any, hint: str) -> None:
    one, two = settings(first), settings(other)
    for name in {**one, **two}:
        value, another = one.get(name, _ABSENT), two.get(name, _ABSENT)
        if value != another:
            raise UsageError(
                f"{printable(name)}: {_shown(value)} in {first.label}, and {_shown(another)} in "
                f"{other.label}; {hint}"
            )


def _flat(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Yield the values in nested mappings by their dotted names."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _flat(f"{name}.{key}", item)
    else:
        yield name, value


def _shown(value: Any) -> str:
    if value is _ABSENT or value is None:
        return "not set"
    return shortened(printable([*value] if isinstance(value, tuple) else value))


def _tensors(module: nn.Module) -> dict[str, Tensor]:
    parameters = module.named_parameters(remove_duplicate=False)
    return {**dict(parameters), **dict(module.named_buffers(remove_duplicate=False))}


def difference(one: Tensor | None, two: Tensor | None, first: str, other: str) -> str:
    """Return how two tensors differ, as a clause; empty if they have the same bits."""
    if one is None or two is None:
        return f"is only in the backbone of {other if one is None else first}"
    for what in ("shape", "dtype"):
        values = [getattr(tensor, what) for tensor in (one, two)]
        if values[0] != values[1]:
            sides = [[*v] if what == "shape" else v for v in values]
            return f"its {what} is {sides[0]} in {first}, and {sides[1]} in {other}"
    if torch.equal(_bits(one), _bits(two)):
        return ""
    is_same = one == two  # also where both are infinite
    largest = (one.double() - two.double()).masked_fill(is_same, 0).abs().max().item()
    return f"differs by up to {largest:.3g} between {first} and {other}"


def _bits(tensor: Tensor) -> Tensor:
    return tensor.detach().contiguous().reshape(-1).view(torch.uint8)
