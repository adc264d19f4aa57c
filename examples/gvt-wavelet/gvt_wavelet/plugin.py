"""Components, command and hook of the plugin, imported by every `gvt`, and so without torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from gvt_registry import Component, hookimpl

gvt_api = 1  # the version of gvt's plugin API


@hookimpl
def gvt_components() -> list[Component]:
    """Return the generator, the head, the data set and the recipes."""
    rows = [
        ("generator", "wavelet", "generator:WaveletGenerator", "Haar coefficients to images"),
        ("head", "wavelet_energy", "head:WaveletEnergy", "Classifier on Haar band energies"),
        ("dataset", "textures", "textures:Textures", "Synthetic stripes and checks"),
    ]
    recipes = [
        ("textures", "Generator of stripes and checks, from wavelet coefficients"),
        ("classify", "Classifier of stripes and checks, by their wavelet energy"),
    ]
    return [
        *(
            Component(kind, name, f"gvt_wavelet.{at}", summary=text)
            for kind, name, at, text in rows
        ),
        *(
            Component("recipe", f"wavelet.{name}", f"gvt_wavelet:recipes/{name}.yaml", summary=text)
            for name, text in recipes
        ),
    ]


@hookimpl
def gvt_commands() -> list[click.Command]:
    """Return the command `gvt wavelet`."""
    from gvt_wavelet.command import wavelet

    return [wavelet]


@hookimpl
def gvt_pictures_drawn(run: Any, step: int, pictures: Mapping[str, Any]) -> None:
    """Record the energy shares of the wavelet bands of a generator's samples."""
    config = run.config
    if run.folder is None or config is None or config.generator is None:
        return
    if config.generator.name == "wavelet":  # only for runs with this plugin's generator
        from gvt_wavelet.follow import note

        note(run.folder / "wavelet.jsonl", step, pictures)
