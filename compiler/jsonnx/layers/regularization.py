"""Layers that act in training only: Dropout."""

from __future__ import annotations
