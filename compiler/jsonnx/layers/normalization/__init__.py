"""Batch, layer, group, unit and spectral normalization."""

from . import normalization, spectral

__all__ = ["normalization", "spectral"]
