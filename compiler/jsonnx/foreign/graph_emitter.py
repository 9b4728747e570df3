"""The values of a prepared graph while it is emitted into a builder, node by node."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import copy
from typing import Any, NamedTuple

import numpy as np
import onnx

from ..core.types import Dim, Product, Quotient, ShapeError, Size
from ..ir import Builder, Value
from ..ir.builder import EmissionError
from ..ir.dtypes import dtype_name, onnx_dtype
from .known_values import MAX_KNOWN_ELEMENTS, Known, evaluate, known_array
from .needed_nodes import inputs_with_captures, needed_nodes
from .prepared_graph import ForeignWeight, PreparedGraph
from .sample_axes import has_merged_batch, require_any_batch
from .tensors import attributes_of
from .unreadable_graph import UNSUPPORTED, node_text

_COMPARISONS = ("Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "And", "Or", "Not")
MICROSOFT = "com.microsoft"
MICROSOFT_HELP = (
    "export the model without onnxruntime's fused operators: before optimization, or with the level "
    "ORT_ENABLE_BASIC (in optimum: O1)"
)
_EXPORT_HELP = "export the model without it, or choose `outputs` before it"


EmitOperator = Callable[["GraphEmitter", onnx.NodeProto], "Sequence[Value | None]"]
"""Emits a node, and returns its results; None for those that nothing reads."""


class KnownValue(NamedTuple):
    """A tensor whose elements are known, and its element type."""

    array: Known
    dtype: str


class GraphEmitter:
    """The values of a graph by name, as they are emitted or known.

    `weight_value` gives the value of a weight of the network, `special_operators` emit what `emit_node` does not do.
    The nodes of a module of the file have its path as an inner scope. Numbers of other floating-point types become the
    builder's. Raises ShapeError for a graph that cannot be emitted with these inputs.
    """

    def __init__(
        self,
        g: Builder,
        graph: PreparedGraph,
        inputs: Mapping[str, Value],
        weight_value: Callable[[ForeignWeight], Value],
        special_operators: Mapping[str, EmitOperator],
    ) -> None:
        self.g, self.graph = g, graph
        self._weight_value, self._special_operators = weight_value, special_operators
        self._inputs = list(inputs.values())
        self._values: dict[str, Value] = dict(inputs)
        self._known: dict[str, KnownValue] = {}
        self._constants = dict(graph.constants)
        self.fixed_batch = _fixed_batch(graph)
        self.sequences: dict[str, list[Value]] = {}
        """The tensors of sequences."""
        self._absent: dict[str, onnx.NodeProto] = {}
        """By name: the nodes of results that are not emitted."""
        self.inner_batches: set[Value] = set()
        """Values with an axis of others and samples, whose faster index counts the samples."""
        self.is_branch = False
        """Whether the nodes are those of a branch of a conditional."""

    def outputs(self, names: Sequence[str]) -> list[Value]:
        """The values of these names, after the nodes that they depend on are emitted."""
        modules = self.graph.modules
        for node in needed_nodes(self.graph.nodes, names):
            self._emit_weights(node)
            with self.g.scope(next((modules[name] for name in node.output if name), "")):
                self.emit(node)
        return [self.value(name) for name in names]

    def in_branch(self) -> GraphEmitter:
        """An emitter for a branch of a conditional, which reads the values from outside."""
        inner = copy(self)
        inner.is_branch = True
        inner.g = self.g.subgraph_builder()
        inner._values, inner._known, inner._constants = dict(self._values), dict(self._known), dict(self._constants)
        inner.sequences = dict(self.sequences)
        return inner

    # -- values ------------------------------------------------------------------------------------------------------

    def value(self, name: str) -> Value:
        """The value of a name. Weights, constants and known values are emitted when they are first read."""
        if name in self._values:
            return self._values[name]
        if name in self.graph.weights:
            value = self._weight_value(self.graph.weights[name])
        elif name in self._constants:
            value = self._constant(self._constants[name])
        elif name in self._known:
            value = self.emitted(self._known[name])
        elif name in self.sequences:
            raise ShapeError(f"cannot have the value {name!r}: it is a sequence", _EXPORT_HELP, code=UNSUPPORTED)
        elif name in self._absent:
            node = self._absent[name]
            message = f"cannot have {node_text(node.op_type, node.name)}: its result {name!r} is not supported"
            help = MICROSOFT_HELP if node.domain == MICROSOFT else _EXPORT_HELP
            raise ShapeError(message, help, code=UNSUPPORTED)
        else:
            raise ShapeError(f"has a graph that uses {name!r} before it is defined", code="damaged-file")
        self._values[name] = value
        return value

    def _emit_weights(self, node: onnx.NodeProto) -> None:
        """Emits the weights that a node and its branches read outside of its scope, since they belong to the layer."""
        for name in inputs_with_captures(node):
            if name in self.graph.weights:
                self.value(name)

    def add_constants(self, tensors: Iterable[onnx.TensorProto]) -> None:
        """Adds constants of a branch."""
        self._constants |= {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in tensors}

    def rename(self, name: str, other: str) -> None:
        """Gives a value that is known or emitted another name, too."""
        if name in self._known:
            self._known[other] = self._known[name]
        else:
            self._values[other] = self.value(name)

    def _constant(self, array: np.ndarray) -> Value:
        is_real = array.dtype.kind == "f" or array.dtype.name == "bfloat16"
        return self.g.const(array, self.g.float_dtype if is_real else array.dtype.name)

    def known(self, name: str) -> Known | None:
        """The elements of a tensor, if they are known."""
        if name in self._known:
            return self._known[name].array
        constant = self._constants.get(name)
        if constant is None or constant.size > MAX_KNOWN_ELEMENTS or name in self.graph.weights:
            return None
        return known_array(constant)

    def _dtype(self, name: str) -> str:
        if name in self._known:
            return self._known[name].dtype
        return str(self._constants[name].dtype) if name in self._constants else self.value(name).dtype

    def emitted(self, known: KnownValue) -> Value:
        """A known value as a constant, or computed from the sizes of the inputs."""
        if not any(isinstance(element, Size) for element in known.array.flat):
            return self._constant(np.asarray(known.array.tolist(), known.dtype).reshape(known.array.shape))
        parts = [self._size(element) for element in known.array.flat]
        vector = parts[0] if len(parts) == 1 else self.g.Concat(*parts, axis=0)
        shaped = vector if known.array.ndim == 1 else self.g.Reshape(vector, list(known.array.shape))
        return self.g.cast(shaped, known.dtype)

    def _size(self, size: Dim) -> Value:
        """A size as a vector of one element, from the shapes of the inputs. Raises ShapeError."""
        g = self.g
        if isinstance(size, int):
            return g.const([size], "int64")
        source = next((x for x in self._inputs if size in x.shape), None)
        if source is not None:
            axis = source.shape.index(size)
            return self.emit_operator("Shape", [source], {"start": axis, "end": axis + 1})[0]
        if size == Size.named(size.terms[0][0]):
            return self._symbol(size.terms[0][0])
        total: Value = g.const([size.offset], "int64")
        for symbol, factor in size.terms:
            total = g.Add(total, g.Mul(self._size(Size.named(symbol)), [factor]))
        return total

    def _symbol(self, symbol: str) -> Value:
        """The size of a symbol that is a formula of other sizes."""
        g = self.g
        if isinstance(symbol, Quotient):
            return self.emit_operator("Div", [self._size(symbol.numerator), [symbol.divisor]], {})[0]
        if not isinstance(symbol, Product):
            raise ShapeError(f"needs the size {symbol}, which is no size of its inputs")
        result = self._size(symbol.factors[0])
        for factor in symbol.factors[1:]:
            result = g.Mul(result, self._size(factor))
        return result

    # -- nodes -------------------------------------------------------------------------------------------------------

    def emit(self, node: onnx.NodeProto) -> None:
        try:
            if not self._evaluate(node):
                special = self._special_operators.get(operator_name(node))
                results = special(self, node) if special else self.emit_node(node)
                named = zip(node.output, results, strict=False)
                self._values |= {name: value for name, value in named if value is not None}
                self._absent |= dict.fromkeys(node.output, node)
                operands, results = ([self._values.get(name) for name in names] for names in (node.input, node.output))
                require_any_batch(node, operands, results, self.fixed_batch)
                if node.op_type != "Reshape" and not self.inner_batches.isdisjoint(operands):
                    self.inner_batches.update(y for y in results if y is not None and has_merged_batch(y.shape))
        except (EmissionError, LookupError, TypeError, ValueError, ArithmeticError) as error:  # of a malformed node
            reason = str(error).rsplit(": ", 1)[-1]
            message = f"cannot compute {node_text(node.op_type, node.name)} with these inputs: {reason}"
            raise ShapeError(message) from error

    def _evaluate(self, node: onnx.NodeProto) -> bool:
        """Whether the results of a node are known."""
        op, names = node.op_type, list(node.input)
        if node.domain or not names:
            return False
        attributes = attributes_of(node)
        if op in ("Shape", "Size"):
            shape = self._shape(names[0])
            start, end = attributes.get("start", 0), attributes.get("end", len(shape))
            sizes = known_array(list(shape[start:end]))
            if op == "Size":
                sizes = evaluate("ReduceProd", {"keepdims": 0}, [sizes], 1)[0]
            self._known[node.output[0]] = KnownValue(sizes, "int64")
            return True
        operands = [self.known(name) if name else None for name in names]
        if op == "CastLike" and operands[0] is not None:
            op, operands, attributes = "Cast", operands[:1], {"to": onnx_dtype(self._dtype(names[1]))}
        if all(operand is None for operand in operands):
            return False
        try:
            results = evaluate(op, attributes, operands, len(node.output))
        except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError):
            return False
        dtype = self._result_dtype(op, attributes, names)
        self._known |= {name: KnownValue(array, dtype) for name, array in zip(node.output, results, strict=True)}
        return True

    def _shape(self, name: str) -> tuple[Dim, ...]:
        if name in self._known:
            return tuple(self._known[name].array.shape)
        return self.value(name).shape

    def _result_dtype(self, op: str, attributes: Mapping[str, Any], names: Sequence[str]) -> str:
        if op in _COMPARISONS:
            return "bool"
        if op == "Cast":
            return dtype_name(attributes["to"])
        if op == "ConstantOfShape":
            return dtype_name(attributes["value"].data_type) if "value" in attributes else "float32"
        return self._dtype(names[1 if op == "Where" else 0])

    def emit_node(self, node: onnx.NodeProto) -> tuple[Value, ...]:
        """The results of a node of an operator that needs no preparation."""
        require_supported(node)
        operands = [self.value(name) if name else None for name in node.input]
        return self.emit_operator(node.op_type, operands, attributes_of(node), len(node.output))

    def emit_operator(
        self, op: str, operands: Sequence[Any], attributes: Mapping[str, Any], outputs: int = 1
    ) -> tuple[Value, ...]:
        results = self.g.emit(op, *operands, outputs=outputs, **attributes)
        return results if isinstance(results, tuple) else (results,)


def _fixed_batch(graph: PreparedGraph) -> int | None:
    """The number of samples that the file's inputs fix, if they fix one."""
    sizes = {declared.shape[0] if declared.shape else None for declared in graph.inputs}
    size = sizes.pop() if len(sizes) == 1 else None
    return size if isinstance(size, int) else None


def operator_name(node: onnx.NodeProto) -> str:
    """The name of a node's operator, with its domain if it is not ONNX' own."""
    return f"{node.domain}.{node.op_type}" if node.domain else node.op_type


def require_supported(node: onnx.NodeProto) -> None:
    """Raises ShapeError for an operator that networks cannot have."""
    reason, help = "", _EXPORT_HELP
    if node.domain == MICROSOFT:
        reason, help = "it is of onnxruntime's own domain, and has no expansion into ONNX' operators", MICROSOFT_HELP
    elif node.domain:
        reason = f"it is of the domain {node.domain!r}, which is not ONNX's own"
    elif node.op_type in ("Loop", "Scan"):
        reason = "it is a loop"
    elif node.op_type.startswith(("Sequence", "Optional", "ConcatFromSequence", "SplitToSequence", "String", "Regex")):
        reason = "its values are not tensors of numbers"
    elif node.op_type.startswith(("Random", "Bernoulli", "Multinomial")):
        reason = "it draws random numbers, which onnxruntime cannot repeat"
    if reason:
        message = f"cannot have {node_text(node.op_type, node.name)}: {reason}"
        raise ShapeError(message, help, code=UNSUPPORTED)
