"""The workers of a distributed training, and the samples that each has of a batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ...collective.exchange import SingleCollective
from ...collective.protocol import Collective
from ...collective.shard_tree import shard_range
from ...core.diagnostics import CompileError, Diagnostic
from ...core.reserved_names import BATCH_SAMPLES

if TYPE_CHECKING:
    from ...data.samples.dataset import Dataset
    from ..providers.providers import Provider
    from ..training_plan import TrainingPlan

NO_SHARDS = "the spec does not say into how many shards the workers divide a batch"
NO_SHARDS_HELP = 'add to `training`: "distributed": {"shards": 8}; the number is at least that of the workers'
STOP_FLAGS = ("stop", "time limit", "signal")
"""Why a rank asks all ranks to stop after a step: a callback, the time limit of the spec, a signal."""


@dataclass(eq=False)
class ShardGroup:
    """The workers of a distributed training, and the shards of this one."""

    collective: Collective
    shard_count: int
    compresses: bool = False

    def __post_init__(self) -> None:
        self.first, self.end = shard_range(self.collective.rank, self.collective.size, self.shard_count)
        self.requested_stops = np.zeros(len(STOP_FLAGS), np.float32)
        """The reasons to stop of this rank, which its next step tells the others."""
        self.agreed_stops = np.zeros(len(STOP_FLAGS), np.float32)
        """The number of ranks with each reason at the last step or agreement."""

    def shard_rows(self, shard: int, samples: int) -> slice:
        """The rows of a batch of this size that a shard has. If there are fewer than shards, the last have none."""
        return slice(*(-(-samples * number // self.shard_count) for number in (shard, shard + 1)))

    def rows(self, samples: int) -> slice:
        """The rows of a batch of this size that this rank has."""
        return slice(*(-(-samples * number // self.shard_count) for number in (self.first, self.end)))

    def own_shard_rows(self, shard: int, samples: int) -> slice:
        """The rows of a shard of this rank, among the rank's rows."""
        rows, offset = self.shard_rows(shard, samples), self.rows(samples).start
        return slice(rows.start - offset, rows.stop - offset)

    def agree_on_stops(self) -> None:
        """Tells all ranks the reasons to stop of each, as a step does."""
        flags = self.collective.all_gather(self.requested_stops.tobytes())
        self.agreed_stops = np.sum([np.frombuffer(own, np.float32) for own in flags], axis=0)


def shard_group(plan: TrainingPlan, provider: Provider, collective: Collective | None) -> ShardGroup | None:
    """The workers of a plan's distributed training; None if its spec asks for none.

    Raises CompileError `not-distributed` for workers without that, and for a provider other than the CPU.
    """
    section = plan.training.distributed
    if section is None and collective is None:
        return None
    if section is None:
        message, help = NO_SHARDS, NO_SHARDS_HELP
    elif not provider.is_cpu:
        message = f"training by virtual shards computes on the CPU, not with {provider.name!r}"
        help = 'leave the provider out, or "distributed" in the spec'
    else:
        is_compressed = section.compression is not None
        return ShardGroup(collective or SingleCollective(section.shards), section.shards, is_compressed)
    diagnostic = Diagnostic("not-distributed", message, help=help)
    raise CompileError([plan.source.locate_diagnostic(diagnostic, ("training",))])


@dataclass(frozen=True, eq=False)
class RankBatch:
    """The samples of a batch that a rank has."""

    group: ShardGroup
    dataset: Dataset
    dataset_rows: np.ndarray | slice
    """The rows of the dataset that this rank has."""
    samples: int
    """The number of samples of the whole batch."""

    @classmethod
    def of(cls, group: ShardGroup, dataset: Dataset, rows: np.ndarray | slice) -> RankBatch:
        """Of the batch with these rows of a dataset. Sequences are padded as those of the whole batch."""
        if dataset.has_sequences:
            dataset, rows = dataset.subset(rows).with_common_width(), slice(None)
        if isinstance(rows, slice):
            start, stop, _ = rows.indices(len(dataset))
            own = group.rows(stop - start)
            return cls(group, dataset, slice(start + own.start, start + own.stop), stop - start)
        return cls(group, dataset, rows[group.rows(len(rows))], len(rows))

    @property
    def rows(self) -> slice:
        """The rows of the batch that this rank has."""
        return self.group.rows(self.samples)

    def feeds(self) -> dict[str, np.ndarray]:
        """The inputs and targets of this rank, and the number of samples of the batch."""
        return {**self.dataset.take(self.dataset_rows), BATCH_SAMPLES: np.array(self.samples)}

    def shard_rows(self) -> dict[int | None, slice]:
        """The rows of each shard that has samples, among this rank's rows."""
        rows = {
            shard: self.group.own_shard_rows(shard, self.samples) for shard in range(self.group.first, self.group.end)
        }
        return {shard: own for shard, own in rows.items() if own.start < own.stop}
