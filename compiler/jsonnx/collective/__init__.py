"""Sums over the workers of a training, equal to the bit whatever their number.

`shard_tree` has the tree by which shards are added, `protocol` what a training calls. Workers are threads (`local`) or
processes (`tcp`).
"""
