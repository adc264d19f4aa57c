"""Weights of other people's files, matched with those of a network of timm."""

from __future__ import annotations

import json
import pickle
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

import timm
import torch
from safetensors.torch import save as serialize
from torch import Tensor

from gvt import ConfigError, DataError
from gvt.checkpoint import shortened
from gvt.files import check_regular, replacing

from .timm_networks import check_name, config_of, read_weights

_WRAPPERS = ("state_dict", "model_state_dict", "model", "module", "net", "network", "weights")
"""Under which names training scripts keep a network's tensors among other things."""

_COUNTER = "num_batches_tracked"
"""A batch norm's count of batches, which older files have not and nothing here uses."""

_KINDS = frozenset({"weight", "bias", "running_mean", "running_var", _COUNTER})
"""Last parts of torch's own names; where two tensors both have one, it has to be the same."""

Tensors = dict[str, Tensor]


@dataclass(frozen=True)
class Taken:
    """What an import did.

    Attributes:
        count: Tensors in the new file.
        how: `name` or `position`, by which they were matched.
        left_over: Names in the old file that the network has not.
    """

    count: int
    how: str
    left_over: tuple[str, ...] = ()


def convert(file: Path, model: str, out: Path) -> Taken:
    """Write the weights in a file as safetensors in timm's names.

    The new file's metadata say of which `model` they are, how they were `matched`, what timm
    knows of how its pictures are read (`mean`, `std`, `interpolation`, `crop_pct`,
    `input_size`), and which tensors are the `classifier`'s.

    Args:
        file: The old one: what `torch.save` wrote of a state dict, alone or among other things, or
            a safetensors file.
        model: timm's name.
        out: The new one; its folder exists.

    Raises:
        ConfigError: If timm has no such network.
        DataError: If the file is damaged, holds anything but plain data, or does not fit.
    """
    try:
        check_name(model)
    except ValueError as error:
        raise ConfigError(f"--model: {error}") from error
    config = config_of(model)
    theirs = _without_prefix(_opened(file))
    ours = timm.create_model(model).state_dict()
    heads = config.get("classifier") or ()
    classifiers = (heads,) if isinstance(heads, str) else tuple(heads)
    found, taken = _matched(ours, theirs, classifiers, f"{file} does not fit {model}")
    for name, tensor in found.items():
        if not tensor.isfinite().all():
            raise DataError(f"{file}: {name} has values that are not finite")
    about = {
        "format": "pt",
        "model": model,
        "source": file.name,
        "matched": taken.how,
        "tensors": str(taken.count),
        "classifier": classifiers[0] if classifiers else "",
        **{
            name: json.dumps(config[name])
            for name in ("mean", "std", "interpolation", "crop_pct", "input_size")
            if config.get(name) is not None
        },
    }
    with replacing(out) as temporary:
        temporary.write(serialize(found, about))
    return taken


def _opened(file: Path) -> Tensors:
    """Return the tensors in a file, by their names in it.

    Raises:
        DataError: If it is damaged or holds anything but plain data.
    """
    try:
        check_regular(file)
    except OSError as error:
        raise DataError(f"{file}: cannot be read: {error.strerror or error}") from error
    if file.suffix == ".safetensors":
        try:
            return read_weights(file)[0]
        except ValueError as error:
            raise DataError(str(error).removeprefix("weights: ")) from error
    try:
        content = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise DataError(
            f"{file}: holds more than tensors and plain data, or is no file of torch.save; it was "
            "not opened, since that may run code; ask for a file of its state_dict()"
        ) from error
    except Exception as error:  # any bytes may be in it, and raise anything
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise DataError(f"{file}: is damaged, or no file of torch.save: {reason}") from error
    while isinstance(content, Mapping):
        inner = next((content[n] for n in _WRAPPERS if isinstance(content.get(n), Mapping)), None)
        if inner is None:
            break
        content = inner
    named = content.items() if isinstance(content, Mapping) else ()
    tensors = {str(name): value for name, value in named if isinstance(value, Tensor)}
    if not tensors:
        raise DataError(f"{file}: has no tensors by name; expected is a network's state_dict()")
    for name, tensor in tensors.items():
        if problem := _problem(tensor):
            raise DataError(f"{file}: {shortened(name)} {problem}; expected are dense real numbers")
    return tensors


def _problem(tensor: Tensor) -> str:
    """Return what keeps a tensor from being a weight; nothing if it can be one."""
    if tensor.is_meta:
        return "has no values (it is on the device meta)"
    if tensor.is_quantized:
        return "is quantised"
    if tensor.is_nested or tensor.layout != torch.strided:
        return "is sparse or nested"
    return "is complex" if tensor.is_complex() else ""


def _without_prefix(tensors: Tensors) -> Tensors:
    """Return tensors without the names that all of theirs begin with, as `module.`."""
    while True:
        first = {name.partition(".")[0] for name in tensors}
        if len(first) > 1 or not all("." in name for name in tensors):
            return tensors
        tensors = {name.partition(".")[2]: tensor for name, tensor in tensors.items()}


def _matched(
    ours: Tensors, theirs: Tensors, classifiers: tuple[str, ...], refusal: str
) -> tuple[Tensors, Taken]:
    """Return their tensors by our names.

    Raises:
        DataError: If they do not fit; says where first.
    """
    pairs, how = _paired(_uncounted(ours), _uncounted(theirs))
    for name, other in pairs:
        if not _fits(name, other, ours, theirs, classifiers):
            raise DataError(
                f"{refusal}: where the network has {_told(name, ours)}, the file has "
                f"{_told(other, theirs)}; it has {len(theirs)} tensors, the network {len(ours)}"
            )
        fractions = bool(name) and ours[str(name)].is_floating_point()
        if fractions and other and not theirs[other].is_floating_point():
            raise DataError(
                f"{refusal}: {other} has whole numbers ({theirs[other].dtype}), as quantised "
                "weights have, and the network's are fractions"
            )
    found = {name: theirs[other] for name, other in pairs if name and other}
    # A counter that the file lacks, or that no name tells, begins at 0.
    counters = {n: theirs.get(n, t) for n, t in ours.items() if n.endswith(_COUNTER)}
    left_over = tuple(n for n in _uncounted(theirs) if n not in {other for _, other in pairs})
    both = found | counters
    result = {n: both[n].to(ours[n].dtype, copy=True).contiguous() for n in ours}
    return result, Taken(len(result), how, left_over)


def _paired(
    ours: Sequence[str], theirs: Sequence[str]
) -> tuple[list[tuple[str | None, str | None]], str]:
    """Return pairs of our and their names, None where one has no other, and what they go by."""
    shared = {*ours} & {*theirs}
    # A network in other names may still share a few, such as `fc.weight`.
    if len(shared) > len(ours) // 2:
        return [(name, name if name in shared else None) for name in ours], "name"
    return list(zip_longest(ours, theirs)), "position"


def _fits(
    name: str | None,
    other: str | None,
    ours: Tensors,
    theirs: Tensors,
    classifiers: tuple[str, ...],
) -> bool:
    """Return whether a tensor can be taken for one of ours; a classifier may have any classes."""
    if name is None or other is None:
        return False
    kinds = {name.rpartition(".")[2], other.rpartition(".")[2]}
    if len(kinds) > 1 and kinds <= _KINDS:
        return False
    here, there = ours[name].shape, theirs[other].shape
    free = 1 if name.rpartition(".")[0] in classifiers else 0
    return len(here) == len(there) and here[free:] == there[free:]


def _uncounted(tensors: Tensors) -> list[str]:
    return [name for name in tensors if not name.endswith(_COUNTER)]


def _told(name: str | None, tensors: Tensors) -> str:
    return "none" if name is None else f"{name} {tuple(tensors[name].shape)}"
