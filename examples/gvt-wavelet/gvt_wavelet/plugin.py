"""What this plugin brings. It is imported by every `gvt`, and so it imports nothing heavy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from gvt_registry import Component, hookimpl

gvt_api = 1  # the version of gvt's plugin API that this was written for


@hookimpl
def gvt_components() -> list[Component]:
    """Offer the networks, the data and the recipes."""
    rows = [
        ("generator", "wavelet", "generator:WaveletGenerator", "Haar coefficients, inverted"),
        ("head", "wavelet_energy", "head:WaveletEnergy", "Classes by the energy of Haar bands"),
        ("dataset", "textures", "textures:Textures", "Stripes and checks, drawn as asked for"),
    ]
    recipes = [
        ("textures", "Stripes and checks out of noise, through wavelet coefficients"),
        ("classify", "Stripes and checks told apart by their wavelet energy"),
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
    """Offer `gvt wavelet`."""
    from gvt_wavelet.command import wavelet

    return [wavelet]


@hookimpl
def gvt_pictures_drawn(run: Any, step: int, pictures: Mapping[str, Any]) -> None:
    """Note how a wavelet generator's samples spread their energy over the bands."""
    config = run.config
    if run.folder is None or config is None or config.generator is None:
        return
    if config.generator.name == "wavelet":  # this plugin minds its own runs
        from gvt_wavelet.follow import note

        note(run.folder / "wavelet.jsonl", step, pictures)
