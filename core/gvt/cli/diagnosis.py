"""`gvt doctor`: one screen for a bug report."""

from __future__ import annotations

import os
import platform
import shutil
import sys

import torch

from gvt.cli.listing import aligned
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
    rows += [(f"data {name}", found) for name, found in _data_sets()]
    return aligned(rows, indent="")


def _data_sets() -> list[tuple[str, str]]:
    """Return of each data set whether it opens as it comes."""
    found = []
    for offer in default_registry().offers("dataset"):
        name = offer.component.name
        try:
            dataset = offer.load()
            count = len(dataset(split=dataset.splits[0]))
            found.append((name, f"{count:,} images ({dataset.splits[0]})"))
        except GvtError as error:
            found.append((name, str(error)))
        except TypeError:
            found.append((name, "needs parameters, such as data.root"))
        except (Exception, SystemExit) as error:  # a plugin's data set may raise anything
            found.append((name, f"cannot be opened: {type(error).__name__}: {error}"))
    return found
