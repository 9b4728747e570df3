"""The lowest operator set in which a graph can be written.

A kernel of a GPU provider is often registered for the definitions of an operator up to some opset. In a model of a
later opset that changed the operator, even where only element types were added, the provider has no kernel, and
onnxruntime executes the node on the CPU. CUDA has none for ConstantOfShape-20, Pad-19, Equal-19, ReduceMax-20 and
ReduceMin-20. Older runtimes also read the lower opset.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from onnx import defs

from ..ir import Graph, Node, Subgraph
from ..ir.type_inference import OPSET, QUANTIZATION_OPSET, needs_quantization_opset

MIN_OPSET = 18
"""The lowest opset that is tried: its operators have the meaning that the graphs rely on, such as ReduceMax with the
axes as an input."""


def lowest_opset(graph: Graph) -> int:
    """The lowest opset, from MIN_OPSET to OPSET, whose definitions have all attributes, inputs, outputs and element
    types of the graph's nodes and of the bodies of its loops and conditionals; QUANTIZATION_OPSET if one needs it."""
    return max((_lowest_opset(*signature) for signature in _signatures(graph)), default=MIN_OPSET)


def lowest_node_opset(node: Node) -> int:
    """The lowest opset of a node, without the bodies of a loop or conditional."""
    return MIN_OPSET if node.domain else _lowest_opset(*_signature(node))


Signature = tuple[str, frozenset[str], tuple[str, ...], tuple[str, ...]]
"""A node's operator, the names of its attributes, and the element types of its inputs and outputs."""


def _signatures(graph: Graph | Subgraph) -> Iterator[Signature]:
    """The signature of each node of ONNX, including nodes of bodies."""
    for node in graph.nodes:
        if not node.domain:
            yield _signature(node)
        for attribute in node.attributes.values():
            if isinstance(attribute, Subgraph):
                yield from _signatures(attribute)


def _signature(node: Node) -> Signature:
    return node.op, frozenset(node.attributes), _input_types(node), tuple(x.dtype for x in node.outputs)


def _input_types(node: Node) -> tuple[str, ...]:
    """The element types of the inputs, "" for one that is left out. In ONNX, bodies have no inputs."""
    if any(isinstance(attribute, Subgraph) for attribute in node.attributes.values()):
        return ()
    return tuple("" if value is None else value.dtype for value in node.inputs)


@lru_cache(maxsize=4096)
def _lowest_opset(op: str, attributes: frozenset[str], inputs: tuple[str, ...], outputs: tuple[str, ...]) -> int:
    if needs_quantization_opset(op, attributes, (*inputs, *outputs)):
        return QUANTIZATION_OPSET
    opsets = range(MIN_OPSET, OPSET)
    return next((opset for opset in opsets if _has_signature(opset, op, attributes, inputs, outputs)), OPSET)


def _has_signature(
    opset: int, op: str, attributes: frozenset[str], inputs: tuple[str, ...], outputs: tuple[str, ...]
) -> bool:
    """Whether the operator of an opset has these attributes, inputs and outputs. False for an unknown operator."""
    if not defs.has(op, opset, ""):
        return False
    schema = defs.get_schema(op, opset, "")
    if schema.since_version == defs.get_schema(op, OPSET, "").since_version:
        return True
    counts_fit = len(inputs) <= schema.max_input and len(outputs) <= schema.max_output
    return counts_fit and attributes <= schema.attributes.keys() and _types_fit(schema, inputs, outputs)


def _types_fit(schema: defs.OpSchema, inputs: tuple[str, ...], outputs: tuple[str, ...]) -> bool:
    for parameters, dtypes in ((schema.inputs, inputs), (schema.outputs, outputs)):
        for index, dtype in enumerate(dtypes):
            parameter = parameters[min(index, len(parameters) - 1)]  # the last one may be variadic
            if dtype and f"tensor({ONNX_TYPE_NAMES.get(dtype, dtype)})" not in parameter.types:
                return False
    return True


ONNX_TYPE_NAMES = {"float32": "float", "float64": "double"}
"""The names of element types in operator definitions, where they differ from NumPy's."""
