"""Public names of `gvt.runs`, each with its module; imported when first used."""

from .folder import RunFolder as RunFolder
from .writer import sole_writer as sole_writer
