"""Names of the registry that `gvt` exports."""

from gvt_registry import Component, default_registry

__all__ = ["Component", "register"]

register = default_registry().register
