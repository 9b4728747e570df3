"""Evaluation in a distributed training: every rank computes some of the batches, and each batch on one thread."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from itertools import islice
from typing import NamedTuple

import numpy as np

from ...collective.protocol import Collective
from ...data.samples.batch_stream import BatchStream
from ...data.samples.dataset import Dataset
from ..providers.random import InferenceRandoms
from ..training_plan import TrainingPlan

Results = Mapping[str, np.ndarray]
EvaluateBatch = Callable[[dict[str, np.ndarray]], Results]


class MeasuredBatch(NamedTuple):
    """The losses and metric sums of a batch, or of a shard, its number, and the number of its samples."""

    number: int
    sample_count: int
    results: Results


def own_batches(
    samples: Dataset | BatchStream, batch_size: int, collective: Collective, plan: TrainingPlan
) -> Iterator[tuple[int, int, dict[str, np.ndarray]]]:
    """The batches of this rank: number, number of samples and feeds. Only streams read those of other ranks, too."""
    randoms = InferenceRandoms.of(plan.evaluate, plan.seed)
    if isinstance(samples, Dataset) and not randoms.types:
        for number in range(collective.rank, samples.batch_count(batch_size), collective.size):
            rows = slice(number * batch_size, min((number + 1) * batch_size, len(samples)))
            yield number, rows.stop - rows.start, samples.take(rows)
        return
    for number, (feeds, count) in enumerate(samples.batches(batch_size)):
        fed = randoms.fed(feeds, plan.inputs)  # also for other ranks: numbers are drawn one after the other
        if number % collective.size == collective.rank:
            yield number, count, fed


def measured_batches(
    batches: Iterable[tuple[int, int, dict[str, np.ndarray]]], runners: Sequence[EvaluateBatch]
) -> Iterator[MeasuredBatch]:
    """The results of batches in their order, each computed by one of the runners, all of which compute at once."""
    remaining = iter(batches)
    with ThreadPoolExecutor(len(runners), "jsonnx") as executor:
        while group := list(islice(remaining, len(runners))):
            futures = [executor.submit(runner, feeds) for runner, (_, _, feeds) in zip(runners, group, strict=False)]
            for (number, count, _), future in zip(group, futures, strict=True):
                yield MeasuredBatch(number, count, future.result())


def gathered(collective: Collective, own: Sequence[MeasuredBatch]) -> list[MeasuredBatch]:
    """The measured batches or shards of all ranks, by number."""
    if collective.size == 1:
        return list(own)
    batches = [batch for data in collective.all_gather(_encoded(own)) for batch in _decoded(data)]
    return sorted(batches, key=lambda batch: batch.number)


def _encoded(batches: Sequence[MeasuredBatch]) -> bytes:
    arrays = {
        f"{batch.number}/{batch.sample_count}/{name}": a for batch in batches for name, a in batch.results.items()
    }
    file = BytesIO()
    np.savez(file, **arrays)  # type: ignore[arg-type]
    return file.getvalue()


def _decoded(data: bytes) -> Iterator[MeasuredBatch]:
    results: dict[tuple[int, int], dict[str, np.ndarray]] = {}
    with np.load(BytesIO(data), allow_pickle=False) as arrays:
        for key in arrays.files:
            number, count, name = key.split("/", 2)
            results.setdefault((int(number), int(count)), {})[name] = arrays[key]
    return (MeasuredBatch(*key, values) for key, values in results.items())
