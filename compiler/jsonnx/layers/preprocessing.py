"""Layers that scale raw data inside the graph: Rescaling, Normalization."""

from __future__ import annotations
