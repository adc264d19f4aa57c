"""Rules on a plugin as a whole: the imports of listing it, and its hooks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from gvt_author.testing.check import Failed, Skipped, rule
from gvt_registry import Plugin, default_registry
from gvt_registry.installed import GROUP

HEAVY = (
    *("torch", "torchvision", "torchmetrics", "torchaudio", "timm", "numpy", "scipy", "pandas"),
    *("PIL", "cv2", "skimage", "sklearn", "matplotlib", "tensorboard", "tensorflow", "jax"),
    *("onnx", "onnxruntime", "transformers", "diffusers", "safetensors", "pydantic"),
)
"""Packages that a plugin must not import before one of its components is used."""

TIMEOUT = 60
"""Seconds after which listing counts as hanging."""

# Runs in a fresh interpreter. A finder records every import of these packages with its place.
_LIST = """
import importlib.metadata, importlib.util, json, sys
name, path, group, heavy = json.loads(sys.argv[1])
found = []

class Watch:
    def find_spec(self, module, *rest):
        if module in heavy:
            frame = sys._getframe(1)
            while "importlib" in frame.f_code.co_filename or frame.f_code.co_filename == "<string>":
                frame = frame.f_back
                if frame is None:
                    return None
            found.append([module, frame.f_code.co_filename, frame.f_lineno])

sys.meta_path.insert(0, Watch())
if path:
    spec = importlib.util.spec_from_file_location(name, path)
    plugin = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(plugin)
else:
    points = importlib.metadata.entry_points(group=group)
    plugin = next(p for p in points if p.name == name).load()
offer = getattr(plugin, "gvt_components", None)
offered = offer() if offer else ()
list(offered) if hasattr(offered, "__iter__") else offered
print("\\n" + json.dumps(found))
"""


@rule("plugin")
def listing(plugin: Plugin) -> None:
    """Listing the components of a plugin imports no heavy package, so `gvt list` stays fast."""
    path = str(plugin.path) if plugin.path else ""
    name = plugin.name.rpartition(":")[2]  # the second plugin of a name has a prefix
    done = subprocess.run(
        [sys.executable, "-c", _LIST, json.dumps([name, path, GROUP, HEAVY])],
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise Failed(f"it cannot be listed in a fresh interpreter: {last}")
    imports = json.loads(done.stdout.strip().splitlines()[-1])
    if imports:
        module, file, line = imports[0]
        raise Failed(
            f"listing imports {module} ({Path(file).name}, line {line}); import it in the module "
            "that a component's target names, or inside the hook"
        )


@rule("plugin")
def hooks(plugin: Plugin) -> None:
    """Every hook is marked and spelled correctly, and every command has a help text."""
    if plugin.warnings:
        raise Failed(plugin.warnings[0])
    import click

    for owner, offered in default_registry().plugins.implementations("gvt_commands"):
        for command in offered() if owner is plugin else ():
            if not isinstance(command, click.Command):
                raise Failed(f"gvt_commands returned {command!r}, which is not a click.Command")
            if not command.get_short_help_str():
                raise Failed(f"command {command.name!r} has no help; give it a docstring")


@rule("plugin")
def run(plugin: Plugin) -> None:
    """No hook raises during a whole run, with evaluation and images."""
    from gvt_author.testing.following import follow

    with TemporaryDirectory(prefix="gvt-run-") as folder:
        called, problems = follow(plugin, Path(folder))
    if problems:
        raise Failed(problems[0])
    if not called:
        raise Skipped("it has no run hooks")
