"""What differs in meaning between two networks.

Comes in: two typed networks with what their layers cost. Goes out: `Comparison`, as data. Layout, order of keys and
defaults that were spelled out are no difference: they are gone by the time a network is typed.
"""

from .changes import Comparison, compare_networks
from .matching import ComparedNetwork, LayerCost

__all__ = ["ComparedNetwork", "Comparison", "LayerCost", "compare_networks"]
