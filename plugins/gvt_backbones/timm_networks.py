"""Construction of timm's models, with downloaded weights, weights of a file, or new ones."""

from __future__ import annotations

import json
import logging
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import timm
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from gvt.files import check_regular
from gvt_registry import nearest

_FLEXIBLE: tuple[dict[str, Any], ...] = ({"strict_img_size": False}, {"dynamic_img_size": True})
"""Options of the model families that accept any image size, if built for it."""

_WAIT = 5.0
"""Timeout in seconds of the connection to the host of timm's weights."""


def check_name(model: str) -> None:
    """Check that timm has a model, such as `resnet18`, or weights, such as `resnet18.a1_in1k`.

    Raises:
        ValueError: If it has not; the message names the nearest.
    """
    architecture, _, tag = model.partition(".")
    if not timm.is_model(architecture):
        hint = nearest(architecture, timm.list_models())
        raise ValueError(f"timm has no model {architecture!r}{hint}")
    tags = [name.partition(".")[2] for name in timm.list_pretrained(f"{architecture}.*")]
    if tag and tag not in tags:
        raise ValueError(
            f"timm's {architecture} has no weights tagged {tag!r}; "
            f"there are {', '.join(filter(None, tags)) or 'none'}"
        )


def config_of(model: str) -> dict[str, Any]:
    """Return timm's configuration of a model: `mean`, `std`, `input_size` and so on."""
    config = timm.get_pretrained_cfg(model)
    return {} if config is None else config.to_dict()


def create(
    model: str,
    channels: int,
    size: tuple[int, int] | None,
    output_stride: int,
    pretrained: bool,
    weights: str | None,
) -> tuple[nn.Module, tuple[int, int] | None]:
    """Build a model without its classifier; return it and its only image size, None for any.

    Args:
        model: Name of the model in timm.
        channels: Channels of the images.
        size: (H, W) of the images, for models that are built for one size; timm's by default.
        output_stride: Stride of the coarsest map; below 32, convolutions are dilated.
        pretrained: Whether to download timm's weights.
        weights: A safetensors file with timm's names.

    Raises:
        ValueError: If weights are not available, or the model cannot be built.
    """
    options: dict[str, Any] = {"num_classes": 0, "in_chans": channels}
    if output_stride != 32:
        options["output_stride"] = output_stride
    if weights is not None:
        state, metadata = read_weights(Path(weights).expanduser())
        overlay = _overlay(model, channels, state, metadata)
        options |= {"pretrained": True, "pretrained_cfg_overlay": overlay}
    try:
        if pretrained:
            options |= {"pretrained": True, "pretrained_cfg_overlay": _cached(model)}
        with _quiet():
            network, only_size = _built(model, options, size)
    except Exception as error:
        reason = _first_line(error)
        if pretrained:
            raise ValueError(
                f"pretrained: the weights of {model} are not available ({reason}); give "
                "weights=FILE, a safetensors file from `gvt import`, or pretrained=false"
            ) from error
        if weights is not None:
            raise ValueError(f"weights: {weights} does not fit {model}: {reason}") from error
        raise ValueError(f"timm's {model} cannot be built like this: {reason}") from error
    network.pretrained_cfg = network.default_cfg = config_of(model)  # without the weights
    return network, only_size


def read_weights(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Return the tensors and the metadata of a safetensors file.

    Raises:
        ValueError: If it is missing or not a safetensors file.
    """
    try:
        check_regular(path)  # reading a named pipe would block
        with safe_open(path, framework="pt") as file:
            names, metadata = file.keys(), file.metadata() or {}
            return {name: file.get_tensor(name) for name in names}, metadata
    except FileNotFoundError as error:
        raise ValueError(f"weights: there is no file {str(path)!r}") from error
    except (OSError, SafetensorError) as error:
        raise ValueError(
            f"weights: {str(path)!r} is not a safetensors file ({_first_line(error)}); "
            "`gvt import FILE.pth --model NAME -o FILE.safetensors` writes one"
        ) from error


def check_all_there(network: nn.Module, weights: str, model: str) -> None:
    """Check that a file has every weight of a pruned model, since timm ignores missing ones.

    Raises:
        ValueError: If it has not.
    """
    optional = ("num_batches_tracked", "relative_position_index", "relative_coords_table")
    with safe_open(Path(weights).expanduser(), framework="pt") as file:
        names = {*file.keys()}
    state = network.state_dict()
    missing = [name for name in state if name not in names and not name.endswith(optional)]
    if missing:
        raise ValueError(
            f"weights: {weights} lacks {len(missing)} of the {len(state)} tensors of {model}, "
            f"first {missing[0]}; `gvt import` converts files with other names"
        )


def strides_of(network: nn.Module) -> list[int]:
    """Return the stride of every feature map of a model, the finest first.

    Raises:
        ValueError: If it has none.
    """
    return [level["reduction"] for level in _levels(network)]


def modules_of(network: nn.Module) -> list[str]:
    """Return the name of the module that computes each feature map of a model."""
    return [level["module"] for level in _levels(network)]


def _levels(network: nn.Module) -> list[dict[str, Any]]:
    info: Any = getattr(network, "feature_info", None)
    if not info or not hasattr(network, "forward_intermediates"):
        raise ValueError(f"timm's {type(network).__name__} has no feature maps")
    levels: list[dict[str, Any]] = info if isinstance(info, list) else info.info
    return levels


def _built(
    model: str, options: dict[str, Any], size: tuple[int, int] | None
) -> tuple[nn.Module, tuple[int, int] | None]:
    config = config_of(model)
    if not config.get("fixed_input_size"):
        return timm.create_model(model, **options), None
    for option in _FLEXIBLE:
        try:
            return timm.create_model(model, **options, **option), None
        except TypeError as error:  # a family without the option
            if "unexpected keyword" not in str(error):
                raise
    if size is None:
        return timm.create_model(model, **options), config["input_size"][1:]
    stride = strides_of(timm.create_model(model, num_classes=0))[-1]
    padded = (-(-size[0] // stride) * stride, -(-size[1] // stride) * stride)
    return timm.create_model(model, **options, img_size=padded), padded


def _overlay(
    model: str, channels: int, state: dict[str, Tensor], metadata: Mapping[str, str]
) -> dict[str, Any]:
    """Return timm's configuration for loading a file's tensors.

    timm converts a first convolution from its own number of channels to that of the images, which
    has to be switched off if it has the latter already.

    Raises:
        ValueError: If the file is of another model, or for other channels.
    """
    config = config_of(model)
    source = metadata.get("model", model)
    if source.partition(".")[0] != model.partition(".")[0]:
        raise ValueError(f"weights: the file is of {source}, not of {model}")
    for name in ("mean", "std"):
        if name in metadata and json.loads(metadata[name]) != [*config[name]]:
            raise ValueError(
                f"weights: the file is of {source}, with {name} {metadata[name]}, and {model} has "
                f"{[*config[name]]}; give model={source}"
            )
    usual = (config.get("input_size") or (3,))[0]
    stems = config.get("first_conv") or ()
    names = [stems] if isinstance(stems, str) else stems
    overlay: dict[str, Any] = {"state_dict": state, "custom_load": False}
    for weight in (state.get(f"{name}.weight") for name in names):
        if weight is None or weight.ndim != 4 or weight.shape[1] % usual == 0:
            continue
        if weight.shape[1] != channels:
            raise ValueError(
                f"weights: the file is for {weight.shape[1]} image channels, and these images have "
                f"{channels}; give a file for {usual} or {channels}"
            )
        overlay["first_conv"] = None
    return overlay


def _cached(model: str) -> dict[str, Any]:
    """Return timm's configuration for cached weights, if the host does not respond.

    Otherwise timm retries for most of a minute before it reads the cache, or fails.

    Raises:
        ConnectionError: If they are not cached.
    """
    repository = config_of(model).get("hf_hub_id")
    if not repository:
        return {}
    from huggingface_hub import constants, try_to_load_from_cache

    host = urlsplit(constants.ENDPOINT)
    proxied = any(os.environ.get(name) for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY"))
    if proxied or constants.HF_HUB_OFFLINE or _responds(host.hostname or "", host.port or 443):
        return {}
    for name in ("model.safetensors", "pytorch_model.bin"):
        path = try_to_load_from_cache(repository, name)
        if isinstance(path, str):
            return {"file": path}
    raise ConnectionError(f"{host.hostname} does not respond")


def _responds(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=_WAIT).close()
    except OSError:
        return False
    return True


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the logs of timm and the hub, whose errors are reported in one line."""
    before = {name: logging.getLogger(name).level for name in ("timm", "huggingface_hub")}
    try:
        for name in before:
            logging.getLogger(name).setLevel(logging.CRITICAL)
        yield
    finally:
        for name, level in before.items():
            logging.getLogger(name).setLevel(level)


def _first_line(error: Exception) -> str:
    """Return an error in one line; without the heading if there are several."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = lines[1] if len(lines) > 1 and lines[0].endswith(":") else (lines or [""])[0]
    return text or type(error).__name__
