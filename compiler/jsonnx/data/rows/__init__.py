"""Rows of tables as samples: splits, windows and sequences."""
