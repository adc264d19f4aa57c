"""The distribution of a new plugin, generated from templates, with one working component."""

from gvt_author.scaffold.create import KINDS, create

__all__ = ["KINDS", "create"]
