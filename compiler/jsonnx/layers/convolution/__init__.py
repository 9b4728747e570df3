"""Convolutions, transposed convolutions and pooling."""

from . import conv_transpose, convolution, pooling

__all__ = ["conv_transpose", "convolution", "pooling"]
