"""What a run computed on: versions, device, plugins."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterable, Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch

from gvt.device.placement import Placement, name_of
from gvt_registry import Offer, Plugin, Plugins

LIBRARIES = ("gvt", "torch", "torchvision", "torchmetrics", "safetensors", "numpy")


CONSEQUENCES = {
    "device": "results may differ in the last bits",
    "threads": "results may differ in the last bits",
    "versions": "results may differ in the last bits",
    "processes": "a step now takes another number of samples",
}


def environment(
    placement: Placement, processes: int, plugins: Plugins, offers: Iterable[Offer]
) -> dict[str, Any]:
    """Return what is needed to judge whether another run was computed alike.

    Args:
        placement: Where and how it computes.
        processes: How many processes it has.
        plugins: The plugins of this process.
        offers: Who offers the components that it uses.
    """
    only = plugins.only
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
        "only_plugins": None if only is None else list(only),
    }


def taking_part(plugins: Plugins, offers: Iterable[Offer]) -> dict[str, dict[str, Any]]:
    """Return what identifies each plugin that offers a used component, or has run hooks."""
    offering = {offer.plugin for offer in offers}
    return {
        plugin.name: _identity(plugin)
        for plugin in plugins
        if plugin.name in offering or plugins.follows_runs(plugin)
    }


def changes(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return a line for each thing that results depend on and that is not what it was.

    Args:
        then: The environment of a checkpoint.
        now: That of this process.
    """
    lines = [
        f"{name}: was {then[name]}, now {now[name]}; {consequence}"
        for name, consequence in CONSEQUENCES.items()
        if then.get(name) != now[name]
    ]
    before, after = (
        {name: _described(identity) for name, identity in found.get("plugins", {}).items()}
        for found in (then, now)
    )
    lines += [
        f"plugin {name}: was {before.get(name, 'not there')}, now {after.get(name, 'not there')}; "
        "results may differ"
        for name in sorted({*before, *after})
        if before.get(name) != after.get(name)
    ]
    return lines


def _identity(plugin: Plugin) -> dict[str, Any]:
    if plugin.path is not None:
        return {"file": str(plugin.path), "sha256": plugin.sha256, "api": plugin.api}
    return {
        "distribution": plugin.distribution,
        "version": plugin.version,
        "api": plugin.api,
    }


def _described(identity: Mapping[str, Any] | str) -> str:
    """Return what tells one version of a plugin from another; where a file stands does not."""
    if isinstance(identity, str):  # as runs once wrote it
        return identity
    if "sha256" in identity:
        return f"a file with SHA-256 {str(identity['sha256'])[:12]}"
    return f"{identity.get('distribution', '')} {identity.get('version', '')}".strip()


def library_versions() -> dict[str, str]:
    """Return the versions of the libraries that results depend on."""
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found
