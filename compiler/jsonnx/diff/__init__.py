"""What differs in meaning between two networks.

Comes in: two typed networks with what their layers cost. Goes out: `Comparison`, as data. Layout, order of keys and
defaults that were spelled out are no difference: they are gone by the time a network is typed.
"""

from .changes import Comparison, compared
from .matching import Cost, Side

__all__ = ["Comparison", "Cost", "Side", "compared"]
