"""Public names of `gvt.cli`, each with its module; imported when first used."""

from .commands import show_evaluation as show_evaluation
from .extension import Extension as Extension
from .listing import aligned as aligned
from .options import (
    Output as Output,
    debug_option as debug_option,
    plugin_option as plugin_option,
    shifted as shifted,
)
