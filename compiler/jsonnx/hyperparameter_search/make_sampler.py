"""The sampler of a section, and its state when a search is resumed."""

from __future__ import annotations

from collections.abc import Sequence

from ..sections.sweep_section import SweepSection
from .optuna_samplers import AdaptiveSampler, QmcSampler
from .samplers import GridSampler, RandomSampler, Sampler
from .space import Space
from .trials import Trial


def make_sampler(section: SweepSection, space: Space, limit: int, is_maximized: bool) -> Sampler:
    """The sampler of a section. Raises UsageError `missing-package` if it needs a package that is not installed."""
    if section.sampler == "grid":
        return GridSampler(space, limit)
    if section.sampler == "random":
        return RandomSampler(space, section.seed)
    if section.sampler == "qmc":
        return QmcSampler(space, section.seed)
    return AdaptiveSampler(section.sampler, space, section.seed, is_maximized)


def restore(sampler: Sampler, trials: Sequence[Trial]) -> None:
    """Brings a new sampler into the state that it had after these trials, in the order of their events.

    Proposals and results are told in the order in which they happened, so that a resumed search proposes what an
    uninterrupted one would. A failed trial that is run again is proposed after trials with greater numbers.
    """
    ended = sorted((trial for trial in trials if trial.has_ended), key=lambda trial: trial.told or 0)
    for trial in sorted(trials, key=lambda trial: (trial.proposed_after, trial.number)):
        while ended and (ended[0].told or 0) <= trial.proposed_after:
            sampler.tell(ended.pop(0))
        sampler.propose_again(trial)
    for trial in ended:
        sampler.tell(trial)
