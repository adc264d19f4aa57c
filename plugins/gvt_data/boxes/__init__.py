"""Pictures with boxes around single objects, in the formats that people have them in."""
