"""Evaluates a graph in NumPy, node by node with the operators of ONNX' reference implementation, in float64.

The nodes are evaluated directly, since building a model and a ReferenceEvaluator takes longer than the evaluation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Any

import numpy as np
import onnx
from jsonnx.ir import Constant, Graph, Node, Subgraph, Value
from jsonnx.ir.label_encoder import ML_DOMAIN
from jsonnx.ir.type_inference import OPSET
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun
from onnx.reference.ops._op import OpRunBinary, OpRunBinaryNumpy, OpRunUnary
from onnx.reference.ops._op_list import load_op
from support.elementwise_reference import ELEMENTWISE
from support.normalization_reference import NORMALIZATIONS
from support.recurrent_reference import RECURRENT
from support.window_reference import WINDOWS

from .compare import MAX_AMPLIFICATION
from .values import Arrays, perturb

ROUNDING = 6e-8
"""Relative rounding error of float32."""

Operator = Callable[..., tuple[Any, ...]]

ResultHook = Callable[[np.ndarray, Node, Any], np.ndarray]
"""Returns the changed result of a node, given the result, the node and the node's first input."""


class GatherElements(OpRun):
    """onnx.reference requires inputs of equal shapes."""

    def _run(self, x, indices, axis=0):  # type: ignore[no-untyped-def]
        return (np.take_along_axis(x, indices, axis),)


class OneHot(OpRun):
    """onnx.reference requires a scalar depth."""

    def _run(self, indices, depth, values, axis=-1):  # type: ignore[no-untyped-def]
        size = int(np.asarray(depth).reshape(()))
        hit = np.expand_dims(indices % size, -1) == np.arange(size)
        return (np.moveaxis(np.where(hit, values[1], values[0]).astype(values.dtype), -1, axis),)


class Sigmoid(OpRun):
    """Rounded in float32 to the precision of onnxruntime, whose error is absolute (up to 5e-8)."""

    def _run(self, x):  # type: ignore[no-untyped-def]
        y = 1 / (1 + np.exp(-x))
        return (np.asarray(np.round(y * 2**24) / 2**24 if x.dtype == np.float32 else y, x.dtype),)


class LogSoftmax(OpRun):
    """onnx.reference takes the logarithm of a softmax, which is infinite where the softmax is 0."""

    def _run(self, x, axis=-1):  # type: ignore[no-untyped-def]
        x = x - x.max(axis, keepdims=True)
        return (x - np.log(np.exp(x).sum(axis, keepdims=True)),)


class Sqrt(OpRun):
    """onnx.reference is slow, since it catches warnings."""

    def _run(self, x):  # type: ignore[no-untyped-def]
        return (np.sqrt(x),)


class LabelEncoder(OpRun):
    """Maps integers; onnx.reference looks the operator up by its domain, which is not loaded here."""

    op_domain = ML_DOMAIN

    def _run(self, x, keys_int64s=(), values_int64s=(), default_int64=0, **attributes):  # type: ignore[no-untyped-def]
        table = dict(zip(keys_int64s, values_int64s, strict=True))
        values = [table.get(token, default_int64) for token in np.ravel(x).tolist()]
        return (np.array(values, np.int64).reshape(x.shape),)


REPLACED = (GatherElements, LogSoftmax, OneHot, Sigmoid, Sqrt, LabelEncoder)
OPERATORS = {c.__name__: c for c in (*RECURRENT, *WINDOWS, *ELEMENTWISE, *NORMALIZATIONS, *REPLACED)}


class Reference:
    """Evaluates a graph in float64, and in float32 and with perturbed results to measure the effect of rounding."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.fed = {**graph.inputs, **graph.parameters, **graph.states, **graph.randoms}
        self.results = {**graph.outputs, **{f"next/{name}": value for name, value in graph.updates.items()}}

    @cached_property
    def exact(self) -> Steps:
        return Steps.of(self.graph, np.float64)

    @cached_property
    def rounded(self) -> Steps:
        return Steps.of(self.graph, np.float32)

    def __call__(self, feeds: Mapping[str, np.ndarray], held: Mapping[Value, np.ndarray] | None = None) -> Arrays:
        return self._run(self.exact, feeds, held=held)

    def detached(self, feeds: Mapping[str, np.ndarray]) -> dict[Value, np.ndarray]:
        """Returns the values of detached nodes, which central differences must keep constant as the gradient does."""
        nodes = [node for node in self.graph.nodes if node.detached]
        if not nodes:
            return {}
        values = self.exact.run(self._fed_values(self.exact, feeds))
        return {value: values[value] for node in nodes for value in node.outputs}

    def perturbed_results(self, feeds: Mapping[str, np.ndarray]) -> list[Arrays]:
        """Returns the results in float32, with rounded inputs, and with a rounding error after every operator.

        The last covers any order of operations and any instructions of a runtime: where a difference cancels, as in
        `v - m * m` of a centered RMSprop with rho 0, a single float32 evaluation may not show the error. A sequential
        sum of n terms may be off by n rounding errors, since all additions of equal terms may round in one direction.
        """
        rng = np.random.default_rng(0)
        rounded = self.with_rounding_errors(feeds, ROUNDING, rng)
        return [self._run(self.rounded, feeds), self(perturb(feeds, rng)), rounded]

    def with_rounding_errors(
        self, feeds: Mapping[str, np.ndarray], rounding: float, rng: np.random.Generator
    ) -> Arrays:
        """Returns the results with a rounding error of this size after every operator."""

        def shake(y: np.ndarray, node: Node, x: np.ndarray) -> np.ndarray:
            terms = x.size / max(y.size, 1) if node.op in ("ReduceSum", "ReduceMean") else 1
            if terms > MAX_AMPLIFICATION:
                return y * (1 + rng.choice([-rounding, rounding], y.shape) * terms / MAX_AMPLIFICATION)
            return y * (1 + rng.uniform(-rounding, rounding, y.shape))

        return self._run(self.exact, feeds, shake)

    def _run(
        self,
        steps: Steps,
        feeds: Mapping[str, np.ndarray],
        after: ResultHook | None = None,
        held: Mapping[Value, np.ndarray] | None = None,
    ) -> Arrays:
        with np.errstate(all="ignore"):
            values = steps.run(self._fed_values(steps, feeds), after, held or {})
        return {name: np.asarray(values[value]) for name, value in self.results.items()}

    def _fed_values(self, steps: Steps, feeds: Mapping[str, np.ndarray]) -> dict[Value, np.ndarray]:
        return {value: steps.real_of(np.asarray(feeds[name])) for name, value in self.fed.items() if name in feeds}


@dataclass
class Steps:
    """The nodes of a graph as functions, with all real numbers of one element type."""

    real: type
    nodes: list[tuple[Operator, Node]]
    constants: dict[Value, np.ndarray]

    @classmethod
    def of(cls, graph: Graph, real: type) -> Steps:
        steps = cls(real, [], {})
        for node in graph.nodes:
            steps._add_constants(*node.inputs)
            steps.nodes.append((steps.function(node), node))
        steps._add_constants(*graph.outputs.values(), *graph.updates.values())
        return steps

    def _add_constants(self, *values: Value | None) -> None:
        self.constants |= {v: self.real_of(v.array) for v in values if isinstance(v, Constant)}

    def real_of(self, array: np.ndarray) -> np.ndarray:
        return array.astype(self.real) if array.dtype.kind == "f" else array

    def run(
        self,
        values: dict[Value, np.ndarray],
        after: ResultHook | None = None,
        held: Mapping[Value, np.ndarray] = MappingProxyType({}),
    ) -> dict[Value, np.ndarray]:
        """Returns all values from those fed and those in `held`; `after` changes every real result."""
        values = self.constants | values
        for function, node in self.nodes:
            results = function(*[None if x is None else values[x] for x in node.inputs])
            for value, result in zip(node.outputs, results, strict=False):
                result = np.asarray(result)
                values[value] = (
                    after(result, node, values[node.inputs[0]])
                    if after and node.inputs and result.dtype.kind == "f"
                    else result
                )
            if held and node.detached:
                values |= {value: held[value] for value in node.outputs if value in held}
        return values

    def function(self, node: Node) -> Operator:
        if node.op == "Scan":
            return self.loop(node)
        return self.conditional(node) if node.op == "If" else operator(node, self.real)

    def conditional(self, node: Node) -> Operator:
        """Returns an If as a function of its condition and the values that its branches read."""
        branches = {name: (body, Steps.of(body, self.real)) for name, body in node.bodies.items()}

        def run(condition: np.ndarray, *outer: np.ndarray) -> tuple[np.ndarray, ...]:
            body, steps = branches["then_branch" if condition else "else_branch"]
            values = steps.run(dict(zip(body.inputs.values(), (condition, *outer), strict=True)))
            return tuple(values[value] for value in body.outputs.values())

        return run

    def loop(self, node: Node) -> Operator:
        """Returns a Scan along the first axes as a function."""
        body: Subgraph = node.attributes["body"]
        steps, input_count = Steps.of(body, self.real), body.num_loop_inputs
        count = input_count - node.attributes["num_scan_inputs"]
        is_reverse = bool((node.attribute("scan_input_directions") or [0])[0])

        def run(*arguments: np.ndarray) -> tuple[np.ndarray, ...]:
            states, slices, step_outputs = list(arguments[:count]), arguments[count:input_count], []
            times = range(len(slices[0]))
            for step in reversed(times) if is_reverse else times:
                inputs = [*states, *(x[step] for x in slices), *arguments[input_count:]]
                values = steps.run(dict(zip(body.inputs.values(), inputs, strict=True)))
                results = [values[value] for value in body.outputs.values()]
                states, step_outputs = results[:count], [*step_outputs, results[count:]]
            return (*states, *map(np.stack, zip(*(step_outputs[::-1] if is_reverse else step_outputs), strict=True)))

        return run


OPERATOR_CACHE: dict[Any, Operator] = {}
"""Cache of operators by type, attributes, and number of inputs and outputs."""


def operator(node: Node, real: type) -> Operator:
    """Returns the function of a node. `real` replaces float32 in its attributes."""
    attributes = {name: _with_real_dtype(name, value, real) for name, value in node.attributes.items()}
    key_attributes = {n: v.SerializeToString() if isinstance(v, onnx.TensorProto) else v for n, v in attributes.items()}
    key = node.op, repr(sorted(key_attributes.items())) if key_attributes else "", len(node.inputs), len(node.outputs)
    if key not in OPERATOR_CACHE:
        names = [f"x{index}" for index in range(len(node.inputs))], [f"y{index}" for index in range(len(node.outputs))]
        OPERATOR_CACHE[key] = _load_operator(helper.make_node(node.op, *names, domain=node.domain, **attributes))
    return OPERATOR_CACHE[key]


def _load_operator(proto: onnx.NodeProto) -> Operator:
    operator_class = OPERATORS.get(proto.op_type) or load_op("", proto.op_type, OPSET, evaluator_cls=ReferenceEvaluator)
    settings = {"log": lambda *_: None, "opsets": {"": OPSET}, "new_ops": None, "evaluator_cls": ReferenceEvaluator}
    instance = operator_class(proto, settings)
    if isinstance(instance, OpRunBinaryNumpy) and len(proto.input) == 2:  # Max and Min take any number of inputs
        return _with_equal_dtypes(instance.numpy_fct)
    if isinstance(instance, (OpRunUnary, OpRunBinary)):  # these read their attributes themselves
        has_fixed_arity = len(proto.input) == (1 if isinstance(instance, OpRunUnary) else 2)
        return instance._run if has_fixed_arity else instance.run
    if type(instance).run is not OpRun.run:
        return instance.run
    attributes = {name: getattr(instance, name) for name in instance.attributes_names_}
    return lambda *inputs: instance._run(*inputs, **attributes)


def _with_equal_dtypes(function: Callable[..., Any]) -> Operator:
    """Returns a binary NumPy function as an operator that requires equal element types, as ONNX does."""

    def run(a: np.ndarray, b: np.ndarray) -> tuple[Any, ...]:
        if a.dtype != b.dtype:
            raise TypeError(f"{function} of {a.dtype} and {b.dtype}")
        return (function(a, b),)

    return run


def _with_real_dtype(name: str, value: Any, real: type) -> Any:
    if name == "to" and value == onnx.TensorProto.FLOAT and real is np.float64:
        return onnx.TensorProto.DOUBLE
    if isinstance(value, onnx.TensorProto) and value.data_type == onnx.TensorProto.FLOAT:
        return numpy_helper.from_array(numpy_helper.to_array(value).astype(real))
    return value
