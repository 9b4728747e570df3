"""Texts as ids of tokens."""
