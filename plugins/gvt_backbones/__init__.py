"""Backbones: feature extractors, and the import of published weights."""
