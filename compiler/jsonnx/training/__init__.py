"""The components of training: losses, metrics, optimizers, initializers, regularizers, constraints.

Like layers, they are classes with declared attributes and a few methods; methods that emit operators get a builder `g`.
"""

from . import losses, regression_losses

# isort: split
# Components are listed in the order of their registration: the most usual losses come first.
from . import (
    adafactor,
    adam_optimizers,
    circle_loss,
    class_metrics,
    ctc_loss,
    curve_metrics,
    margin_losses,
    multi_optimizer,
    muon,
    optimizers,
    regression_metrics,
    schedule_free,
    threshold_metrics,
    window_functions,
)

__all__ = [
    "adafactor",
    "adam_optimizers",
    "circle_loss",
    "class_metrics",
    "ctc_loss",
    "curve_metrics",
    "losses",
    "margin_losses",
    "multi_optimizer",
    "muon",
    "optimizers",
    "regression_losses",
    "regression_metrics",
    "schedule_free",
    "threshold_metrics",
    "window_functions",
]
