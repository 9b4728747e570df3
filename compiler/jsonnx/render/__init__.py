"""Diagnostics, summaries, comparisons and reference pages, as text and in machine-readable formats."""
