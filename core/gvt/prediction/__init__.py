"""What trained networks say of people's pictures, of any size."""

from gvt.prediction.predict import predict
from gvt.prediction.result import Predicted

__all__ = ["Predicted", "predict"]
