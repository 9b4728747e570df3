"""Expands blocks, repetitions, scales and `${...}` expressions.

In: the JSON value of a spec. Out: a flat document of layers and plain values, and where each part was written.
"""
