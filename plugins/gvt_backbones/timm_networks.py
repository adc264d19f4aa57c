"""timm's networks by name, with weights that are downloaded, of a file, or new."""

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
"""How networks of one image size are told to take others, where they can; by family."""

_WAIT = 5.0
"""Seconds in which the place of timm's weights has to answer."""


def check_name(model: str) -> None:
    """Check that timm has a network of this name, such as `resnet18` or `resnet18.a1_in1k`.

    Raises:
        ValueError: If it has not; names the nearest.
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
    """Return what timm knows of a network's weights: `mean`, `std`, `input_size` and so on."""
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
    """Return a network without its classifier, and the one size that it takes, None for any.

    Args:
        model: timm's name.
        channels: Of the images.
        size: (H, W) of the images, for networks that are built for one; theirs unless given.
        output_stride: Of the coarsest map; convolutions are dilated where it is not the usual.
        pretrained: Download timm's weights.
        weights: A safetensors file in timm's names.

    Raises:
        ValueError: If a weight is not to be had, or the network cannot be built like this.
    """
    given: dict[str, Any] = {"num_classes": 0, "in_chans": channels}
    if output_stride != 32:
        given["output_stride"] = output_stride
    if weights is not None:
        state, metadata = read_weights(Path(weights).expanduser())
        overlay = _taken_for(model, channels, state, metadata)
        given |= {"pretrained": True, "pretrained_cfg_overlay": overlay}
    try:
        if pretrained:
            given |= {"pretrained": True, "pretrained_cfg_overlay": _cached(model)}
        with _quiet():
            network, only_size = _built(model, given, size)
    except Exception as error:
        reason = _first_line(error)
        if pretrained:
            raise ValueError(
                f"pretrained: the weights of {model} cannot be had ({reason}); give weights=FILE, "
                "a safetensors file such as `gvt import` makes of a .pth, or pretrained=false"
            ) from error
        if weights is not None:
            raise ValueError(f"weights: {weights} does not fit {model}: {reason}") from error
        raise ValueError(f"timm's {model} cannot be built so: {reason}") from error
    network.pretrained_cfg = network.default_cfg = config_of(model)  # without the weights in it
    return network, only_size


def read_weights(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Return the tensors and the metadata of a safetensors file.

    Raises:
        ValueError: If it is missing or no safetensors file.
    """
    try:
        check_regular(path)  # a named pipe would be waited for
        with safe_open(path, framework="pt") as file:
            names, metadata = file.keys(), file.metadata() or {}
            return {name: file.get_tensor(name) for name in names}, metadata
    except FileNotFoundError as error:
        raise ValueError(f"weights: there is no file {str(path)!r}") from error
    except (OSError, SafetensorError) as error:
        raise ValueError(
            f"weights: {str(path)!r} is no safetensors file ({_first_line(error)}); "
            "`gvt import FILE.pth --model NAME -o FILE.safetensors` makes one"
        ) from error


def check_all_there(network: nn.Module, weights: str, model: str) -> None:
    """Check that a file had every weight of what is left of a network; timm takes what there is.

    Raises:
        ValueError: If it had not.
    """
    optional = ("num_batches_tracked", "relative_position_index", "relative_coords_table")
    with safe_open(Path(weights).expanduser(), framework="pt") as file:
        there = {*file.keys()}
    own = network.state_dict()
    missing = [name for name in own if name not in there and not name.endswith(optional)]
    if missing:
        raise ValueError(
            f"weights: {weights} lacks {len(missing)} of the {len(own)} tensors of {model}, first "
            f"{missing[0]}; `gvt import` takes files in other names"
        )


def strides_of(network: nn.Module) -> list[int]:
    """Return the stride of every map that a network can give, the finest first.

    Raises:
        ValueError: If it gives none.
    """
    info = getattr(network, "feature_info", None)
    if not info or not hasattr(network, "forward_intermediates"):
        raise ValueError(f"timm's {type(network).__name__} gives no feature maps")
    levels = info if isinstance(info, list) else info.info
    return [level["reduction"] for level in levels]


def _built(
    model: str, given: dict[str, Any], size: tuple[int, int] | None
) -> tuple[nn.Module, tuple[int, int] | None]:
    config = config_of(model)
    if not config.get("fixed_input_size"):
        return timm.create_model(model, **given), None
    for option in _FLEXIBLE:
        try:
            return timm.create_model(model, **given, **option), None
        except TypeError as error:  # a family that does not know the option
            if "unexpected keyword" not in str(error):
                raise
    if size is None:
        return timm.create_model(model, **given), config["input_size"][1:]
    stride = strides_of(timm.create_model(model, num_classes=0))[-1]
    padded = (-(-size[0] // stride) * stride, -(-size[1] // stride) * stride)
    return timm.create_model(model, **given, img_size=padded), padded


def _taken_for(
    model: str, channels: int, state: dict[str, Tensor], metadata: Mapping[str, str]
) -> dict[str, Any]:
    """Return what timm is told of a file's tensors.

    timm turns a first convolution for its own number of channels into one for ours, and has to
    be told where it is one for ours already.

    Raises:
        ValueError: If the file is of another network, or for other channels.
    """
    config = config_of(model)
    of = metadata.get("model", model)
    if of.partition(".")[0] != model.partition(".")[0]:
        raise ValueError(f"weights: the file is of {of}, and not of {model}")
    for name in ("mean", "std"):
        if name in metadata and json.loads(metadata[name]) != [*config[name]]:
            raise ValueError(
                f"weights: the file is of {of}, with {name} {metadata[name]}, and {model} has "
                f"{[*config[name]]}; give model={of}"
            )
    usual = (config.get("input_size") or (3,))[0]
    stems = config.get("first_conv") or ()
    found = [state.get(f"{stem}.weight") for stem in ([stems] if isinstance(stems, str) else stems)]
    overlay: dict[str, Any] = {"state_dict": state, "custom_load": False}
    for weight in found:
        if weight is None or weight.ndim != 4 or weight.shape[1] % usual == 0:
            continue
        if weight.shape[1] != channels:
            raise ValueError(
                f"weights: the file is for {weight.shape[1]} image channels, and these have "
                f"{channels}; one for {usual} or {channels} can be taken"
            )
        overlay["first_conv"] = None
    return overlay


def _cached(model: str) -> dict[str, Any]:
    """Return where weights are that were downloaded before, if their place does not answer.

    Without that timm asks for most of a minute before it looks, or gives up.

    Raises:
        ConnectionError: If there are none.
    """
    repository = config_of(model).get("hf_hub_id")
    if not repository:
        return {}
    from huggingface_hub import constants, try_to_load_from_cache

    place = urlsplit(constants.ENDPOINT)
    proxied = any(os.environ.get(name) for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY"))
    if proxied or constants.HF_HUB_OFFLINE or _answers(place.hostname or "", place.port or 443):
        return {}
    for name in ("model.safetensors", "pytorch_model.bin"):
        found = try_to_load_from_cache(repository, name)
        if isinstance(found, str):
            return {"file": found}
    raise ConnectionError(f"{place.hostname} does not answer")


def _answers(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=_WAIT).close()
    except OSError:
        return False
    return True


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep timm and the hub from logging what is told in one line, or is meant."""
    before = {name: logging.getLogger(name).level for name in ("timm", "huggingface_hub")}
    try:
        for name in before:
            logging.getLogger(name).setLevel(logging.CRITICAL)
        yield
    finally:
        for name, level in before.items():
            logging.getLogger(name).setLevel(level)


def _first_line(error: Exception) -> str:
    """Return an error in one line; of several, what follows the heading."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = lines[1] if len(lines) > 1 and lines[0].endswith(":") else (lines or [""])[0]
    return text or type(error).__name__
