"""Preprocessing layers, including those whose state is set from the data by `adapt`."""

from . import audio, category_encoding, lookup, numerical, pipeline, text_vectorization

__all__ = ["audio", "category_encoding", "lookup", "numerical", "pipeline", "text_vectorization"]
