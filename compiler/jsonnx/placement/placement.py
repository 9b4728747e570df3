"""The nodes of a model that an execution provider has no kernel for, by its table of kernels.

onnxruntime runs these nodes on the CPU, and copies their inputs from the device and their outputs back, without a word.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

import onnx
from onnx import defs, shape_inference

from ..ir import Node
from ..ir.dtypes import dtype_name
from ..ir.host_values import SHAPE_OPERATORS, SHAPE_TYPES
from .kernel_table import FIRST, Kernel, KernelTable

FindReason = Callable[[onnx.NodeProto, int, tuple[str, ...], tuple[str, ...]], str]
"""Tells why a node does not run on the provider, "" if it does: from the opset of its domain and the element types of
its inputs and outputs."""


@dataclass(frozen=True)
class MissingKernel:
    """A node without a kernel."""

    name: str
    """The node's name."""
    path: str
    """The JSON path of its layer in the spec without blocks, as in the model; empty for a model of another program."""
    op: str
    reason: str
    """What has no kernel: the operator, the opset of its definition or an element type."""
    outputs: tuple[str, ...]
    """The types of its outputs, such as `float32 (batch, 10)`."""


@dataclass(frozen=True)
class Placement:
    """Where the nodes of a model run, shape arithmetic left out."""

    nodes: int
    """The number of nodes."""
    missing: tuple[MissingKernel, ...]


def place_nodes(model: onnx.ModelProto, table: KernelTable) -> Placement:
    """The nodes of a model, and of the bodies of its loops, that have no kernel.

    A loop or conditional is a node of its own, besides those in its body. Nodes that compute with shapes alone are left
    out: onnxruntime runs them on the CPU for every provider, since shapes are there.
    """

    def reason(node: onnx.NodeProto, opset: int, inputs: tuple[str, ...], outputs: tuple[str, ...]) -> str:
        return _missing_reason(table, _domain(node), node.op_type, opset, inputs, outputs)

    return _place(model, reason, table)


def place_assigned(model: onnx.ModelProto, on_cpu: Collection[str], table: KernelTable | None) -> Placement:
    """The nodes of a model that a session runs on the CPU, by their names, shape arithmetic left out.

    The table of the provider, if there is one, tells the reason.
    """

    def reason(node: onnx.NodeProto, opset: int, inputs: tuple[str, ...], outputs: tuple[str, ...]) -> str:
        if node.name not in on_cpu:
            return ""
        known = table and _missing_reason(table, _domain(node), node.op_type, opset, inputs, outputs)
        return known or f"onnxruntime runs {node.op_type} on the CPU"

    return _place(model, reason, table)


def _place(model: onnx.ModelProto, reason: FindReason, table: KernelTable | None) -> Placement:
    typed = shape_inference.infer_shapes(model)
    opsets = {_domain(item): item.version for item in model.opset_import}
    scanned = [*_scan(typed.graph, _Scope(reason, opsets, table))]
    return Placement(len(scanned), tuple(missing for missing in scanned if missing is not None))


def lacks_kernel(table: KernelTable, node: Node, opset: int) -> bool:
    """Whether a node of a graph has no kernel in a model of an opset."""
    inputs = () if node.bodies else tuple("" if x is None else x.dtype for x in node.inputs)
    outputs = tuple(x.dtype for x in node.outputs)
    return bool(_missing_reason(table, node.domain, node.op, opset, inputs, outputs))


@dataclass
class _Scope:
    """What is known where a node stands: types, and the values that shape arithmetic computes."""

    find_reason: FindReason
    opsets: Mapping[str, int]
    table: KernelTable | None
    types: dict[str, onnx.TypeProto] = field(default_factory=dict)
    constants: set[str] = field(default_factory=set)
    shapes: set[str] = field(default_factory=set)

    def inner(self, graph: onnx.GraphProto) -> _Scope:
        """The scope of a graph, which sees the values around it."""
        infos = [*graph.input, *graph.output, *graph.value_info]
        initializers = {
            tensor.name: onnx.helper.make_tensor_type_proto(tensor.data_type, tensor.dims)
            for tensor in graph.initializer
        }
        return _Scope(
            self.find_reason,
            self.opsets,
            self.table,
            self.types | initializers | {info.name: info.type for info in infos},
            self.constants | initializers.keys(),
            {*self.shapes},
        )

    def dtype(self, name: str) -> str:
        """The element type of a value; "" if it is left out, unknown or no tensor."""
        type = self.types.get(name)
        known = type is not None and type.HasField("tensor_type") and type.tensor_type.elem_type
        return dtype_name(type.tensor_type.elem_type) if type is not None and known else ""

    def is_shape_arithmetic(self, node: onnx.NodeProto) -> bool:
        """Whether a node computes with shapes alone, and gives one number, such as the batch size as a float, or a
        vector of integers."""
        if node.op_type in SHAPE_OPERATORS:  # without a kernel, onnxruntime copies the operand to the CPU
            return self.table is None or (_domain(node), node.op_type) in self.table.kernels
        variables = [name for name in node.input if name and name not in self.constants]
        return bool(variables) and self.shapes.issuperset(variables) and all(map(self._is_small_shape, node.output))

    def _is_small_shape(self, name: str) -> bool:
        sizes = self.types[name].tensor_type.shape.dim if self.dtype(name) else None
        if sizes is None or len(sizes) > 1:
            return False
        return all(size.dim_value == 1 for size in sizes) or self.dtype(name) in SHAPE_TYPES


def _scan(graph: onnx.GraphProto, outer: _Scope) -> Iterator[MissingKernel | None]:
    """For each node that is no shape arithmetic, the kernel that is missing, or None."""
    scope = outer.inner(graph)
    for node in graph.node:
        if node.op_type == "Constant":
            scope.constants.update(node.output)
            continue
        bodies = [attribute.g for attribute in node.attribute if attribute.HasField("g")]
        is_shape = not bodies and scope.is_shape_arithmetic(node)  # a body reads values that are no inputs of its node
        if is_shape or node.op_type in SHAPE_OPERATORS:
            scope.shapes.update(node.output)
        if is_shape:
            continue
        inputs = () if bodies else tuple(map(scope.dtype, node.input))  # a loop's inputs may have any type
        yield _missing_kernel(node, inputs, scope)
        for body in bodies:
            yield from _scan(body, scope)


def _missing_kernel(node: onnx.NodeProto, inputs: tuple[str, ...], scope: _Scope) -> MissingKernel | None:
    outputs = tuple(map(scope.dtype, node.output))
    reason = scope.find_reason(node, scope.opsets.get(_domain(node), 1), inputs, outputs)
    if not reason:
        return None
    path = next((entry.value for entry in node.metadata_props if entry.key == "jsonnx.path"), "")
    types = tuple(_type_text(scope.types.get(name)) for name in node.output if name)
    return MissingKernel(node.name, path, node.op_type, reason, types)


def _domain(item: onnx.NodeProto | onnx.OperatorSetIdProto) -> str:
    """The domain of a node or an opset, "" for ONNX."""
    return "" if item.domain == "ai.onnx" else item.domain


def _type_text(type: onnx.TypeProto | None) -> str:
    if type is None or not type.HasField("tensor_type"):
        return "?"
    tensor = type.tensor_type
    sizes = [size.dim_param or str(size.dim_value) if size.WhichOneof("value") else "?" for size in tensor.shape.dim]
    shape = f"({', '.join(sizes)}{',' if len(sizes) == 1 else ''})"
    return f"{dtype_name(tensor.elem_type) if tensor.elem_type else '?'} {shape}"


@lru_cache(maxsize=8192)
def _missing_reason(
    table: KernelTable, domain: str, op: str, opset: int, inputs: tuple[str, ...], outputs: tuple[str, ...]
) -> str:
    """Why there is no kernel; "" if there is one."""
    name = f"{domain}.{op}" if domain else op
    kernels = table.kernels.get((domain, op), ())
    if not kernels:
        return f"no kernel for {name}"
    if not defs.has(op, opset, domain):  # an operator that only onnxruntime defines
        return ""
    schema = defs.get_schema(op, opset, domain)
    serving = [kernel for kernel in kernels if kernel.serves(schema.since_version)]
    if not serving:
        return f"no kernel for {name} of opset {schema.since_version}"
    unsupported = [_unsupported_type(schema, kernel, inputs, outputs) for kernel in serving]
    return "" if None in unsupported else f"no kernel for {name} of {unsupported[0]}"


def _unsupported_type(
    schema: defs.OpSchema, kernel: Kernel, inputs: tuple[str, ...], outputs: tuple[str, ...]
) -> str | None:
    """An element type of the inputs or outputs that a kernel does not take; None if it takes all."""
    first_types = kernel.types.get(FIRST)
    if first_types is not None and inputs and inputs[0] and inputs[0] not in first_types:
        return inputs[0]
    for parameters, dtypes in ((schema.inputs, inputs), (schema.outputs, outputs)):
        for index, dtype in enumerate(dtypes):
            parameter = parameters[min(index, len(parameters) - 1)]  # the last one may be variadic
            types = kernel.types.get(parameter.type_str, kernel.types.get(parameter.name))
            if dtype and types is not None and dtype not in types:
                return dtype
    return None
