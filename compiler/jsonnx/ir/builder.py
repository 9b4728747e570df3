"""Emits operators: `g.MatMul(x, kernel)` appends a node and returns its typed result."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from math import prod
from typing import Any, TypeVar

import numpy as np
import onnx

from ..core.numpy_types import numpy_dtype
from ..core.types import Dim, Size, TensorType, require
from .conditionals import BranchFn, cond
from .graph import Constant, GradientInfo, Graph, Input, JsonPath, Node, Parameter, Random, State, Value, WeightUpdate
from .label_encoder import ML_DOMAIN, label_encoder_attributes
from .loops import StepFn, loop
from .type_inference import TypeInference, schema_of

Weight = TypeVar("Weight", Parameter, State)
Operand = Value | float | int | bool | Sequence[int] | np.ndarray | None


MAX_MODEL_BYTES = 1 << 31
"""Bytes that weights may have: what one ONNX file can hold."""


class EmissionError(Exception):
    """An operator was emitted wrongly: our fault, with the layer that did it."""


class Builder:
    """A graph under construction.

    `training` tells a layer which of its two behaviours to emit, `float_dtype` the element type of weights (float64 where
    gradients are checked). Plain numbers, lists and arrays among the operands
    become constants, of the element type that the operator wants there.
    """

    def __init__(
        self, *, training: bool = False, float_dtype: str = "float32", inference: TypeInference | None = None
    ) -> None:
        self.training = training
        self.float_dtype = float_dtype
        self.nodes: list[Node] = []
        self.inputs: dict[str, Input] = {}
        self.parameters: dict[str, Parameter] = {}
        self.states: dict[str, State] = {}
        self.randoms: dict[str, Random] = {}
        self.updates: dict[str, Value] = {}
        self.losses: list[Value] = []
        self.masks: dict[str, Value] = {}
        self.gradients: dict[Value, GradientInfo] = {}
        self.weight_updates: dict[str, WeightUpdate] = {}
        self.stack_parts: dict[Value, Sequence[Value]] = {}
        self.trainable = True
        self.expected_batch: int | None = None
        """How many samples the graph will mostly get at once, where somebody knows: it may decide what is fastest."""
        self.unrolled_steps = 0
        """Steps of all loops that are written out though they are long."""
        self._weight_transforms: dict[str, Callable[[Parameter], Value]] = {}
        self._scope: str = ""
        self._path: JsonPath = ()
        self._detached = False
        self._infer = inference or TypeInference()

    @staticmethod
    def extending(graph: Graph, *, training: bool = False, float_dtype: str = "float32") -> Builder:
        """A builder that goes on where a finished graph ends."""
        g = Builder(training=training, float_dtype=float_dtype)
        g.nodes, g.losses = list(graph.nodes), list(graph.losses)
        g.inputs, g.parameters, g.states = dict(graph.inputs), dict(graph.parameters), dict(graph.states)
        g.randoms, g.updates, g.masks = dict(graph.randoms), dict(graph.updates), dict(graph.masks)
        g.gradients, g.weight_updates = dict(graph.gradients), dict(graph.weight_updates)
        return g

    def graph(self, outputs: dict[str, Value]) -> Graph:
        """The finished graph."""
        return Graph(
            dict(self.inputs),
            dict(outputs),
            tuple(self.nodes),
            dict(self.parameters),
            dict(self.states),
            dict(self.randoms),
            dict(self.updates),
            tuple(self.losses),
            {name: mask for name, mask in self.masks.items() if name in outputs},
            dict(self.gradients),
            dict(self.weight_updates),
        )

    @contextmanager
    def scope(self, scope: str, path: JsonPath | None = None) -> Iterator[None]:
        """Everything emitted inside belongs to this layer, nested in the one outside; a path of None keeps the
        outer."""
        before = self._scope, self._path
        self._scope = f"{before[0]}/{scope}" if before[0] and scope else scope or before[0]
        self._path = before[1] if path is None else path
        try:
            yield
        finally:
            self._scope, self._path = before

    @contextmanager
    def inherit(self, node: Node) -> Iterator[None]:
        """Everything emitted inside inherits the layer and the path of a node."""
        before = self._scope, self._path, self._detached
        self._scope, self._path, self._detached = node.scope, node.path, node.detached
        try:
            yield
        finally:
            self._scope, self._path, self._detached = before

    @contextmanager
    def detached(self) -> Iterator[None]:
        """Everything emitted inside counts as constant in the gradient."""
        before, self._detached = self._detached, True
        try:
            yield
        finally:
            self._detached = before

    @property
    def place(self) -> tuple[str, JsonPath]:
        """The scope and the path of the nodes that are emitted now."""
        return self._scope, self._path

    def subgraph_builder(self) -> Builder:
        """A builder of what this one's next node runs at every step. Weights made there belong to the whole graph."""
        g = Builder(training=self.training, float_dtype=self.float_dtype, inference=self._infer)
        g.parameters, g.states = self.parameters, self.states
        g.trainable, g._scope, g._path, g.expected_batch = self.trainable, self._scope, self._path, self.expected_batch
        return g

    # -- what is not an operator -------------------------------------------------------------------------------------

    def input(self, name: str, type: TensorType) -> Input:
        return self.inputs.setdefault(name, Input(name, type))

    def const(self, value: Any, dtype: str | None = None) -> Constant:
        """A constant, of the graph's real type unless another is named."""
        array = np.asarray(value, dtype=numpy_dtype(dtype or self.float_dtype))
        return Constant(TensorType(dtype or self.float_dtype, array.shape), array)

    def param(
        self,
        name: str,
        shape: Sequence[int],
        initializer: Any,
        regularizer: Any = None,
        constraint: Any = None,
    ) -> Value:
        """A weight of the layer at hand, in Keras' shape; the same one again where the layer is called again.

        Raises ShapeError where that other call wants another shape, and where no file could hold it.
        """
        full = f"{self._scope}/{name}"
        type = TensorType(self.float_dtype, tuple(shape))
        _require_weight_size(name, type)
        made = Parameter(full, type, initializer, regularizer, constraint, self.trainable)
        weight = _require_same_shape(name, self.parameters.setdefault(full, made), made)
        return self._weight_transforms[name](weight) if name in self._weight_transforms else weight

    @contextmanager
    def weight_transform(self, name: str, transform: Callable[[Parameter], Value]) -> Iterator[None]:
        """Layers lowered inside compute with `change(weight)` in place of their weight of this name.

        What it emits belongs to the layer at hand now.
        """
        scope = self._scope

        def changed(weight: Parameter) -> Value:
            inside, self._scope = self._scope, scope
            result = transform(weight)
            self._scope = inside
            return result

        before, self._weight_transforms = self._weight_transforms, {**self._weight_transforms, name: changed}
        try:
            yield
        finally:
            self._weight_transforms = before

    def state(
        self, name: str, shape: Sequence[Dim], initializer: Any, dtype: str | None = None, follows: str = ""
    ) -> State:
        """Like `param`, for what training does not change by a gradient. A symbolic size is what the data make it."""
        full = f"{self._scope}/{name}"
        type = TensorType(dtype or self.float_dtype, tuple(shape))
        _require_weight_size(name, type)
        made = State(full, type, initializer, follows)
        return _require_same_shape(name, self.states.setdefault(full, made), made)

    def assign(self, state: State, value: Value) -> None:
        """In training, the state has this value after the step."""
        self.updates[state.name] = value

    def random(
        self,
        name: str,
        shape: Sequence[Dim],
        kind: str,
        *,
        keep: float = 1.0,
        scale: float = 1.0,
        seed: int | None = None,
    ) -> Random:
        """Random numbers of the step: kind `mask` (see `Random`), `normal` or `uniform`."""
        full, number = f"{self._scope}/{name}", 1
        while full in self.randoms:  # a shared layer draws anew at every call
            full, number = f"{self._scope}/{name}_{number}", number + 1
        self.randoms[full] = Random(full, TensorType(self.float_dtype, tuple(shape)), kind, keep, scale, seed)
        return self.randoms[full]

    def add_loss(self, term: Value) -> None:
        """Add a scalar to the loss that training minimises."""
        self.losses.append(term)

    # -- operators ---------------------------------------------------------------------------------------------------

    def __getattr__(self, op: str) -> Callable[..., Any]:
        if not op[0].isupper():
            raise AttributeError(op)
        return lambda *operands, **attributes: self.emit(op, *operands, **attributes)

    def emit(self, op: str, *operands: Operand, outputs: int = 1, domain: str = "", **attributes: Any) -> Any:
        """Append a node. Returns its result, or a tuple of `outputs` results. Attributes of None are left out."""
        inputs = self._operands(op, domain, operands)
        while inputs and inputs[-1] is None:  # onnxruntime crashes on an empty name at the end
            inputs = inputs[:-1]
        kept = {name: _tuple_as_list(value) for name, value in attributes.items() if value is not None}
        try:
            types = self._infer(op, domain, inputs, kept, outputs)
        except Exception as error:  # onnx raises several kinds; all mean that this line emitted a wrong node
            given = ", ".join("-" if value is None else str(value.type) for value in inputs)
            raise EmissionError(f"{self._scope}: {op}({given}; {kept}): {error}") from error
        results = tuple(Value(type) for type in types)
        self.nodes.append(Node(op, inputs, results, kept, self._scope, self._path, domain, self._detached))
        return results[0] if outputs == 1 else results

    def _operands(self, op: str, domain: str, operands: Sequence[Operand]) -> tuple[Value | None, ...]:
        formal = schema_of(op, domain).inputs
        kinds = [formal[min(index, len(formal) - 1)].type_str for index in range(len(operands))]
        dtypes = {kind: v.dtype for kind, v in zip(kinds, operands, strict=True) if isinstance(v, Value)}
        return tuple(
            operand if operand is None or isinstance(operand, Value) else self._constant(operand, dtypes.get(kind))
            for kind, operand in zip(kinds, operands, strict=True)
        )

    def _constant(self, operand: Any, dtype: str | None) -> Constant:
        if dtype is None:
            found = np.asarray(operand)
            real = found.dtype.kind == "f" and found.size > 0  # an empty list is one of axes or sizes
            dtype = found.dtype.name if isinstance(operand, np.ndarray) else self.float_dtype if real else "int64"
        return self.const(operand, dtype)

    # -- what many layers and rules say ------------------------------------------------------------------------------

    def refine(self, value: Value, shape: Sequence[Dim]) -> Value:
        """State what ONNX could not infer of a value just emitted."""
        value.type = value.type.with_shape(shape)
        return value

    def reshape(self, x: Value, shape: Sequence[Dim], *sources: Value) -> Value:
        """Reshape to sizes known or symbolic; at most one symbolic size may be new, the others must stand in x, or in
        one of the sources."""
        wanted = tuple(shape)
        if x.shape == wanted:
            return x
        symbolic = [axis for axis, size in enumerate(wanted) if isinstance(size, Size)]
        if len(symbolic) <= 1:
            target: Any = [-1 if axis in symbolic else size for axis, size in enumerate(wanted)]
            return self.refine(self.Reshape(x, self.const(target, "int64")), wanted)
        return self.refine(self.Reshape(x, self.sizes(wanted, x, *sources)), wanted)

    def sizes(self, shape: Sequence[Dim], *sources: Value) -> Value:
        """A shape as an int64 vector; its symbolic sizes are read from the values that have them, at most one is -1."""
        if all(isinstance(size, int) for size in shape):
            return self.const(list(shape), "int64")
        parts: list[Value] = []
        free = 1
        for size in shape:
            place = next(((v, v.shape.index(size)) for v in sources if size in v.shape), None)
            if isinstance(size, int):
                parts.append(self.const([size], "int64"))
            elif place is not None:
                parts.append(self.Shape(place[0], start=place[1], end=place[1] + 1))
            elif free:
                parts.append(self.const([-1], "int64"))
                free = 0
            else:
                raise EmissionError(f"{self._scope}: cannot tell {size} of {shape}")
        return parts[0] if len(parts) == 1 else self.Concat(*parts, axis=0)

    def transpose(self, x: Value, perm: Sequence[int]) -> Value:
        return x if list(perm) == list(range(x.rank)) else self.Transpose(x, perm=list(perm))

    def cast(self, x: Value, dtype: str) -> Value:
        from .dtypes import onnx_dtype

        return x if x.dtype == dtype else self.Cast(x, to=onnx_dtype(dtype))

    def custom_op(
        self, op: str, domain: str, inputs: Sequence[Value | None], type: TensorType, **attributes: Any
    ) -> Value:
        """Append a node of an operator that ONNX does not define, and say the type of its result."""
        result = Value(type)
        self.nodes.append(Node(op, tuple(inputs), (result,), attributes, self._scope, self._path, domain))
        return result

    def lookup(
        self,
        x: Value,
        tokens: State | Sequence[Any],
        *,
        dtype: str,
        first: int,
        special: Sequence[Any] = (),
        default: Any,
        invert: bool = False,
    ) -> Value:
        """Numbers of tokens of a type, `first` and following, `default` for others; or tokens by number if `invert`.

        Where the tokens are a state, the table is made when the graph is to run (`settled`).
        """
        about = {"first": first, "special": list(special), "default": default, "invert": invert}
        if not isinstance(tokens, State):
            found: Value = self.emit(
                "LabelEncoder", x, domain=ML_DOMAIN, **label_encoder_attributes(tokens, dtype, **about)
            )
            return found
        type = x.type.with_dtype(dtype if invert else "int64")
        return self.custom_op("LabelEncoder", ML_DOMAIN, [x, tokens], type, **about)

    def loop(
        self,
        step: StepFn[Builder],
        states: Sequence[Value],
        slices: Sequence[Value],
        *,
        reverse: bool = False,
        max_unrolled_steps: int | None = None,
    ) -> tuple[list[Value], list[Value]]:
        """`step(g, states, slices) -> (states, results)`, for every slice along the first axes, from the last if
        `reverse`: the last states, and the results stacked along a new first axis, in the order of the slices. Up to
        `max_unrolled_steps` steps (`loops.UNROLLED` unless given) become nodes of their own, more are a Scan.
        """
        return loop(self, step, states, slices, reverse=reverse, max_unrolled_steps=max_unrolled_steps)

    def cond(self, condition: Value, then: BranchFn[Builder], otherwise: BranchFn[Builder]) -> Value:
        """`then(g)` where the condition, a single truth value, holds, else `otherwise(g)`: values of one type, of which
        one is computed. What they read they may take from here."""
        return cond(self, condition, then, otherwise)

    def zeros(self, like: Value) -> Value:
        """Zeros of a value's type; many are made when the graph runs, not kept in the file."""
        elements = like.type.elements
        if isinstance(elements, int) and elements <= 1024:
            return self.const(np.zeros(like.shape), like.dtype)
        shape = self.const(like.shape, "int64") if isinstance(elements, int) else self.Shape(like)
        return self.refine(self.full(0, shape, like.dtype), like.shape)

    def runtime_zeros(self, like: Value, data: Value) -> Value:
        """As many zeros as a value has elements, in a row, made at every run: what adds to them can do so in place.

        Zeros that onnxruntime knows before, it keeps and copies; so how many there are takes a size of the data.
        """
        elements = like.type.elements
        known = [elements] if isinstance(elements, int) else [-1]  # in place only where the size is known
        total = known if isinstance(elements, int) else self.ReduceProd(self.Shape(like))
        count = self.Add(self.Mul(self.Shape(data, start=0, end=1), 0), total)
        return self.refine(self.Reshape(self.full(0, count, like.dtype), known), (elements,))

    def full(self, number: float, shape: Value, dtype: str) -> Value:
        """The same number everywhere, in a shape that is computed."""
        one = onnx.numpy_helper.from_array(np.full(1, number, numpy_dtype(dtype)))
        made: Value = self.ConstantOfShape(shape, value=one)
        return made


def _tuple_as_list(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _require_weight_size(name: str, type: TensorType) -> None:
    """ShapeError where a weight is too large for a file: no operator can be asked for a type then."""
    size = 4 * prod(size for size in type.shape if isinstance(size, int))
    text = f"has the weight {name!r} of shape {list(type.shape)}: {bytes_text(size)}, the limit is {bytes_text(MAX_MODEL_BYTES)}"
    require(size <= MAX_MODEL_BYTES, text, code="too-large")


def bytes_text(size: int) -> str:
    """A number of bytes: `4.0 TB`."""
    amount = float(size)
    for unit in ("bytes", "kB", "MB", "GB", "TB"):
        if amount < 1000 or unit == "TB":
            break
        amount /= 1000
    return f"{amount:,.1f} {unit}"


def _require_same_shape(name: str, first_call: Weight, this_call: Weight) -> Weight:
    """The known weight, which a further call of its layer wants too; ShapeError where it wants another shape."""
    first, here = list(first_call.shape), list(this_call.shape)
    message = f"has the weight {name!r} of shape {first} from its first call, and needs {here} here"
    require(first == here, message, code="shared-weights")
    return first_call
