"""Runs as TensorBoard shows them."""
