"""Decides how the graphs of a training plan run on a machine, before any of them is loaded."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ...core.numpy_types import numpy_dtype
from ...core.types import BATCH
from ...passes.canonicalize import with_outputs
from ...tuning.cpu.embeddings.lazy_updates import LazyTables, make_tables_lazy
from ...tuning.cpu.matmul.partition_rows import has_partitionable_matmuls
from ...tuning.cpu.matmul.transpose_small import has_transposable_matmuls
from ...tuning.cpu.memory.inplace_slots import inplace_slots
from ...tuning.cpu.memory.inplace_updates import OverwrittenVariables, inplace_variables
from ...tuning.cpu.memory.pack_weights import PackedVectors, pack_weights
from ...tuning.cpu.memory.split_updates import Slices, split_updates
from ..providers.flush_denormals import can_flush_denormals
from ..providers.providers import Provider
from .data_parallel import plan_shards
from .device_variables import DeviceVariables
from .variables import DonatedArrays, HostVariables, Variables, has_string_inputs, is_on_host

if TYPE_CHECKING:
    from ...ir import Graph
    from ..training_plan import ShardedGraphs, TrainingPlan


@dataclass(frozen=True, eq=False)
class ExecutionPlan:
    """The provider of a training step, its variables and how they are updated, its rewrites and session options."""

    provider: Provider
    threads: int
    """The threads of a session."""
    shard_threads: int
    """The virtual shards that are computed at once in a distributed training; 0 in other trainings."""
    unpacked_step: Graph
    """The training step (with data parallelism, the graph that combines the shards), with one variable per weight and
    slot."""
    step_graph: Graph
    """The step with small weights packed into vectors."""
    packed_vectors: PackedVectors
    sharded_graphs: ShardedGraphs | None
    """The two graphs of a data-parallel step; None if a step runs as one graph."""
    lazy_tables: LazyTables | None
    """The embeddings that are updated lazily; None if all updates are eager."""
    inplace_slots: frozenset[str]
    """Optimizer slots that have one copy, which a step overwrites, although weights have several."""
    inplace_variables: frozenset[str]
    """Weights and slots that have one copy, which a large step overwrites after it has checked the loss."""
    slices: Slices
    """The slices by which `step_graph` updates some of them."""
    optimizes_for_cpu: bool
    keeps_order: bool
    """Whether sessions run nodes in the order of the graph."""
    flushes_denormals: bool
    """Whether sessions treat denormal numbers as zero."""
    depends_on_batch: bool
    """Whether a step is specialised for its batch size."""
    can_own_arena: bool
    """Whether the session of a step may have an arena of its own: the sizes of tensors vary with the batch size
    alone."""

    @property
    def shard_count(self) -> int:
        """The parts of the batch that are computed on threads of their own."""
        return self.sharded_graphs.shard_count if self.sharded_graphs else 1

    @property
    def is_distributed(self) -> bool:
        """Whether a step is computed by virtual shards."""
        return self.shard_threads > 0

    @property
    def packed_variables(self) -> frozenset[str]:
        """The weights and slots that are updated together with others."""
        return frozenset(name for names in self.packed_vectors.values() for name in names)

    @property
    def overwritten_inputs(self) -> OverwrittenVariables | None:
        """The inputs of `step_graph` that it overwrites after it has checked the loss."""
        if not self.inplace_variables:
            return None
        sliced = {rows.variable for rows in self.slices.values()}
        tables = self.lazy_tables.tables if self.lazy_tables else ()
        # Without the scratch memory of tables, which a forward pass may write.
        lazy_names = frozenset(name for table in tables for name in table.variable_names)
        return OverwrittenVariables(self.inplace_variables.union(self.slices) - sliced, self.slices, lazy_names)

    def zero_states(self) -> dict[str, np.ndarray]:
        """The initial values of the states that lazy updates add to a step."""
        states = self.lazy_tables.extra_states if self.lazy_tables else {}
        return {name: np.zeros(state.shape, numpy_dtype(state.dtype)) for name, state in states.items()}


def plan_execution(
    plan: TrainingPlan, provider: Provider, threads: int, fast: bool, packs_weights: bool | None = None
) -> ExecutionPlan:
    """Decides how the graphs of a plan run on a provider. Unless `fast`, they are not rewritten.

    Lazy updates exclude in-place slots: their tables count steps by row, so that the optimizer could not be reset.
    `packs_weights` is the argument of `pack_weights`.
    """
    plan = replace(plan, train=with_outputs(plan.train, plan.fetched_names))
    is_distributed = plan.training.distributed is not None
    shard_threads, threads = (threads, 1) if is_distributed else (0, threads)  # so that no bit depends on threads
    rewrites_step = fast and is_on_host(plan.train, provider)
    is_bound_on_cpu = rewrites_step and provider.is_cpu and not has_string_inputs(plan.train)
    lazy_tables = find_lazy_tables(plan) if is_bound_on_cpu else None
    lazy_names = lazy_tables.variable_names if lazy_tables else frozenset()
    overwrites = is_bound_on_cpu and bool(inplace_variables(plan.train, lazy_names))
    can_be_sharded = is_bound_on_cpu and not lazy_tables and not overwrites and plan.training.remat is None
    sparse_weights = [table.weight for table in lazy_tables.tables] if lazy_tables else []
    sharded_graphs = plan_shards(plan, threads, sparse_weights) if can_be_sharded or is_distributed else None
    if lazy_tables and sharded_graphs:
        lazy_tables = lazy_tables.updated_by(sharded_graphs.combiner)
        shard = lazy_tables.with_current_rows(sharded_graphs.shard)
        sharded_graphs = replace(sharded_graphs, shard=shard, combiner=lazy_tables.graph)
    step = lazy_tables.graph if lazy_tables else sharded_graphs.combiner if sharded_graphs else plan.train
    packed_step, packed_vectors = pack_weights(step, packs_weights) if rewrites_step else (step, {})
    inplace = inplace_variables(packed_step, lazy_names) if overwrites else frozenset()
    step_graph, slices = split_updates(packed_step, inplace)
    optimizes_for_cpu = fast and provider.is_cpu
    batch_graph = sharded_graphs.shard if sharded_graphs else packed_step
    has_convolutions = optimizes_for_cpu and any(info.op == "Conv" for info in batch_graph.gradients.values())
    has_small_matmuls = has_transposable_matmuls(batch_graph) or has_partitionable_matmuls(batch_graph, threads)
    return ExecutionPlan(
        provider=provider,
        threads=threads,
        shard_threads=shard_threads,
        unpacked_step=step,
        step_graph=step_graph,
        packed_vectors=packed_vectors,
        sharded_graphs=sharded_graphs,
        lazy_tables=lazy_tables,
        inplace_slots=inplace_slots(packed_step)
        if is_bound_on_cpu and not lazy_tables and not overwrites
        else frozenset(),
        inplace_variables=inplace,
        slices=slices,
        optimizes_for_cpu=optimizes_for_cpu,
        keeps_order=optimizes_for_cpu,
        flushes_denormals=optimizes_for_cpu and can_flush_denormals(),
        depends_on_batch=has_convolutions or (optimizes_for_cpu and has_small_matmuls),
        can_own_arena=has_convolutions
        and not sharded_graphs
        and not inplace
        and _symbolic_sizes(batch_graph) <= {BATCH},
    )


def allocate_variables(execution: ExecutionPlan, arrays: DonatedArrays) -> Variables:
    """The variables of a training step with these values, in the memory that its provider computes in."""
    graph = execution.unpacked_step
    if is_on_host(graph, execution.provider):
        return HostVariables(
            arrays,
            graph.updates,
            execution.packed_vectors,
            execution.lazy_tables,
            execution.inplace_slots | execution.inplace_variables,
            execution.slices,
        )
    return DeviceVariables(graph, arrays.take_all(), graph.updates, execution.provider)


def find_lazy_tables(plan: TrainingPlan) -> LazyTables | None:
    """The training step with lazily updated embeddings, as the spec alone decides; None if it has none."""
    readers = [
        plan.evaluate,
        plan.predict,
        *(augmented.graph for augmented in plan.augmented_inputs if augmented.graph),
    ]
    return make_tables_lazy(plan.train, readers, plan.training.batch_size)


def _symbolic_sizes(graph: Graph) -> set[object]:
    return {size for value in graph.inputs.values() for size in value.shape if not isinstance(size, int)}
