"""`gvt doctor`: one screen for a bug report."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from typing import Any

import torch

from gvt.cli.listing import aligned
from gvt.config.injected import INJECTED
from gvt.config.parameters import signature_of
from gvt.config.paths import PATH_NAME
from gvt.device import placement as device
from gvt.errors import GvtError
from gvt.runs.environment import library_versions
from gvt_registry import default_registry
from gvt_registry.choice import BLOCK_VARIABLE, ONLY_VARIABLE, settings_file

VARIABLES = ("GVT_DATA", BLOCK_VARIABLE, ONLY_VARIABLE)


def diagnosis() -> str:
    """Return versions, devices, plugins and data sets found."""
    registry = default_registry()
    registry.offers()  # a plugin may turn out to be broken when it is asked
    settings = settings_file()
    free = shutil.disk_usage(".").free
    rows = [
        ("python", f"{sys.version.split()[0]} on {platform.platform()}"),
        *library_versions().items(),
        *(("device", device.name_of(torch.device(name))) for name in device.available()),
        ("auto", device.Placement.resolve().describe()),
        ("disk free", f"{free / 1e9:.1f} GB here"),
        *((name, os.environ.get(name, "not set")) for name in VARIABLES),
        ("settings", f"{settings}{'' if settings.exists() else ', no such file'}"),
    ]
    for plugin in registry.plugins:
        state = plugin.state + (f": {plugin.problem}" if plugin.problem else "")
        milliseconds = f"{plugin.load_seconds * 1000:.0f} ms"
        rows.append((f"plugin {plugin.name}", f"{plugin.origin}, {milliseconds}, {state}"))
        rows += [(f"plugin {plugin.name}", f"warning: {text}") for text in plugin.warnings]
    return aligned([*rows, *_data_sets()], indent="")


def _data_sets() -> list[tuple[str, str]]:
    """Return rows about the data sets: those that open as they are, and what the others need."""
    rows: list[tuple[str, str]] = []
    waiting: dict[tuple[str, ...], list[str]] = {}
    for offer in default_registry().offers("dataset"):
        name = offer.component.name
        try:
            dataset = offer.load()
            needs = _required(dataset)
            count = 0 if needs else len(dataset(split=dataset.splits[0]))
            if needs or (not count and PATH_NAME in signature_of(dataset)[0]):
                waiting.setdefault(needs or (PATH_NAME,), []).append(name)
            else:
                rows.append((f"data {name}", f"ready: {count:,} images ({dataset.splits[0]})"))
        except GvtError as error:
            rows.append((f"data {name}", str(error)))
        except (Exception, SystemExit) as error:  # a plugin's data set may raise anything
            text = f"cannot be opened: {type(error).__name__}: {error}"
            rows.append((f"data {name}", text))
    paths = waiting.pop((PATH_NAME,), [])
    if paths:
        rows.append(("data with a path", f"{', '.join(paths)}: give data.{PATH_NAME}=PATH"))
    for needs, names in waiting.items():
        settings = ", ".join(f"data.{name}" for name in needs)
        rows.append(("data with settings", f"{', '.join(names)}: give {settings}"))
    return rows


def _required(dataset: Any) -> tuple[str, ...]:
    """Return the parameters of a data set that have no default and are not filled in."""
    declared, _ = signature_of(dataset)
    filled_in = INJECTED["dataset"]
    return tuple(p.name for p in declared.values() if p.required and p.name not in filled_in)
