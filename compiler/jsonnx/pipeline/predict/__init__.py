"""Predictions for data of any size, which are computed and written in parts."""
