"""Attention layers and attention masks."""

from . import attention, multi_head

__all__ = ["attention", "multi_head"]
