"""Recipes and their validated configuration."""

import lazy_loader

# Not when first used: `gvt.config.compose` would be the module of that name by then.
from gvt.config.compose import compose as compose

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
