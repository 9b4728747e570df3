"""Rewrites of a finished graph that make it faster on one execution provider.

In: a `Graph` and the `Target` it will run on. Out: a `Graph` that computes the same values.
"""
