"""A log of runs for TensorBoard."""
