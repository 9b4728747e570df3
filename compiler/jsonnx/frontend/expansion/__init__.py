"""Expansion of blocks, repetitions and `${...}` expressions.

Turns the JSON value of a spec into a flat document of layers and plain values, with a source map back to the spec.
"""
