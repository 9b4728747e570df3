"""Types, diagnostics, declarative components and safe file access: what every other room builds on.

Imports nothing of the package.
"""
