"""The loss or metric that a training monitors, to stop early or to restore the weights of the best epoch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ..core.diagnostics import quoted_or_list, suggestion
from ..core.reserved_names import LOSS, is_validation_name, validation_name
from .section import Training

NO_VALIDATION_HELP = "give validation data, or `validation_split`"


class MonitorFault(NamedTuple):
    """A monitored figure that the training does not report; `path` leads to it in the spec."""

    path: tuple[str, ...]
    message: str
    help: str | None
    lacks_validation: bool
    """Whether the figure would be reported with validation data, which a program may pass."""


def monitored_figure(training: Training) -> str | None:
    """The name of the figure that is monitored; None if none is."""
    if training.early_stopping is not None:
        return training.early_stopping.monitor
    return validation_name(LOSS) if training.restore_best_weights else None


def spec_has_validation(training: Training) -> bool | None:
    """Whether the spec names validation data; None if it names no data, so that a program passes them."""
    data = training.data
    return None if data is None else data.has_part("validation") or data.validation_split > 0


def monitor_fault(training: Training, figures: Sequence[str], has_validation: bool | None) -> MonitorFault | None:
    """The fault if the monitored figure is not reported.

    `figures` are the losses and metrics of an epoch. Without validation data, their `val_` forms are not reported;
    with None for `has_validation` they may be.
    """
    monitored = monitored_figure(training)
    reported = [*figures, *(map(validation_name, figures) if has_validation is not False else ())]
    if monitored is None or monitored in reported:
        return None
    path: tuple[str, ...] = ("training", "restore_best_weights")
    if training.early_stopping is not None:
        is_written = "monitor" in training.early_stopping.to_json()
        path = ("training", "early_stopping", *(("monitor",) if is_written else ()))
    lacks_validation = is_validation_name(monitored) and not has_validation and monitored[4:] in figures
    help = NO_VALIDATION_HELP if lacks_validation else suggestion(monitored, reported)
    known = "the only figure is" if len(reported) == 1 else "the figures are"
    message = f"{monitored!r} is to be monitored, but {known} {quoted_or_list(reported)}"
    return MonitorFault(path, message, help, lacks_validation)
