"""Layers that rearrange elements: Flatten, Reshape, Permute, padding."""

from __future__ import annotations
