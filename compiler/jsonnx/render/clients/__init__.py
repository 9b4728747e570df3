"""Typed clients of one model, as source files in Python and TypeScript."""
