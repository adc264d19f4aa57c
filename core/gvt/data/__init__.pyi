"""Public names of `gvt.data`, each with its module; imported when first used."""

from .loading import HeldOut as HeldOut, resolved as resolved
from .objects import of_objects as of_objects, picked as picked, tidied as tidied
from .sources import Streamed as Streamed
