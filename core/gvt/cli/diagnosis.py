"""`gvt doctor`: the state of an installation, for a bug report."""

from __future__ import annotations

import os
import platform
import shutil
import sys

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
    """Return a table of versions, devices, plugins and data sets."""
    registry = default_registry()
    registry.offers()  # finds the plugins whose hooks fail
    settings = settings_file()
    rows = [
        ("python", f"{sys.version.split()[0]} on {platform.platform()}"),
        *library_versions().items(),
        *(("device", device.name_of(torch.device(name))) for name in device.available()),
        ("auto", device.Placement.resolve().describe()),
        ("disk free", f"{shutil.disk_usage('.').free / 1e9:.1f} GB here"),
        *((name, os.environ.get(name, "not set")) for name in VARIABLES),
        ("settings", f"{settings}{'' if settings.exists() else ', does not exist'}"),
    ]
    for plugin in registry.plugins:
        state = plugin.state + (f": {plugin.problem}" if plugin.problem else "")
        milliseconds = f"{plugin.load_seconds * 1000:.0f} ms"
        rows.append((f"plugin {plugin.name}", f"{plugin.origin}, {milliseconds}, {state}"))
        rows += [(f"plugin {plugin.name}", f"warning: {text}") for text in plugin.warnings]
    return aligned([*rows, *_data_sets()], indent="")


def _data_sets() -> list[tuple[str, str]]:
    """Return rows for the data sets that can be opened, and for the settings of the others."""
    rows: list[tuple[str, str]] = []
    incomplete: dict[tuple[str, ...], list[str]] = {}  # names by missing settings
    for offer in default_registry().offers("dataset"):
        name = offer.component.name
        try:
            dataset = offer.load()
            parameters, _ = signature_of(dataset)
            required = (name for name, parameter in parameters.items() if parameter.required)
            missing = tuple(name for name in required if name not in INJECTED["dataset"])
            count = 0 if missing else len(dataset(split=dataset.splits[0]))
            if missing or (not count and PATH_NAME in parameters):
                incomplete.setdefault(missing or (PATH_NAME,), []).append(name)
            else:
                rows.append((f"data {name}", f"ready: {count:,} samples ({dataset.splits[0]})"))
        except (Exception, SystemExit) as error:  # a plugin's data set may raise anything
            label = f"cannot be opened: {type(error).__name__}: "
            rows.append((f"data {name}", f"{'' if isinstance(error, GvtError) else label}{error}"))
    if names := incomplete.pop((PATH_NAME,), []):
        rows.append(("data with a path", f"{', '.join(names)}: give data.{PATH_NAME}=PATH"))
    for missing, names in incomplete.items():
        settings = ", ".join(f"data.{name}" for name in missing)
        rows.append(("data with settings", f"{', '.join(names)}: give {settings}"))
    return rows
