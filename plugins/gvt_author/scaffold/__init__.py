"""A new plugin's distribution, written from templates: one working component of a kind."""

from gvt_author.scaffold.create import KINDS, create

__all__ = ["KINDS", "create"]
