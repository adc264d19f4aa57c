"""The training loop: optimisers, schedules, averages, losses, evaluation, and who follows a run."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
