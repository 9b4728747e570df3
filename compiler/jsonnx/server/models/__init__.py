"""Served models: loaded versions, and the repository that holds them."""
