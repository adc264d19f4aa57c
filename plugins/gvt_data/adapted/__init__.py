"""Data sets from images and targets in memory, lists of files, and data sets of torch."""
