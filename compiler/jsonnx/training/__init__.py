"""The components of training: losses, metrics, optimizers, initializers, regularizers, constraints.

Like layers, they are classes with declared attributes and a few methods; methods that emit operators get a builder `g`.
"""

from . import (
    adafactor,
    adam_optimizers,
    circle_loss,
    ctc_loss,
    margin_losses,
    muon,
    optimizers,
    schedule_free,
    window_functions,
)

__all__ = [
    "adafactor",
    "adam_optimizers",
    "circle_loss",
    "ctc_loss",
    "margin_losses",
    "muon",
    "optimizers",
    "schedule_free",
    "window_functions",
]
