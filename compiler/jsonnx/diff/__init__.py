"""Differences in meaning between two networks.

Takes two typed networks with the costs of their layers, and returns a `Comparison`, as data. Layout, the order of keys
and explicit defaults make no difference, since a typed network does not contain them.
"""

from .changes import Comparison, compare_networks
from .matching import ComparedNetwork, LayerCost

__all__ = ["ComparedNetwork", "Comparison", "LayerCost", "compare_networks"]
