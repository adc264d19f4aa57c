"""Predictions for images of any size: names, masks, objects; and their figures."""
