"""The samplers that need no other package. A proposal depends only on the seed and on the number of the trial."""

from __future__ import annotations

import hashlib

from .space import Space, Values
from .trials import Trial


class Sampler:
    """Proposes the values of trials, which are numbered from 1. By default, it does not learn from results."""

    def propose(self, number: int) -> Values | None:
        """The values of the next trial; None if there are no more."""
        raise NotImplementedError

    def tell(self, trial: Trial) -> None:
        """The result of a trial that has ended."""

    def propose_again(self, trial: Trial) -> None:
        """Repeats the proposal of a trial that an earlier process has proposed."""


class RandomSampler(Sampler):
    """Independent values, each evenly distributed over its range or its choices."""

    def __init__(self, space: Space, seed: int) -> None:
        self._space, self._seed = space, seed

    def propose(self, number: int) -> Values | None:
        seed = self._seed
        return self._space.assign(lambda item: item.domain.at(random_position(seed, number, item.name)))


class GridSampler(Sampler):
    """All combinations, the first `limit` of them at most."""

    def __init__(self, space: Space, limit: int) -> None:
        self._combinations = space.grid(limit)

    def __len__(self) -> int:
        return len(self._combinations)

    def propose(self, number: int) -> Values | None:
        return self._combinations[number - 1] if number <= len(self._combinations) else None


def random_position(seed: int, number: int, name: str) -> float:
    """A number from 0 to below 1 that depends only on the arguments, on every machine."""
    digest = hashlib.blake2b(f"{seed}/{number}/{name}".encode(), digest_size=8).digest()
    return (int.from_bytes(digest, "big") >> 11) * 2.0**-53
