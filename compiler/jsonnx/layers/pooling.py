"""Pooling over windows and over whole images."""

from __future__ import annotations
