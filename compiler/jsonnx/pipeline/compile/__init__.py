"""Checked spec -> graphs and an inference model, with initial weights."""
