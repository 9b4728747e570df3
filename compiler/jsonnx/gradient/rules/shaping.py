"""Operators that rearrange elements."""

from __future__ import annotations
