"""Writes the graphs of models and training plans in the forms that a target has kernels for.

A form adds no variables, and only the step counter changes its type, so a checkpoint fits every
target. Therefore powers of the count are read from tables, not carried as products in variables of their own. The plain
step, which runs on the CPU, keeps its count of int64 and its Pow.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

from ...backend.opset import MIN_OPSET, lowest_node_opset, lowest_opset
from ...core.reserved_names import target_name
from ...core.types import TensorType
from ...ir import Graph, Node, Value
from ...passes.canonicalize import canonicalize
from ...passes.gelu_as_erf import write_gelu_as_erf
from ...passes.legalization import write_nodes_without_kernel
from ...placement import KernelTable, kernel_table, lacks_kernel
from ...runtime.training_plan import TrainingPlan

MAX_ROUNDS = 8
"""Maximum number of rewrites of a graph: operators that a rule emits may need a rule themselves."""


def write_for_target(graph: Graph, target: str) -> Graph:
    """The graph in the operators and element types of a target; the graph itself for a target without a table of
    kernels, which takes the plain form.

    Where the target does not compute in int64, inputs of int64 become int32.
    """
    table = kernel_table(target)
    if table is None:
        return graph
    graph = write_gelu_as_erf(graph)
    for _ in range(MAX_ROUNDS):
        needs_form = partial(_needs_form, table, lowest_opset(graph))
        rewritten = write_nodes_without_kernel(graph, needs_form)
        if rewritten is graph:
            break
        graph = rewritten
    return canonicalize(graph)


def plan_for_target(plan: TrainingPlan, target: str) -> TrainingPlan:
    """The training plan with all graphs in the form of a target, and the types of inputs and targets as they are fed
    there."""
    if kernel_table(target) is None:
        return plan
    train, evaluate = write_for_target(plan.train, target), write_for_target(plan.evaluate, target)
    fed = {**train.inputs, **evaluate.inputs}
    augmented_inputs = tuple(
        augmented if augmented.graph is None else replace(augmented, graph=write_for_target(augmented.graph, target))
        for augmented in plan.augmented_inputs
    )
    return replace(
        plan,
        train=train,
        evaluate=evaluate,
        predict=write_for_target(plan.predict, target),
        inputs=_fed_types(fed, plan.inputs),
        targets={output: fed[target_name(output)].type for output in plan.targets},
        augmented_inputs=augmented_inputs,
        make_shards=None,  # only steps on the CPU are split
        make_step=None,  # or computed by blocks
    )


def _fed_types(fed: Mapping[str, Value], types: Mapping[str, TensorType]) -> dict[str, TensorType]:
    """The types of inputs; inputs that a graph in the form of a target has take its types."""
    return {name: fed[name].type if name in fed else type for name, type in types.items()}


def _needs_form(table: KernelTable, opset: int, node: Node) -> bool:
    """Whether a node has no kernel, or raises the opset of the model: later definitions of operators have fewer
    kernels."""
    return lowest_node_opset(node) > MIN_OPSET or lacks_kernel(table, node, opset)
