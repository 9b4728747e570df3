"""Pruning: after which epoch a trial ends early, from its metric so far and from the curves of other trials.

The rules are functions of curves, so a search with one trial at a time is pruned in the same way each time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import floor, inf, log
from statistics import median

from ..sections.sweep_section import PruningSection
from .trials import FINISHED, Curve, Trial


def pruned_after(
    pruning: PruningSection, number: int, curve: Curve, others: Sequence[Trial], epochs: int, is_maximized: bool
) -> int | None:
    """The first epoch, counted from 1, after which the trial with this curve is to end; None to let it go on.

    `epochs` is the number that it is to train. It is not pruned after the last one.
    """
    rule = _median_rule if pruning.method == "median" else _halving_rule
    best = _best_so_far(curve[: epochs - 1], is_maximized)
    return next(rule(pruning, number, best, others, epochs, is_maximized), None)


def _best_so_far(curve: Curve, is_maximized: bool) -> list[float]:
    """The best value up to each epoch; lower is better in the result."""
    best, result = inf, []
    for value in curve:
        best = min(best, inf if value is None else (-value if is_maximized else value))
        result.append(best)
    return result


def _median_rule(
    pruning: PruningSection,
    number: int,
    best: list[float],
    others: Sequence[Trial],
    epochs: int,
    is_maximized: bool,
) -> Iterator[int]:
    """The epochs after which the best value is worse than the median of the finished trials' best values."""
    finished = [_best_so_far(trial.curve, is_maximized) for trial in others if trial.state == FINISHED]
    for epoch in range(pruning.min_epochs, len(best) + 1):
        reached = [curve[epoch - 1] for curve in finished if len(curve) >= epoch]
        if len(reached) >= pruning.min_trials and best[epoch - 1] > median(reached):
            yield epoch


def _halving_rule(
    pruning: PruningSection,
    number: int,
    best: list[float],
    others: Sequence[Trial],
    epochs: int,
    is_maximized: bool,
) -> Iterator[int]:
    """The rungs at which the best value is not among the best 1 of `reduction_factor` that have reached the rung.

    This is asynchronous successive halving: a trial does not wait for others. Hyperband divides the trials into
    brackets, whose first rungs differ; each bracket is a successive halving of its own.
    """
    factor = pruning.reduction_factor
    brackets = _bracket_count(pruning, epochs)
    bracket = number % brackets
    rivals = [
        _best_so_far(trial.curve[: trial.pruned_at], is_maximized)
        for trial in others
        if trial.number != number and trial.number % brackets == bracket
    ]
    rung = pruning.min_epochs * factor**bracket
    while rung <= len(best):
        reached = sorted([curve[rung - 1] for curve in rivals if len(curve) >= rung] + [best[rung - 1]])
        if best[rung - 1] > reached[max(1, len(reached) // factor) - 1]:
            yield rung
        rung *= factor


def _bracket_count(pruning: PruningSection, epochs: int) -> int:
    if pruning.method != "hyperband" or epochs <= pruning.min_epochs:
        return 1
    return max(1, floor(log(epochs / pruning.min_epochs) / log(pruning.reduction_factor) + 1e-9))
