"""Public names of `gvt.vision.pictures`, each with its module; imported when first used."""

from .fitting import Filter as Filter, Fit as Fit, fitted as fitted
from .folders import (
    by_suffix as by_suffix,
    composed as composed,
    counted as counted,
    files_in as files_in,
    is_passed_over as is_passed_over,
    overlooked as overlooked,
)
from .reader import pixels_of as pixels_of
from .reading import (
    SUFFIXES as SUFFIXES,
    UnreadablePicture as UnreadablePicture,
    eight_bit as eight_bit,
    opaque as opaque,
    pages_in as pages_in,
    picture_file as picture_file,
)
