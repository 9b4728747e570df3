"""Training steps for batches whose sizes are known: they compute large values by blocks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from math import prod
from typing import TYPE_CHECKING, Any

from ...core.numpy_types import numpy_dtype
from ...core.types import evaluate_size
from ...passes.training_steps.byte_masks import byte_randoms
from ..providers.memory_arena import version_numbers
from ..providers.providers import runtime_version
from ..providers.random import symbol_sizes
from .execution_plan import ExecutionPlan, plan_execution

if TYPE_CHECKING:
    from ...core.types import TensorType
    from ...ir import Graph, Random
    from ..training_plan import TrainingPlan

MIN_BLOCKED_BYTES = 1 << 24
"""Minimum size, in a batch, of the scores of an attention, of the probabilities of classes or of a mask for which a
step is built anew: below, blocks save less than building takes."""
MIN_ONNXRUNTIME_VERSION = (1, 32)
"""The first version that is known to compute products over no elements, as of an empty block, as zeros; in 1.24 they
have any values."""
BLOCKED_OPS = {"LogSoftmax", "Softmax"}
"""The operators whose results blocks avoid."""


class SizedSteps:
    """Decides by the sizes of a batch whether a step is computed by blocks, and builds such steps."""

    def __init__(self, plan: TrainingPlan, execution: ExecutionPlan) -> None:
        self._plan, self._execution = plan, execution
        computes_empty_products = version_numbers(runtime_version()) >= MIN_ONNXRUNTIME_VERSION
        can_be_sized = plan.make_step is not None and execution.keeps_order and not execution.sharded_graphs
        can_be_sized = can_be_sized and computes_empty_products
        nodes = plan.train.nodes if can_be_sized else ()
        self._needs_sizes = plan.training.remat is not None and execution.keeps_order
        """Whether a step depends on sizes even if nothing is computed by blocks."""
        self._blocked_types = {node.outputs[0].type for node in nodes if node.op in BLOCKED_OPS}
        if can_be_sized:
            self._blocked_types |= {random.type for random in plan.train.randoms.values() if random.kind == "mask"}

    def sizes_for(self, arrays: Mapping[str, Any]) -> Mapping[str, int] | None:
        """The sizes of symbols in these inputs, if steps for them are computed by blocks or rematerialize; else
        None."""
        if not self._blocked_types and not self._needs_sizes:
            return None
        sizes = symbol_sizes(self._plan.inputs, arrays)
        return sizes if self._needs_sizes or self._is_blocked(sizes) else None

    def _is_blocked(self, sizes: Mapping[str, int]) -> bool:
        return _max_bytes(self._blocked_types, sizes) >= MIN_BLOCKED_BYTES

    def randoms_for(self, arrays: Mapping[str, Any]) -> Mapping[str, Random]:
        """The random inputs of a step for these inputs: large masks are bytes if it is computed by blocks."""
        randoms, sizes = self._plan.train.randoms, self.sizes_for(arrays)
        return randoms if sizes is None else byte_randoms(randoms, sizes)

    def build(self, sizes: Mapping[str, int]) -> Graph:
        """The training step for these sizes, over the variables of the plan's own step."""
        plan, execution = self._plan, self._execution
        if not self._is_blocked(sizes):
            return execution.step_graph
        assert plan.make_step is not None
        sized_plan = replace(plan, train=plan.make_step(sizes), make_shards=None)
        packs = bool(execution.packed_vectors)
        sized = plan_execution(sized_plan, execution.provider, execution.threads, fast=True, packs_weights=packs)
        return sized.step_graph if _variables_of(sized) == _variables_of(execution) else execution.step_graph


def _max_bytes(types: Iterable[TensorType], sizes: Mapping[str, int]) -> int:
    """The bytes of the largest tensor; a tensor whose size does not follow from these sizes counts as empty."""

    def tensor_bytes(type: TensorType) -> int:
        try:
            return prod(evaluate_size(size, sizes) for size in type.shape) * numpy_dtype(type.dtype).itemsize
        except ValueError:
            return 0

    return max(map(tensor_bytes, types), default=0)


def _variables_of(execution: ExecutionPlan) -> tuple[object, ...]:
    """How the step of a plan stores and updates its variables."""
    lazy_names = execution.lazy_tables.variable_names if execution.lazy_tables else frozenset()
    inplace = execution.inplace_slots, execution.inplace_variables
    return execution.packed_vectors, execution.slices, *inplace, lazy_names
