"""The components of training: losses, metrics, optimizers, initializers, regularizers, constraints.

Like layers, they are classes with declared attributes and a few methods; methods that emit operators get a builder `g`.
"""

from . import class_metrics, margin_losses, regression_metrics, threshold_metrics

__all__ = ["class_metrics", "margin_losses", "regression_metrics", "threshold_metrics"]
