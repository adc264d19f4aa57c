"""Data sets of images with masks: the class of each pixel."""
