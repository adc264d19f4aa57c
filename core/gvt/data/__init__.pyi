"""Public names of `gvt.data`, each with its module; imported when first used."""

from .facts import DataFacts as DataFacts
from .loading import HeldOut as HeldOut, resolved as resolved
from .objects import tidied as tidied
from .sources import Streamed as Streamed
