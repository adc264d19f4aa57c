"""Drawing: images with labels, boxes and masks on them, colours of classes, sheets, figures."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
