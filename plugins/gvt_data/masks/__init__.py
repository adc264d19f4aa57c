"""Pictures with a mask each, which says of every pixel what it is."""
