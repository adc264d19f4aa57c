"""Whether the weights of what is being built come from a checkpoint, so that none need be read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_restoring = ContextVar("restoring", default=False)


def restoring() -> bool:
    """Return whether what is being built is given a checkpoint's weights right afterwards.

    A network that reads pretrained weights in its constructor asks this first and leaves them
    unread, so that a checkpoint is loaded where their file or the network is not at hand:

        if weights is not None and not gvt.restoring():
            self.load_state_dict(safetensors.torch.load_file(weights))
    """
    return _restoring.get()


@contextmanager
def built_for(checkpoint: bool) -> Iterator[None]:
    """Say to whatever is built within whether a checkpoint's weights follow."""
    token = _restoring.set(checkpoint)
    try:
        yield
    finally:
        _restoring.reset(token)
