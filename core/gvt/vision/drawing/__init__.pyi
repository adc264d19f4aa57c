"""Public names of `gvt.vision.drawing`, each with its module; imported when first used."""

from .figures import figure_of as figure_of, save_matrix as save_matrix
from .legend import Item as Item, with_legend as with_legend
from .overlay import Mark as Mark, draw_marks as draw_marks, paint_classes as paint_classes
from .palette import MOST_CLASSES as MOST_CLASSES, indexed_palette as indexed_palette
from .samples import (
    sample_tile as sample_tile,
    save_samples as save_samples,
    save_tiles as save_tiles,
    words_of as words_of,
)
from .tiles import (
    LONGEST_TITLE as LONGEST_TITLE,
    PADDING as PADDING,
    caption as caption,
    tiled as tiled,
)
