"""Activation functions that are operators of their own."""

from __future__ import annotations
