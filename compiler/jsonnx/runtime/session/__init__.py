"""Inference sessions, and weights in files."""
