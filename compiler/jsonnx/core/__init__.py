"""Types, diagnostics, declarative components and safe file access, which all other packages use.

Imports no other package of jsonnx.
"""
