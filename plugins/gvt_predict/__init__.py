"""Prediction for images of any size: classes, masks and objects; and their evaluation."""
