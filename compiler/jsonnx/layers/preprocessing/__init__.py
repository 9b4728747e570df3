"""Preprocessing layers, including those that learn a state from the data with `adapt`."""

from . import audio, category_encoding, lookup, numerical, pipeline, text_vectorization

__all__ = ["audio", "category_encoding", "lookup", "numerical", "pipeline", "text_vectorization"]
