"""Batches that a program generates: an iterable, a generator, a sequence of batches, or a function that returns one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from itertools import chain, count, islice
from typing import Any

import numpy as np

from ...core.diagnostics import UsageError
from .array_arguments import is_batch_iterable
from .data_errors import FeedError
from .data_spec import DataSpec
from .dataset import Dataset

MakeSamples = Callable[[Any, Any, Any], Dataset]
NO_BATCHES = "there are no batches to iterate over"
RETURNS_HELP = "pass a function that returns a new one: `fit(lambda: batches())`"


def is_batch_source(x: Any) -> bool:
    """Whether an argument yields batches, instead of being an array of all samples."""
    if isinstance(x, (Dataset, type)):
        return False
    return is_batch_iterable(x) or (callable(x) and not hasattr(x, "__array__"))


class BatchStream:
    """Validated batches of a source, pass by pass.

    A batch is `x`, `(x, y)` or `(x, y, sample_weight)`, of arrays or of dicts of arrays. An object with an `__iter__`
    is iterated anew for each pass, one with `__len__` and `__getitem__` is read by index, and a function is called for
    each pass. An iterator allows a single pass.
    """

    digest = weights_digest = None
    """The values are not known before they are read."""

    def __init__(self, source: Any, make_samples: MakeSamples) -> None:
        """`make_samples` validates the `x`, `y` and `sample_weight` of a batch."""
        self._source, self._make_samples = source, make_samples
        self.transform: Callable[[Dataset], Dataset] = lambda samples: samples
        """Applied to each batch."""
        self.max_pass_batches: int | None = None
        """The batches of a pass that layers adapt to, if a pass may be endless."""
        self.is_one_shot = hasattr(source, "__next__")
        self._peeked: tuple[Iterator[Any], Any] | None = None
        self._pass: Iterator[Dataset] | None = None
        self._position: int | None = None

    def batch_count(self, batch_size: int | None = None) -> int | None:
        """The batches of a pass; None if the source has no length. `batch_size` has no meaning here."""
        try:
            return len(self._source)
        except TypeError:
            return None

    def first(self) -> Dataset:
        """The first batch, which the next pass has again. Raises FeedError, UsageError for a source without batches."""
        if self._peeked is None:
            batches = self._new_pass(0)
            self._peeked = batches, next(batches, None)
        batch = self._peeked[1]
        if batch is None:
            raise UsageError("empty-data", NO_BATCHES)
        return self._samples(batch, 0)

    def one_pass(self, start: int = 0) -> Iterator[Dataset]:
        """The batches of a new pass from a batch on. Raises FeedError, UsageError."""
        peeked, self._peeked = self._peeked, None
        if peeked is None:
            raw = self._new_pass(start)
        else:
            batches, first = peeked
            raw = islice(batches if first is None else chain([first], batches), start, None)
        return (self._samples(batch, number) for number, batch in enumerate(raw, start))

    def batches(self, batch_size: int) -> Iterator[tuple[dict[str, np.ndarray], int]]:
        """The feeds of each batch of a pass, and the number of its samples. `batch_size` has no meaning here."""
        if self.is_one_shot and self._pass is not None:
            raise UsageError("empty-data", "the iterator has been used up", RETURNS_HELP)
        samples = islice(self.one_pass(), self.max_pass_batches)
        return ((batch.take(slice(None)), len(batch)) for batch in samples)

    @property
    def weights(self) -> Mapping[str, np.ndarray]:
        """The sample weights of the first batch."""
        return self.first().weights

    def for_graphs(self, data_spec: DataSpec) -> BatchStream:
        """The batches for graphs that take the same data, but other weights."""
        self.transform = lambda samples: samples.for_graphs(data_spec)
        return self

    def epoch(self, epoch: int, batch: int, steps_per_epoch: int | None) -> Iterator[Dataset]:
        """The batches of an epoch from a batch on: one pass, or the next `steps_per_epoch` batches of all passes, one
        behind the other. Raises FeedError, UsageError."""
        if steps_per_epoch is None:
            return self.one_pass(batch)
        return islice(self._continued(epoch * steps_per_epoch + batch), steps_per_epoch - batch)

    def _continued(self, position: int) -> Iterator[Dataset]:
        """All batches of consecutive passes from a position on."""
        if self.is_one_shot and self._position is None:
            self._position = position  # an iterator goes on where it is
        if self._position != position:
            self._pass, self._position = None, 0
            for _ in range(position):
                self._take()
        while True:
            yield self._take()

    def _take(self) -> Dataset:
        """The next batch, of the next pass after the last one of a pass."""
        batch = next(self._pass, None) if self._pass is not None else None
        if batch is None:
            if self.is_one_shot and self._pass is not None:
                message = f"the iterator ended after {self._position} batches, before the last step of the training"
                raise UsageError("empty-data", message, f"{RETURNS_HELP}, or ask for fewer steps")
            self._pass = self.one_pass()
            batch = next(self._pass, None)
        if batch is None:
            raise UsageError("empty-data", NO_BATCHES)
        self._position = (self._position or 0) + 1
        return batch

    def _new_pass(self, start: int) -> Iterator[Any]:
        """The values that the source yields, from a batch on."""
        source = self._source
        if callable(source) and not hasattr(source, "__iter__") and not hasattr(source, "__getitem__"):
            source = source()
        if hasattr(source, "__len__") and hasattr(source, "__getitem__") and not isinstance(source, Mapping):
            return (source[index] for index in range(start, len(source)))
        if hasattr(source, "__iter__") or hasattr(source, "__next__"):
            return islice(iter(source), start, None)
        if hasattr(source, "__getitem__"):
            return map(source.__getitem__, count(start))
        raise TypeError(f"the function returns an object of type {type(source).__name__}, not an iterable of batches")

    def _samples(self, batch: Any, number: int) -> Dataset:
        """A batch as samples. Raises FeedError that names the batch."""
        parts = tuple(batch) if isinstance(batch, (tuple, list)) else (batch,)
        if not 1 <= len(parts) <= 3:
            raise TypeError(f"batch {number}: a batch is x, (x, y) or (x, y, sample_weight), got {len(parts)} values")
        x, y, weights = (*parts, None, None)[:3]
        try:
            return self.transform(self._make_samples(x, y, weights))
        except FeedError as error:
            located = [
                replace(diagnostic, message=f"batch {number}: {diagnostic.message}") for diagnostic in error.diagnostics
            ]
            raise FeedError(located) from error
