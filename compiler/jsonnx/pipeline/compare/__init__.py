"""Specs, revisions and runs side by side."""
