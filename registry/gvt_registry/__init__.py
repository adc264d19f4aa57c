"""The plugin system of gvt: components, hook specifications and installed plugins.

It imports neither torch nor gvt, so that listing all that is installed is fast.
"""

from gvt_registry.component import KINDS, Component, Offer
from gvt_registry.errors import (
    AmbiguousComponent,
    BrokenComponent,
    GvtError,
    UnknownComponent,
    UsageError,
    nearest,
)
from gvt_registry.hookspecs import API_VERSION, hookimpl
from gvt_registry.plugin import Plugin
from gvt_registry.plugins import Plugins
from gvt_registry.registry import Registry, default_registry
from gvt_registry.target import Target

__all__ = [
    "API_VERSION",
    "KINDS",
    "AmbiguousComponent",
    "BrokenComponent",
    "Component",
    "GvtError",
    "Offer",
    "Plugin",
    "Plugins",
    "Registry",
    "Target",
    "UnknownComponent",
    "UsageError",
    "default_registry",
    "hookimpl",
    "nearest",
]
