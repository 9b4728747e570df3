"""Terminals, and tables of text."""
