"""A graph evaluated in NumPy: node by node with the operators of ONNX' reference implementation, in float64.

The nodes are read as they are, not from a model: making one, and an evaluator of it, takes longer than the evaluation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Any

import numpy as np
import onnx
from elementwise_reference import ELEMENTWISE
from jsonnx.ir import Constant, Graph, Node, Subgraph, Value
from jsonnx.ir.label_encoder import ML_DOMAIN
from jsonnx.ir.type_inference import OPSET
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun
from onnx.reference.ops._op import OpRunBinary, OpRunBinaryNumpy, OpRunUnary
from onnx.reference.ops._op_list import load_op
from recurrent_reference import RECURRENT
from window_reference import WINDOWS

from .compare import AMPLIFIED
from .values import Arrays, moved

ROUNDING = 6e-8
"""By how much float32 may be off, relative."""

Operator = Callable[..., tuple[Any, ...]]

After = Callable[[np.ndarray, Node, Any], np.ndarray]
"""What is made of a result, given its node and the node's first input."""


class GatherElements(OpRun):
    """ONNX' own asks for inputs of one shape."""

    def _run(self, x, indices, axis=0):  # type: ignore[no-untyped-def]
        return (np.take_along_axis(x, indices, axis),)


class OneHot(OpRun):
    """ONNX' own asks for a depth without axes."""

    def _run(self, indices, depth, values, axis=-1):  # type: ignore[no-untyped-def]
        size = int(np.asarray(depth).reshape(()))
        hit = np.expand_dims(indices % size, -1) == np.arange(size)
        return (np.moveaxis(np.where(hit, values[1], values[0]).astype(values.dtype), -1, axis),)


class Sigmoid(OpRun):
    """In float32 with the precision of onnxruntime's, which is absolute: of 4e-8, the sigmoid of -17, it makes 9e-8."""

    def _run(self, x):  # type: ignore[no-untyped-def]
        y = 1 / (1 + np.exp(-x))
        return (np.asarray(np.round(y * 2**24) / 2**24 if x.dtype == np.float32 else y, x.dtype),)


class LogSoftmax(OpRun):
    """ONNX' own is the logarithm of a softmax, infinite where that is 0, and NaN a step later in a recurrent layer."""

    def _run(self, x, axis=-1):  # type: ignore[no-untyped-def]
        x = x - x.max(axis, keepdims=True)
        return (x - np.log(np.exp(x).sum(axis, keepdims=True)),)


class Sqrt(OpRun):
    """ONNX' own takes ten times as long, for catching warnings."""

    def _run(self, x):  # type: ignore[no-untyped-def]
        return (np.sqrt(x),)


class LabelEncoder(OpRun):
    """Of integers; ONNX' own goes by domains."""

    op_domain = ML_DOMAIN

    def _run(self, x, keys_int64s=(), values_int64s=(), default_int64=0, **others):  # type: ignore[no-untyped-def]
        table = dict(zip(keys_int64s, values_int64s, strict=True))
        found = [table.get(token, default_int64) for token in np.ravel(x).tolist()]
        return (np.array(found, np.int64).reshape(x.shape),)


OWN = (GatherElements, LogSoftmax, OneHot, Sigmoid, Sqrt, LabelEncoder)
OPERATORS = {c.__name__: c for c in (*RECURRENT, *WINDOWS, *ELEMENTWISE, *OWN)}


class Reference:
    """A graph in float64 and, as measures of what rounding does, in float32 and with every result off a little."""

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
        """What no gradient goes through: held at these values, differences are those of the gradient's function."""
        nodes = [node for node in self.graph.nodes if node.detached]
        if not nodes:
            return {}
        known = self.exact.run(self._known(self.exact, feeds))
        return {value: known[value] for node in nodes for value in node.outputs}

    def slack(self, feeds: Mapping[str, np.ndarray]) -> list[Arrays]:
        """The results by float32, by inputs that are off by what float32 rounds, and by rounding after every operator.

        The last is what float32 may do in whatever order and with whatever instructions a runtime computes: where a
        difference cancels, as in `v - m * m` of a centred RMSprop that forgets at once, no single evaluation shows it.
        A sum of n terms, added one after the other, may be off by n times as much: where the terms are equal every
        addition rounds to the same side.
        """
        rng = np.random.default_rng(0)
        shaken = self.shaken(feeds, ROUNDING, rng)
        return [self._run(self.rounded, feeds), self(moved(feeds, rng)), shaken]

    def shaken(self, feeds: Mapping[str, np.ndarray], rounding: float, rng: np.random.Generator) -> Arrays:
        """The results where every operator's are off by as much as a rounding."""

        def shake(y: np.ndarray, node: Node, x: np.ndarray) -> np.ndarray:
            terms = x.size / max(y.size, 1) if node.op in ("ReduceSum", "ReduceMean") else 1
            if terms > AMPLIFIED:
                return y * (1 + rng.choice([-rounding, rounding], y.shape) * terms / AMPLIFIED)
            return y * (1 + rng.uniform(-rounding, rounding, y.shape))

        return self._run(self.exact, feeds, shake)

    def _run(
        self,
        steps: Steps,
        feeds: Mapping[str, np.ndarray],
        after: After | None = None,
        held: Mapping[Value, np.ndarray] | None = None,
    ) -> Arrays:
        with np.errstate(all="ignore"):
            found = steps.run(self._known(steps, feeds), after, held or {})
        return {name: np.asarray(found[value]) for name, value in self.results.items()}

    def _known(self, steps: Steps, feeds: Mapping[str, np.ndarray]) -> dict[Value, np.ndarray]:
        return {value: steps.real_of(np.asarray(feeds[name])) for name, value in self.fed.items() if name in feeds}


@dataclass
class Steps:
    """The nodes of a graph as functions, all reals of one kind."""

    real: type
    nodes: list[tuple[Operator, Node]]
    constants: dict[Value, np.ndarray]

    @classmethod
    def of(cls, graph: Graph, real: type) -> Steps:
        steps = cls(real, [], {})
        for node in graph.nodes:
            steps._know(*node.inputs)
            steps.nodes.append((steps.loop(node) if node.op == "Scan" else operator(node, real), node))
        steps._know(*graph.outputs.values(), *graph.updates.values())
        return steps

    def _know(self, *values: Value | None) -> None:
        self.constants |= {v: self.real_of(v.array) for v in values if isinstance(v, Constant)}

    def real_of(self, array: np.ndarray) -> np.ndarray:
        return array.astype(self.real) if array.dtype.kind == "f" else array

    def run(
        self,
        known: dict[Value, np.ndarray],
        after: After | None = None,
        held: Mapping[Value, np.ndarray] = MappingProxyType({}),
    ) -> dict[Value, np.ndarray]:
        """The value of everything, given that of what is fed and of what is held; `after` changes every real result."""
        known = self.constants | known
        for function, node in self.nodes:
            found = function(*[None if x is None else known[x] for x in node.inputs])
            for value, result in zip(node.outputs, found, strict=False):
                result = np.asarray(result)
                known[value] = (
                    after(result, node, known[node.inputs[0]])
                    if after and node.inputs and result.dtype.kind == "f"
                    else result
                )
            if held and node.detached:
                known |= {value: held[value] for value in node.outputs if value in held}
        return known

    def loop(self, node: Node) -> Operator:
        """A Scan along the first axes, in either direction."""
        body: Subgraph = node.attributes["body"]
        steps, formal = Steps.of(body, self.real), body.num_loop_inputs
        count = formal - node.attributes["num_scan_inputs"]
        backwards = bool((node.attribute("scan_input_directions") or [0])[0])

        def run(*given: np.ndarray) -> tuple[np.ndarray, ...]:
            states, slices, found = list(given[:count]), given[count:formal], []
            times = range(len(slices[0]))
            for at in reversed(times) if backwards else times:
                inputs = [*states, *(x[at] for x in slices), *given[formal:]]
                known = steps.run(dict(zip(body.inputs.values(), inputs, strict=True)))
                results = [known[value] for value in body.outputs.values()]
                states, found = results[:count], [*found, results[count:]]
            return (*states, *map(np.stack, zip(*(found[::-1] if backwards else found), strict=True)))

        return run


MADE: dict[Any, Operator] = {}
"""The operators so far, by what they are."""


def operator(node: Node, real: type) -> Operator:
    """The function of a node. `real` takes the place of float32 in its attributes."""
    attributes = {name: _in_real(name, value, real) for name, value in node.attributes.items()}
    marks = {n: v.SerializeToString() if isinstance(v, onnx.TensorProto) else v for n, v in attributes.items()}
    key = node.op, repr(sorted(marks.items())) if marks else "", len(node.inputs), len(node.outputs)
    if key not in MADE:
        names = [f"x{index}" for index in range(len(node.inputs))], [f"y{index}" for index in range(len(node.outputs))]
        MADE[key] = _made(helper.make_node(node.op, *names, domain=node.domain, **attributes))
    return MADE[key]


def _made(proto: onnx.NodeProto) -> Operator:
    made = OPERATORS.get(proto.op_type) or load_op("", proto.op_type, OPSET, evaluator_cls=ReferenceEvaluator)
    settings = {"log": lambda *_: None, "opsets": {"": OPSET}, "new_ops": None, "evaluator_cls": ReferenceEvaluator}
    instance = made(proto, settings)
    if isinstance(instance, OpRunBinaryNumpy) and len(proto.input) == 2:  # Max and Min take any number
        return _of_one_kind(instance.numpy_fct)
    if isinstance(instance, (OpRunUnary, OpRunBinary)):  # these look up their attributes themselves
        plain = len(proto.input) == (1 if isinstance(instance, OpRunUnary) else 2)
        return instance._run if plain else instance.run
    if type(instance).run is not OpRun.run:
        return instance.run
    given = {name: getattr(instance, name) for name in instance.attributes_names_}
    return lambda *inputs: instance._run(*inputs, **given)


def _of_one_kind(function: Callable[..., Any]) -> Operator:
    """A function of NumPy's of two arrays, which ONNX wants to be of one element type."""

    def run(a: np.ndarray, b: np.ndarray) -> tuple[Any, ...]:
        if a.dtype != b.dtype:
            raise TypeError(f"{function} of {a.dtype} and {b.dtype}")
        return (function(a, b),)

    return run


def _in_real(name: str, value: Any, real: type) -> Any:
    if name == "to" and value == onnx.TensorProto.FLOAT and real is np.float64:
        return onnx.TensorProto.DOUBLE
    if isinstance(value, onnx.TensorProto) and value.data_type == onnx.TensorProto.FLOAT:
        return numpy_helper.from_array(numpy_helper.to_array(value).astype(real))
    return value
