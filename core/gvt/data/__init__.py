"""Data loading: samples to batches on the device, in an order that depends on (seed, epoch)."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
