"""Layers that normalise by statistics of a batch, of features or of the data set."""

from __future__ import annotations
