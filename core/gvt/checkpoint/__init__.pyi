"""Public names of `gvt.checkpoint`, each with its module; imported when first used."""

from .bounded import shortened as shortened
from .file import load as load, save as save
from .training import CheckpointFolder as CheckpointFolder, load_weights as load_weights
