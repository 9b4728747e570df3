"""Attention layers, attention masks and positions."""
