"""Public names of `gvt.runs`, each with its module; imported when first used."""

from .folder import RunFolder as RunFolder
from .log import (
    Curves as Curves,
    Log as Log,
    Points as Points,
    kind_of as kind_of,
    of_one_class as of_one_class,
    read_log as read_log,
)
from .writer import sole_writer as sole_writer
