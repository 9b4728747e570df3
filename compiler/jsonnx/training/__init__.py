"""The components of training: losses, metrics, optimizers, initializers, regularizers, constraints.

Like layers, they are classes with declared attributes and a few methods; methods that emit operators get a builder `g`.
"""

from . import margin_losses, window_functions  # they register components, before a schema is made

__all__ = ["margin_losses", "window_functions"]
