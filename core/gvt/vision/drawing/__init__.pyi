"""Public names of `gvt.vision.drawing`, each with its module; imported when first used."""

from .figures import figure_of as figure_of, save_matrix as save_matrix
from .outlines import edges as edges, outline as outline
from .palette import (
    MOST_CLASSES as MOST_CLASSES,
    Color as Color,
    color_of as color_of,
    indexed_palette as indexed_palette,
    paint as paint,
    text_color as text_color,
)
from .samples import save_mistakes as save_mistakes, save_samples as save_samples
from .tiles import (
    LONGEST_TITLE as LONGEST_TITLE,
    PADDING as PADDING,
    as_images as as_images,
    caption as caption,
    tiled as tiled,
)
