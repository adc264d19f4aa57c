"""COCO's formats: results of detectors as JSON, and masks as run lengths."""

from gvt.vision.coco.results import Results, results_of
from gvt.vision.coco.run_lengths import RLE, decoded, drawable, encoded, encoded_part, hull

__all__ = ["RLE", "Results", "decoded", "drawable", "encoded", "encoded_part", "hull", "results_of"]
