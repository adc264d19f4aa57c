"""From samples to batches on the device, in an order that is a function of (seed, epoch)."""

from gvt.data.loading import Loader
from gvt.data.order import Order

__all__ = ["Loader", "Order"]
