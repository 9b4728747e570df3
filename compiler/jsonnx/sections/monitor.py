"""The loss or metric that a training monitors, to stop early or to restore the weights of the best epoch."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

from ..core.diagnostics import quoted_or_list, suggest
from ..core.fixes import Fix
from ..core.reserved_names import LOSS, is_validation_name, validation_name
from .training_section import Training

LIST_HELP = 'monitor a metric that is one number, such as one with "average": "macro"'
NO_VALIDATION_HELP = "give validation data, or `validation_split`"


class MonitorError(NamedTuple):
    """A monitored metric that the training does not report; `path` leads to it in the spec."""

    path: tuple[str, ...]
    message: str
    help: str | None
    lacks_validation: bool
    """Whether the metric would be reported with validation data, which a program may pass."""
    fix: Fix | None = None


def monitored_metric(training: Training) -> str | None:
    """The name of the metric that is monitored; None if none is."""
    if training.early_stopping is not None:
        return training.early_stopping.monitor
    return validation_name(LOSS) if training.restore_best_weights else None


def spec_has_validation(training: Training) -> bool | None:
    """Whether the spec names validation data; None if it names no data, so that a program passes them."""
    data = training.data
    return None if data is None else data.has_part("validation") or data.validation_split > 0


def monitor_errors(
    training: Training, metrics: Sequence[str], has_validation: bool | None, lists: Collection[str] = ()
) -> list[MonitorError]:
    """The errors of monitored metrics that are not reported, or are lists of numbers.

    `figures` are the losses and metrics of an epoch, `lists` those that are lists. Without validation data, their
    `val_` forms are not reported; with None for `has_validation` they may be.
    """
    reported = [*metrics, *(map(validation_name, metrics) if has_validation is not False else ())]
    errors = []
    for path, monitored in _monitored_metrics(training):
        if monitored.removeprefix(validation_name("")) in lists:
            message = f"{monitored!r} is to be monitored, but it is a list of numbers"
            errors.append(MonitorError(path, message, LIST_HELP, False))
        elif monitored not in reported:
            lacks_validation = is_validation_name(monitored) and not has_validation and monitored[4:] in metrics
            proposed = None if lacks_validation else suggest(monitored, reported)
            help = NO_VALIDATION_HELP if lacks_validation else proposed.text if proposed else None
            fix = proposed.fix(path, at_key=False) if proposed else None
            known = "the only metric is" if len(reported) == 1 else "the metrics are"
            message = f"{monitored!r} is to be monitored, but {known} {quoted_or_list(reported)}"
            errors.append(MonitorError(path, message, help, lacks_validation, fix))
    return errors


def monitors_validation(training: Training) -> bool:
    """Whether a section of the training monitors a metric of validation data."""
    return any(is_validation_name(metric) for _, metric in _monitored_metrics(training))


def _monitored_metrics(training: Training) -> Iterator[tuple[tuple[str, ...], str]]:
    """The metrics that sections of a training monitor, by the path that names them in the spec."""
    if training.early_stopping is None and training.restore_best_weights:
        yield ("training", "restore_best_weights"), validation_name(LOSS)
    for key in ("early_stopping", "reduce_on_plateau", "checkpoint"):
        section = getattr(training, key)
        if section is not None and section.monitor is not None:
            is_written = "monitor" in section.to_json()
            yield ("training", key, *(("monitor",) if is_written else ())), section.monitor
