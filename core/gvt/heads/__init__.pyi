"""Public names of `gvt.heads`, each with its module; imported when first used."""

from .multihead import taught as taught
