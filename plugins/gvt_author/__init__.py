"""Tools for authors of plugins: the conformance kit, and the generator of new plugins."""
