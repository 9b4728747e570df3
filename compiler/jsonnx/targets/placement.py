"""The nodes of a graph that an execution provider has no kernel for, by its table of kernels.

onnxruntime runs these nodes on the CPU: it copies their inputs from the device and their outputs back, and says nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

from onnx import defs

from ..ir import Constant, Graph, Node, Subgraph, Value
from .kernel_table import FIRST, Kernel, KernelTable

ML_OPSET = 4
"""The opset of ai.onnx.ml that models are written in."""


@dataclass(frozen=True)
class MissingKernel:
    """A node without a kernel, and why: the operator, the opset of its definition or an element type."""

    node: Node
    reason: str


def missing_kernels(graph: Graph, table: KernelTable, opset: int) -> list[MissingKernel]:
    """The nodes of a graph, and of the bodies of its loops, that have no kernel in a model of an opset.

    A loop or conditional with such a node in a body is not listed itself. Nodes that compute with shapes alone are left
    out: onnxruntime runs them on the CPU for every provider, since shapes are there.
    """
    return [*_missing(graph.nodes, table, opset)]


SHAPE_OPERATORS = {"Shape", "Size"}
"""Operators whose results are on the CPU."""


def _missing(nodes: Iterable[Node], table: KernelTable, opset: int) -> Iterator[MissingKernel]:
    shapes: set[Value] = set()
    for node in nodes:
        variables = [value for value in node.inputs if value is not None and not isinstance(value, Constant)]
        if node.op in SHAPE_OPERATORS or (variables and shapes.issuperset(variables) and _has_integers(node)):
            shapes.update(node.outputs)
            continue
        reason = _missing_reason(
            table, node.domain, node.op, opset, _input_types(node), tuple(value.dtype for value in node.outputs)
        )
        if reason:
            yield MissingKernel(node, reason)
        for attribute in node.attributes.values():
            if isinstance(attribute, Subgraph):
                yield from _missing(attribute.nodes, table, opset)


def _has_integers(node: Node) -> bool:
    return all(value.dtype in ("int32", "int64", "bool") and value.rank <= 1 for value in node.outputs)


def _input_types(node: Node) -> tuple[str, ...]:
    """Element types of the inputs, "" for one that is left out; none of loops, whose inputs may have any type."""
    if any(isinstance(attribute, Subgraph) for attribute in node.attributes.values()):
        return ()
    return tuple("" if value is None else value.dtype for value in node.inputs)


@lru_cache(maxsize=8192)
def _missing_reason(
    table: KernelTable, domain: str, op: str, opset: int, inputs: tuple[str, ...], outputs: tuple[str, ...]
) -> str:
    """Why there is no kernel; "" if there is one."""
    name = f"{domain}.{op}" if domain else op
    kernels = table.kernels.get((domain, op), ())
    if not kernels:
        return f"no kernel for {name}"
    version = opset if not domain else ML_OPSET if domain == "ai.onnx.ml" else 1
    if not defs.has(op, version, domain):  # an operator that only onnxruntime defines
        return ""
    schema = defs.get_schema(op, version, domain)
    serving = [kernel for kernel in kernels if kernel.serves(schema.since_version)]
    if not serving:
        return f"no kernel for {name} of opset {schema.since_version}"
    unsupported = [_unsupported_type(schema, kernel, inputs, outputs) for kernel in serving]
    return "" if None in unsupported else f"no kernel for {name} of {unsupported[0]}"


def _unsupported_type(
    schema: defs.OpSchema, kernel: Kernel, inputs: tuple[str, ...], outputs: tuple[str, ...]
) -> str | None:
    """An element type of the inputs or outputs that a kernel does not take; None if it takes all."""
    for parameters, dtypes in ((schema.inputs, inputs), (schema.outputs, outputs)):
        for index, dtype in enumerate(dtypes):
            parameter = parameters[min(index, len(parameters) - 1)]  # the last one may be variadic
            types = kernel.types.get(parameter.type_str, kernel.types.get(parameter.name))
            if types is None and index == 0:
                types = kernel.types.get(FIRST)
            if dtype and types is not None and dtype not in types:
                return dtype
    return None
