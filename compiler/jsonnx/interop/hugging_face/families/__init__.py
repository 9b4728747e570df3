"""Families of architectures: configuration -> spec and table of weights."""
