"""Losses, in the order in which the reference lists them: the most usual ones first."""

from . import losses, regression_losses

# isort: split
from . import circle_loss, margin_losses

# isort: split
from . import ctc_loss

__all__ = ["circle_loss", "ctc_loss", "losses", "margin_losses", "regression_losses"]
