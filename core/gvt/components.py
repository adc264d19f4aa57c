"""Names of the registry that are names of `gvt` as well."""

from gvt_registry import Component, default_registry

__all__ = ["Component", "register"]

register = default_registry().register
