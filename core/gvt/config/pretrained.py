"""Tell networks that are being built whether their weights come from a checkpoint."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_restoring = ContextVar("restoring", default=False)


def restoring() -> bool:
    """Return whether the weights of a checkpoint are loaded right after construction.

    A network that reads pretrained weights in its constructor skips that if this is true, so that
    a checkpoint can be loaded where the file, or access to the internet, is missing:

        if weights is not None and not gvt.restoring():
            self.load_state_dict(safetensors.torch.load_file(weights))
    """
    return _restoring.get()


@contextmanager
def built_for(checkpoint: bool) -> Iterator[None]:
    """Set the value of `restoring()` inside."""
    token = _restoring.set(checkpoint)
    try:
        yield
    finally:
        _restoring.reset(token)
