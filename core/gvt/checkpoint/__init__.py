"""Checkpoints: safetensors files with all tensors, and a JSON document in the metadata.

`document` reads and checks the header without torch; `file` reads and writes the tensors. There is
no pickle, and a file cannot name code to import.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
