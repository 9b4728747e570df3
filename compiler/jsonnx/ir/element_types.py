"""Element types of a graph with quantized values: of stored weights, of products, and of the results of layers."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from math import prod

from .cost import MAC_COUNTERS
from .graph import Constant, Graph, JsonPath, Node, Value
from .polynomial import Polynomial

QUANTIZE, DEQUANTIZE = "QuantizeLinear", "DequantizeLinear"

FUSED_OPS = frozenset({"Add", "Clip", "Mul", "Relu"})
"""Operators that are fused with a product in front of them, so that only their result is quantized."""

WEIGHT_BITS = {"float32": 32, "int32": 32, "float16": 16, "bfloat16": 16, "int8": 8, "uint8": 8, "int4": 4, "uint4": 4}
"""Bits of the elements of weights, biases, scales and zero points, by element type; other constants are shapes, axes
and tokens."""

PRODUCT_TYPES = {"int4": "int8", "uint4": "int8", "uint8": "int8"}
"""The element type of a product by that of its weights, where they differ."""


class ElementTypes:
    """The element types of a graph, whose weights may be dequantized constants."""

    def __init__(self, graph: Graph, dynamic_nodes: Collection[Node] = ()) -> None:
        """The constant matrices of `dynamic_nodes` are stored in int8, with one scale, and become operands of integer
        products, whose other operand is rounded in each run."""
        self._graph = graph
        self._dynamic_nodes = set(dynamic_nodes)
        self._producers = graph.producers
        self._roots = set(graph.roots)
        self._readers: dict[Value, list[Node]] = {}
        for node in graph.nodes:
            for x in node.inputs:
                if x is not None:
                    self._readers.setdefault(x, []).append(node)

    def weight_bytes(self) -> dict[JsonPath, int]:
        """The bytes of the stored weights with their scales and zero points, by the path of their layer. A weight of
        several layers counts at the first of them."""
        counted: set[object] = set()
        sizes: dict[JsonPath, int] = {}
        for node in self._graph.nodes:
            for x in node.inputs:
                if not isinstance(x, Constant) or x.dtype not in WEIGHT_BITS:
                    continue
                # A file has one tensor for all equal constants without a name.
                key = x if x.name else (x.dtype, x.shape, x.array.tobytes())
                if key not in counted:
                    counted.add(key)
                    bits = WEIGHT_BITS["int8" if self._is_dynamic(node, x) else x.dtype]
                    sizes[node.path] = sizes.get(node.path, 0) + -(-prod(x.shape) * bits // 8)
        return sizes

    def _is_dynamic(self, node: Node, x: Value | None) -> bool:
        """Whether an operand of a node is a matrix that is stored in int8."""
        return node in self._dynamic_nodes and isinstance(x, Constant) and x.rank > 1 and x.dtype == "float32"

    def macs(self) -> dict[JsonPath, dict[str, Polynomial]]:
        """The multiply-adds for one sample by element type, by the path of their layer."""
        counts: dict[JsonPath, dict[str, Polynomial]] = {}
        for node in self._graph.nodes:
            if node.op in MAC_COUNTERS:
                by_type = counts.setdefault(node.path, {})
                dtype = self._product_type(node)
                by_type[dtype] = by_type.get(dtype, Polynomial()) + MAC_COUNTERS[node.op](node)
        return {path: {dtype: count for dtype, count in own.items() if count.terms} for path, own in counts.items()}

    def result_types(self) -> dict[JsonPath, str]:
        """The element type in which the result of a layer is kept, by the layer's path."""
        types: dict[JsonPath, str] = {}
        for path, values in self._results().items():
            kept = {self._kept_type(value) for value in values}
            types[path] = next(iter(kept)) if len(kept) == 1 else next(iter(values)).dtype
        return types

    def _product_type(self, node: Node) -> str:
        """The type that a product is computed in: integers if both of its operands are."""
        if any(self._is_dynamic(node, x) for x in node.inputs):
            return "int8"
        stored = [self._dequantized(x) for x in node.inputs[:2]]
        if all(dtype is not None for dtype in stored):
            return PRODUCT_TYPES.get(str(stored[1]), str(stored[1]))
        return next((x.dtype for x in node.inputs if x is not None), "float32")

    def _dequantized(self, x: Value | None) -> str | None:
        """The element type of the integers that a value is computed from; None for another value."""
        node = self._producers.get(x) if x is not None else None
        if node is None or node.op != DEQUANTIZE or node.inputs[0] is None:
            return None
        return node.inputs[0].dtype

    def _results(self) -> Mapping[JsonPath, list[Value]]:
        """The values of each layer that others read, by the layer's path."""
        results: dict[JsonPath, list[Value]] = {}
        for node in self._graph.nodes:
            if node.op in (QUANTIZE, DEQUANTIZE):
                continue
            for value in node.outputs:
                if value in self._roots or any(path != node.path for path in self._reading_paths(value)):
                    results.setdefault(node.path, []).append(value)
        return results

    def _reading_paths(self, value: Value) -> Iterator[JsonPath]:
        """The layers that read a value, also after it was quantized and dequantized."""
        for node in self._readers.get(value, ()):
            if node.op in (QUANTIZE, DEQUANTIZE):
                yield from self._reading_paths(node.outputs[0])
            else:
                yield node.path

    def _kept_type(self, value: Value) -> str:
        """The type of a value, or that of the integers that it is rounded to by its only reader, or behind operators
        that are fused."""
        while value not in self._roots and len(readers := self._readers.get(value, [])) == 1:
            reader = readers[0]
            if reader.op == QUANTIZE:
                return value.dtype if self._feeds_float_product(reader.outputs[0]) else reader.outputs[0].dtype
            if reader.op not in FUSED_OPS:
                break
            value = reader.outputs[0]
        return value.dtype

    def _feeds_float_product(self, integers: Value) -> bool:
        """Whether a product in floating point reads the dequantized integers."""
        values = (value for node in self._readers.get(integers, ()) for value in node.outputs)
        products = (node for value in values for node in self._readers.get(value, ()) if node.op in MAC_COUNTERS)
        return any(self._product_type(node) == "float32" for node in products)
