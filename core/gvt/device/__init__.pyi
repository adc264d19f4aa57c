"""Public names of `gvt.device`, each with its module; imported when first used."""

from .placement import (
    available as available,
    deterministic_algorithms as deterministic_algorithms,
    explained_memory as explained_memory,
    keep_freed_memory as keep_freed_memory,
)
from .processes import world as world
