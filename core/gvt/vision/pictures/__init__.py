"""Picture files as networks see them, and where each pixel went."""
