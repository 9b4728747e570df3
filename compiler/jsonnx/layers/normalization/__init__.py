"""Batch, layer, group, unit and spectral normalization."""
