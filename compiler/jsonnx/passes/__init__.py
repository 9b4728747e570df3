"""Graph rewrites that are correct for every runtime: canonicalization, constant folding, layout, inference, training.

In: a `Graph`. Out: a new `Graph` that computes the same values.
"""
