"""Conversion of published weights to safetensors files with timm's names."""

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
"""Keys under which training scripts store a model's state dict."""

_COUNTER = "num_batches_tracked"
"""Counter of a batch norm, which is missing in older files and not used here."""

_KINDS = frozenset({"weight", "bias", "running_mean", "running_var", _COUNTER})
"""Last parts of torch's parameter names; they have to agree if both tensors have one."""

Tensors = dict[str, Tensor]


@dataclass(frozen=True)
class Conversion:
    """Result of a conversion.

    Attributes:
        count: Number of tensors in the new file.
        how: `name` or `position`, by which tensors were matched.
        left_over: Names in the old file without a match in the model.
    """

    count: int
    how: str
    left_over: tuple[str, ...] = ()


def convert(file: Path, model: str, out: Path) -> Conversion:
    """Convert the weights in a file to a safetensors file with timm's names.

    The metadata of the new file are the `model`, how tensors were `matched`, timm's preprocessing
    (`mean`, `std`, `interpolation`, `crop_pct`, `input_size`), and the name of the `classifier`.

    Args:
        file: The old file: a state dict saved by `torch.save`, alone or in other data, or a
            safetensors file.
        model: Name of the model in timm.
        out: The new file, in an existing folder.

    Raises:
        ConfigError: If timm has no such model.
        DataError: If the file is damaged, contains more than plain data, or does not fit.
    """
    try:
        check_name(model)
    except ValueError as error:
        raise ConfigError(f"--model: {error}") from error
    config = config_of(model)
    state = _without_prefix(_load(file))
    model_state = timm.create_model(model).state_dict()
    heads = config.get("classifier") or ()
    classifiers = (heads,) if isinstance(heads, str) else tuple(heads)
    tensors, result = _match(model_state, state, classifiers, f"{file} does not fit {model}")
    for name, tensor in tensors.items():
        if not tensor.isfinite().all():
            raise DataError(f"{file}: {name} has values that are not finite")
    metadata = {
        "format": "pt",
        "model": model,
        "source": file.name,
        "matched": result.how,
        "tensors": str(result.count),
        "classifier": classifiers[0] if classifiers else "",
        **{
            name: json.dumps(config[name])
            for name in ("mean", "std", "interpolation", "crop_pct", "input_size")
            if config.get(name) is not None
        },
    }
    with replacing(out) as temporary:
        temporary.write(serialize(tensors, metadata))
    return result


def _load(file: Path) -> Tensors:
    """Return the tensors in a file by name.

    Raises:
        DataError: If the file is damaged or contains more than plain data.
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
            f"{file}: contains more than tensors and plain data, or was not written by torch.save; "
            "it was not opened, since that may run code; ask for a file of its state_dict()"
        ) from error
    except Exception as error:  # a damaged file can raise anything
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise DataError(
            f"{file}: is damaged, or was not written by torch.save: {reason}"
        ) from error
    while isinstance(content, Mapping):
        inner = next((content[n] for n in _WRAPPERS if isinstance(content.get(n), Mapping)), None)
        if inner is None:
            break
        content = inner
    named = content.items() if isinstance(content, Mapping) else ()
    tensors = {str(name): value for name, value in named if isinstance(value, Tensor)}
    if not tensors:
        raise DataError(f"{file}: has no tensors by name; give a file of a model's state_dict()")
    for name, tensor in tensors.items():
        if problem := _problem(tensor):
            raise DataError(f"{file}: {shortened(name)} {problem}; weights are dense real numbers")
    return tensors


def _problem(tensor: Tensor) -> str:
    """Return why a tensor cannot be a weight; empty if it can."""
    if tensor.is_meta:
        return "has no values (it is on the device meta)"
    if tensor.is_quantized:
        return "is quantised"
    if tensor.is_nested or tensor.layout != torch.strided:
        return "is sparse or nested"
    return "is complex" if tensor.is_complex() else ""


def _without_prefix(tensors: Tensors) -> Tensors:
    """Return tensors by name, without a prefix that all names share, such as `module.`."""
    while True:
        first = {name.partition(".")[0] for name in tensors}
        if len(first) > 1 or not all("." in name for name in tensors):
            return tensors
        tensors = {name.partition(".")[2]: tensor for name, tensor in tensors.items()}


def _match(
    model_state: Tensors, state: Tensors, classifiers: tuple[str, ...], problem: str
) -> tuple[Tensors, Conversion]:
    """Return the tensors of a state dict by the names of a model.

    Raises:
        DataError: If they do not fit; the message names the first mismatch.
    """
    pairs, how = _paired(_uncounted(model_state), _uncounted(state))
    for name, other in pairs:
        if not _fits(name, other, model_state, state, classifiers):
            raise DataError(
                f"{problem}: where the model has {_described(name, model_state)}, the file has "
                f"{_described(other, state)}; it has {len(state)} tensors, the model "
                f"{len(model_state)}"
            )
        is_float = bool(name) and model_state[str(name)].is_floating_point()
        if is_float and other and not state[other].is_floating_point():
            raise DataError(
                f"{problem}: {other} has whole numbers ({state[other].dtype}), as quantised "
                "weights have, and the model has floating-point numbers"
            )
    tensors = {name: state[other] for name, other in pairs if name and other}
    # A counter that the file lacks starts at 0.
    counters = {n: state.get(n, t) for n, t in model_state.items() if n.endswith(_COUNTER)}
    left_over = tuple(n for n in _uncounted(state) if n not in {other for _, other in pairs})
    tensors |= counters
    result = {n: tensors[n].to(t.dtype, copy=True).contiguous() for n, t in model_state.items()}
    return result, Conversion(len(result), how, left_over)


def _paired(
    model_names: Sequence[str], names: Sequence[str]
) -> tuple[list[tuple[str | None, str | None]], str]:
    """Return pairs of names, None without a counterpart, and `name` or `position`."""
    shared = {*model_names} & {*names}
    # A model with other names may still share a few, such as `fc.weight`.
    if len(shared) > len(model_names) // 2:
        return [(name, name if name in shared else None) for name in model_names], "name"
    return list(zip_longest(model_names, names)), "position"


def _fits(
    name: str | None,
    other: str | None,
    model_state: Tensors,
    state: Tensors,
    classifiers: tuple[str, ...],
) -> bool:
    """Return whether two tensors match; a classifier may have another number of classes."""
    if name is None or other is None:
        return False
    kinds = {name.rpartition(".")[2], other.rpartition(".")[2]}
    if len(kinds) > 1 and kinds <= _KINDS:
        return False
    shape, other_shape = model_state[name].shape, state[other].shape
    free = 1 if name.rpartition(".")[0] in classifiers else 0
    return len(shape) == len(other_shape) and shape[free:] == other_shape[free:]


def _uncounted(tensors: Tensors) -> list[str]:
    return [name for name in tensors if not name.endswith(_COUNTER)]


def _described(name: str | None, tensors: Tensors) -> str:
    return "none" if name is None else f"{name} {tuple(tensors[name].shape)}"
