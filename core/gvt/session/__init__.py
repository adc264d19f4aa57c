"""From a configuration, or a checkpoint, to something that computes."""
