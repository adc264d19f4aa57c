"""Detection: boxes, and masks, of single objects."""
