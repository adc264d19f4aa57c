"""Where and how to compute: devices, precision, processes."""
