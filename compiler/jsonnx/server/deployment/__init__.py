"""Folders and files by which other servers and containers run a model."""
