"""Public names of `gvt.runs`, each with its module; imported when first used."""

from .folder import RunFolder as RunFolder
from .log import (
    Curves as Curves,
    Log as Log,
    Points as Points,
    guessed as guessed,
    read_log as read_log,
)
from .writer import sole_writer as sole_writer
