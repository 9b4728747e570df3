"""Writes the graphs of models and training plans in the forms that a target has kernels for."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from ..backend.opset import MIN_OPSET, lowest_node_opset, lowest_opset
from ..core.diagnostics import UsageError
from ..core.reserved_names import target_name
from ..ir import Graph, Node
from ..passes.canonicalize import canonicalize
from ..passes.gelu_as_erf import write_gelu_as_erf
from ..passes.targets import write_nodes_without_kernel
from ..runtime.training_plan import TrainingPlan
from ..targets import PROVIDERS_WITH_TABLES, KernelTable, kernel_table, lacks_kernel

PLAIN_TARGETS = ("cpu", "coreml", "openvino")
"""Targets that take the plain form of a graph."""
TARGETS = ("cpu", "cuda", "webgpu", "directml", "coreml", "openvino")
MAX_ROUNDS = 8
"""How often a graph is rewritten: operators that a rule emits may need a rule themselves."""


def write_for_target(graph: Graph, target: str) -> Graph:
    """The graph in the operators and element types of a target of `TARGETS`; the graph itself if the target takes the
    plain form.

    Where the target does not compute in int64, inputs of int64 become int32.
    """
    if target not in PROVIDERS_WITH_TABLES:
        return graph
    table = kernel_table(target)
    graph = write_gelu_as_erf(graph)
    for _ in range(MAX_ROUNDS):
        needs_form = partial(_needs_form, table, lowest_opset(graph))
        rewritten = write_nodes_without_kernel(graph, needs_form)
        if rewritten is graph:
            break
        graph = rewritten
    return canonicalize(graph)


def _needs_form(table: KernelTable, opset: int, node: Node) -> bool:
    """Whether a node has no kernel, or raises the opset of the model: later definitions of operators have fewer
    kernels."""
    return lowest_node_opset(node) > MIN_OPSET or lacks_kernel(table, node, opset)
