"""Describe the environment of a run: versions, device, plugins."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch

from gvt.device.placement import Placement, name_of
from gvt_registry import Offer, Plugin, Plugins

LIBRARIES = ("gvt", "torch", "torchvision", "torchmetrics", "safetensors", "numpy")

CONSEQUENCES = {
    **dict.fromkeys(("device", "threads", "versions"), "results may differ in the last bits"),
    "processes": "a step now takes another number of samples",
}


def environment(
    placement: Placement, processes: int, plugins: Plugins, offers: Iterable[Offer]
) -> dict[str, Any]:
    """Return the versions, device and plugins that the results of a run depend on.

    Args:
        placement: Device, precision and memory format.
        processes: Number of processes.
        plugins: The plugins of this process.
        offers: Offers of the components that the run uses.
    """
    return {
        "python": sys.version.split()[0],
        "platform": platform.platform(),
        "versions": library_versions(),
        "device": name_of(placement.device),
        "precision": placement.precision,
        "memory_format": placement.memory_format,
        "threads": torch.get_num_threads(),
        "processes": processes,
        "plugins": taking_part(plugins, offers),
        "only_plugins": None if plugins.only is None else list(plugins.only),
    }


def taking_part(plugins: Plugins, offers: Iterable[Offer]) -> dict[str, dict[str, Any]]:
    """Return the identity of each plugin that offers a used component, or has run hooks."""
    offering = {offer.plugin for offer in offers}
    used = (p for p in plugins if p.name in offering or plugins.follows_runs(p))
    return {plugin.name: _identity(plugin) for plugin in used}


def changes(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return a line for each difference of two environments that results depend on.

    Args:
        then: Environment of a checkpoint.
        now: Environment of this process.
    """
    lines = [
        f"{name}: was {then[name]}, now {now[name]}; {consequence}"
        for name, consequence in CONSEQUENCES.items()
        if then.get(name) != now[name]
    ]
    before, after = then.get("plugins", {}), now["plugins"]
    for name in sorted({*before, *after}):
        was, now_is = (_described(plugins.get(name, "not there")) for plugins in (before, after))
        if was != now_is:
            lines.append(f"plugin {name}: was {was}, now {now_is}; results may differ")
    return lines


def _identity(plugin: Plugin) -> dict[str, Any]:
    if plugin.path is not None:
        return {"file": str(plugin.path), "sha256": plugin.sha256, "api": plugin.api}
    return {name: getattr(plugin, name) for name in ("distribution", "version", "api")}


def _described(identity: Mapping[str, Any] | str) -> str:
    """Return the version of a plugin as text; the path of its file is not part of it."""
    if isinstance(identity, str):  # in older runs, or if it is not there
        return identity
    if "sha256" in identity:
        return f"a file with SHA-256 {str(identity['sha256'])[:12]}"
    return f"{identity.get('distribution', '')} {identity.get('version', '')}".strip()


def library_versions() -> dict[str, str]:
    """Return the versions of the libraries that results depend on."""
    versions = dict.fromkeys(LIBRARIES, "not installed")
    for name in LIBRARIES:
        with suppress(PackageNotFoundError):
            versions[name] = version(name)
    return versions
