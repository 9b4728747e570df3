"""The memory that a training process needs on the CPU, estimated before it has any of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from ...core.providers.known_providers import CPU
from ...core.reserved_names import is_slot_name
from ...core.system.cpu_count import checked_thread_count
from ...core.types import BATCH
from ...passes.training_steps.live_memory import ValueSizes, arena_bytes, live_peak
from ..providers.providers import resolve_provider
from .execution_plan import ExecutionPlan, plan_execution
from .graph_loader import GraphLoader, StepGraph
from .prefetch import MAX_BUFFER_BYTES
from .variables import SET_COUNT, DonatedArrays, HostVariables

if TYPE_CHECKING:
    import numpy as np

    from ...ir import Value
    from ..training_plan import TrainingPlan

PROCESS_BYTES = 115 << 20
"""The memory of Python and its libraries."""
NODE_BYTES = 16 << 10
"""The memory for a node, in the graphs of Python and in the session."""
BATCH_COPIES = 2
"""The batch of a step, and the next one, which is prepared while the step runs."""


@dataclass(frozen=True)
class StepMemory:
    """The bytes that a process has when a training step needs most, by what they hold."""

    weights: int
    """All copies of weights and states."""
    slots: int
    """All copies of the optimizer's slots."""
    gradients: int
    """Gradients and what updates compute from them."""
    activations: int
    """Results of the forward pass, their gradients, and what is free between them."""
    batch: int
    """Inputs, targets and random numbers."""
    process: int
    """Python, the libraries, and the graphs."""

    @property
    def parts(self) -> dict[str, int]:
        return asdict(self)

    @property
    def total(self) -> int:
        return sum(self.parts.values())


@dataclass(frozen=True)
class TrainingEstimate:
    """The memory that training needs for batches of some sizes."""

    sizes: Mapping[str, int]
    memory: StepMemory


def estimate_step_memory(
    plan: TrainingPlan, sizes: Mapping[str, int], threads: int | None, vocabularies: Mapping[str, np.ndarray]
) -> TrainingEstimate:
    """The memory for steps of a plan on the CPU with batches of these sizes. Nothing of it is allocated."""
    execution = plan_execution(plan, resolve_provider(CPU), checked_thread_count(threads), fast=True)
    no_variables = HostVariables(DonatedArrays({}), (), {})
    loader = GraphLoader(plan, execution, no_variables, vocabularies)
    return TrainingEstimate(sizes, step_memory(execution, loader, sizes))


def step_memory(execution: ExecutionPlan, loader: GraphLoader, sizes: Mapping[str, int]) -> StepMemory:
    """The memory for steps with batches of these sizes. No session is created."""
    steps = loader.step_graphs(sizes[str(BATCH)], sizes)
    variables = {**execution.unpacked_step.parameters, **execution.unpacked_step.states}
    held = {name: _copies(name, execution) * ValueSizes(sizes)(value) for name, value in variables.items()}
    slots = sum(size for name, size in held.items() if is_slot_name(name))
    gradients = activations = 0
    for step in steps:
        of_weights, others = _result_bytes(step, execution, loader)
        gradients += step.session_count * of_weights
        activations += step.session_count * others
        if len(steps) > 1:  # the shards hand over their gradients in arrays
            gradients += step.session_count * _total_bytes(step.graph.outputs.values(), ValueSizes(step.sizes))
    fed, fed_sizes = steps[0].graph, ValueSizes(steps[0].sizes)
    fed_bytes = steps[0].session_count * _total_bytes([*fed.inputs.values(), *fed.randoms.values()], fed_sizes)
    buffered = fed_bytes if fed.randoms else max(fed_bytes, MAX_BUFFER_BYTES)
    nodes = sum(step.session_count * len(step.graph.nodes) for step in steps)
    return StepMemory(
        weights=sum(held.values()) - slots,
        slots=slots,
        gradients=gradients,
        activations=activations,
        batch=BATCH_COPIES * buffered,
        process=PROCESS_BYTES + NODE_BYTES * nodes,
    )


def _result_bytes(step: StepGraph, execution: ExecutionPlan, loader: GraphLoader) -> tuple[int, int]:
    """The memory of one session for results whose size does not depend on the batch, and for the others."""
    sizes = ValueSizes(step.sizes)
    peak = live_peak(step.graph, sizes)
    of_weights = sum(size for value, size in peak.live.items() if value.type.is_static())
    held = arena_bytes(step.graph, sizes, doubles=not execution.can_own_arena)
    planned = peak.total_bytes if loader.plans_memory(step) else 0
    return of_weights, max(0, held - of_weights) + planned


def _copies(name: str, execution: ExecutionPlan) -> int:
    """How many copies of a variable exist."""
    lazy = execution.lazy_tables.variable_names if execution.lazy_tables else ()
    is_overwritten = name in execution.inplace_slots or name in execution.inplace_variables or name in lazy
    return SET_COUNT if name in execution.unpacked_step.updates and not is_overwritten else 1


def _total_bytes(values: Iterable[Value], sizes: ValueSizes) -> int:
    return sum(map(sizes, values))
