"""Attention layers, attention masks and positions."""

from . import attention, multi_head, position_embeddings, rotary_embedding

__all__ = ["attention", "multi_head", "position_embeddings", "rotary_embedding"]
