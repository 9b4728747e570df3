"""The samplers that need no other package. A proposal depends only on the seed and on the number of the trial."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Protocol

from ..sections.sweep_section import SweepSection
from .space import Space, Values
from .trials import Trial


class Sampler(Protocol):
    """Proposes the values of trials, which are numbered from 1."""

    def propose(self, number: int) -> Values | None:
        """The values of the next trial; None if there are no more."""

    def tell(self, trial: Trial) -> None:
        """Tells the result of a trial that has ended."""

    def propose_again(self, trial: Trial) -> None:
        """Repeats the proposal of a trial that an earlier process has proposed."""


class _StatelessSampler:
    """A sampler that does not learn from results."""

    def tell(self, trial: Trial) -> None:
        pass

    def propose_again(self, trial: Trial) -> None:
        pass


class RandomSampler(_StatelessSampler):
    """Independent values, each evenly distributed over its range or its choices."""

    def __init__(self, space: Space, seed: int) -> None:
        self._space, self._seed = space, seed

    def propose(self, number: int) -> Values | None:
        seed = self._seed
        return self._space.assign(lambda item: item.domain.at(random_position(seed, number, item.name)))


class GridSampler(_StatelessSampler):
    """All combinations, the first `limit` of them at most."""

    def __init__(self, space: Space, limit: int) -> None:
        self._combinations = space.grid(limit)

    def __len__(self) -> int:
        return len(self._combinations)

    def propose(self, number: int) -> Values | None:
        return self._combinations[number - 1] if number <= len(self._combinations) else None


class HaltonSampler(_StatelessSampler):
    """The points of a Halton sequence, which the seed shifts: they cover the space more evenly than random ones."""

    def __init__(self, space: Space, seed: int) -> None:
        self._space = space
        bases = first_primes(len(space.names))
        self._axes = {
            name: (base, random_position(seed, 0, name)) for name, base in zip(space.names, bases, strict=True)
        }

    def propose(self, number: int) -> Values | None:
        return self._space.assign(lambda dimension: dimension.domain.at(self._position(number, dimension.name)))

    def _position(self, number: int, name: str) -> float:
        base, shift = self._axes[name]
        return min((radical_inverse(number, base) + shift) % 1.0, 1.0 - 2.0**-53)


def random_position(seed: int, number: int, name: str) -> float:
    """A number from 0 to below 1 that depends only on the arguments, on every machine."""
    digest = hashlib.blake2b(f"{seed}/{number}/{name}".encode(), digest_size=8).digest()
    return (int.from_bytes(digest, "big") >> 11) * 2.0**-53


def radical_inverse(number: int, base: int) -> float:
    """The digits of a number behind the point: 6 is 110 in base 2, so this is 0.011 in base 2, which is 0.375."""
    result, scale = 0.0, 1.0
    while number:
        number, digit = divmod(number, base)
        scale /= base
        result += digit * scale
    return result


def first_primes(count: int) -> list[int]:
    primes: list[int] = []
    number = 2
    while len(primes) < count:
        if all(number % prime for prime in primes):
            primes.append(number)
        number += 1
    return primes


def make_sampler(section: SweepSection, space: Space, limit: int, is_maximized: bool) -> Sampler:
    """The sampler of a section. Raises UsageError `missing-package` if it needs a package that is not installed."""
    if section.sampler == "grid":
        return GridSampler(space, limit)
    if section.sampler == "random":
        return RandomSampler(space, section.seed)
    if section.sampler == "qmc":
        return HaltonSampler(space, section.seed)
    from .optuna_sampler import OptunaSampler

    return OptunaSampler(section.sampler, space, section.seed, is_maximized)


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
