"""Weights in and out of other formats. Imports nothing of ours but `diagnostics`."""
