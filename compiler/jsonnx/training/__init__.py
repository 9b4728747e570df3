"""The components of training: losses, metrics, optimizers, initializers, regularizers, constraints.

Like layers, they are classes with declared attributes and a few methods; methods that emit operators get a builder `g`.
"""

from . import losses, metrics, optimizers, weights

__all__ = ["losses", "metrics", "optimizers", "weights"]
