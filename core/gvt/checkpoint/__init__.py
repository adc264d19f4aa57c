"""One safetensors file: every tensor, and one JSON document under one metadata key.

`document` reads and checks what a file says of itself without torch; `file` reads and writes the
tensors. No pickle anywhere, and nothing in a file names code to import.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
