"""For authors of plugins: the conformance kit, and a distribution to begin with."""
