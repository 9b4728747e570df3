"""Mixed precision: matrix products and convolutions in a 16-bit type, with the cheap operators between them.

Weights, losses, metrics, softmax, and whatever adds up many numbers stay in float32. The gradient of a Cast is a Cast,
so the backward pass follows the forward pass.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from ...ir import Builder, Constant, Graph, Node, Parameter, Random, Subgraph, Value
from ...ir.type_inference import schema_of

COMPUTE_OPS = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})
"""Operators that are computed in the 16-bit type."""
FOLLOWING_OPS = frozenset(
    [
        "Add",
        "Concat",
        "Expand",
        "Flatten",
        "Identity",
        "LeakyRelu",
        "MaxPool",
        "Mul",
        "Pad",
        "Relu",
        "Reshape",
        "Sigmoid",
        "Slice",
        "Squeeze",
        "Sub",
        "Tanh",
        "Transpose",
        "Unsqueeze",
    ]
)
"""Operators that are computed in the 16-bit type if an operand is already in it, and no operand might overflow."""
MAX_FLOAT16 = 65504.0


def with_mixed_precision(
    graph: Graph,
    dtype: str,
    is_normalization: Callable[[Node], bool],
    stays_float32: Callable[[Node], bool] = lambda node: False,
) -> Graph:
    """The graph with its products in `dtype` (`float16` or `bfloat16`), as a forward pass with losses.

    The nodes of normalizations stay in float32; their results are small enough for the type. Nodes for which
    `stays_float32` is true stay in it, too. Inputs, outputs, weights and updates keep their types.
    """
    return _MixedPrecision(graph, dtype, is_normalization, stays_float32).rewritten()


class _MixedPrecision:
    def __init__(
        self,
        graph: Graph,
        dtype: str,
        is_normalization: Callable[[Node], bool],
        stays_float32: Callable[[Node], bool],
    ) -> None:
        self._graph, self._dtype, self._is_normalization = graph, dtype, is_normalization
        self._stays_float32 = stays_float32
        self._g = Builder.extending(graph)
        self._g.nodes = []
        self._computed: dict[Value, Value] = {}
        """By float32 value that is no longer computed: the value in the 16-bit type."""
        self._narrowed: dict[Value, Value] = {}
        self._widened: dict[Value, Value] = {}
        self._normalized: set[Value] = set()

    def rewritten(self) -> Graph:
        for node in self._graph.nodes:
            with self._g.inherit(node):
                if self._is_narrow(node):
                    self._emit_narrow(node)
                else:
                    self._append(node)
        roots = {value for value in self._graph.roots if value in self._computed}
        producers = self._graph.producers
        replacements = {}
        for value in roots:
            with self._g.inherit(producers[value]):
                replacements[value] = self._wide(value)
        return self._graph.with_nodes(self._g.nodes, replacements)

    def _is_narrow(self, node: Node) -> bool:
        if len(node.outputs) != 1 or node.outputs[0].dtype != "float32" or node.domain or self._is_normalization(node):
            return False
        if self._stays_float32(node) or any(isinstance(item, Subgraph) for item in node.attributes.values()):
            return False
        real = [x for x in node.inputs if x is not None and x.dtype == "float32"]
        if node.op in COMPUTE_OPS:
            return accepts(node.op, self._dtype) and all(self._fits(x) for x in real if isinstance(x, Constant))
        starts = any(x in self._computed or x in self._normalized for x in real)
        return node.op in FOLLOWING_OPS and starts and all(map(self._fits, real)) and accepts(node.op, self._dtype)

    def _fits(self, x: Value) -> bool:
        """Whether all elements of a value are known to be in the range of the type."""
        if isinstance(x, Constant):
            finite = x.array[np.isfinite(x.array)]
            return bool(np.abs(finite).max(initial=0.0) <= MAX_FLOAT16)
        return x in self._computed or x in self._normalized or isinstance(x, (Parameter, Random))

    def _emit_narrow(self, node: Node) -> None:
        inputs = [self._narrow(x) if x is not None and x.dtype == "float32" else x for x in node.inputs]
        result = self._g.emit(node.op, *inputs, domain=node.domain, **node.attributes)
        (output,) = node.outputs
        self._computed[output] = self._g.refine(result, output.shape)

    def _append(self, node: Node) -> None:
        """Keeps a node in float32."""
        if any(x in self._computed for x in node.inputs):
            node = node.with_inputs(self._wide(x) if x in self._computed else x for x in node.inputs)
        self._g.nodes.append(node)
        if self._is_normalization(node):
            self._normalized.update(y for y in node.outputs if y.dtype == "float32")

    def _narrow(self, x: Value) -> Value:
        """A float32 value in the 16-bit type."""
        if x in self._computed:
            return self._computed[x]
        if x not in self._narrowed:
            self._narrowed[x] = self._cast(x, self._dtype)
        return self._narrowed[x]

    def _wide(self, x: Value) -> Value:
        """A value of the original graph in float32, which is no longer computed there."""
        if x not in self._widened:
            self._widened[x] = self._cast(self._computed[x], "float32")
        return self._widened[x]

    def _cast(self, x: Value, dtype: str) -> Value:
        cast: Value = self._g.cast(x, dtype)
        return self._g.refine(cast, x.shape)


def accepts(op: str, dtype: str) -> bool:
    """Whether ONNX defines an operator for an element type."""
    schema = schema_of(op, "")
    types: dict[str, Sequence[str]] = {each.type_param_str: each.allowed_type_strs for each in schema.type_constraints}
    return f"tensor({dtype})" in types.get(schema.inputs[0].type_str, ())
