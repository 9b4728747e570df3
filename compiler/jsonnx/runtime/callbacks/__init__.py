"""Callbacks: their base class, hooks and states."""
