"""Gather, scatter and sort."""

from __future__ import annotations
