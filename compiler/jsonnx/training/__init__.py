"""Bricks that shape training rather than the network: losses, metrics, optimizers, initializers, regularizers, ...

Like layers they are attributes and one or two methods; those that emit operators get `g`. Imports `bricks` and `types`.
"""

from . import margin_losses

__all__ = ["margin_losses"]
