"""Runs as images and pages: sheets of samples, plots, and the report."""
