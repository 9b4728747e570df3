"""Emits operators: `g.MatMul(x, kernel)` appends a node and returns its typed result."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import astuple
from typing import Any, Self

import numpy as np
import onnx

from ..core.limits import MAX_CONSTANTS_BYTES, MAX_OPERATORS, bytes_text, require_constant_size
from ..core.numpy_types import numpy_dtype
from ..core.random_inputs import Distribution
from ..core.types import Dim, Size, TensorType, require
from .adapters import AdapterSettings, adapted_weight
from .conditionals import BranchFn, cond
from .dtypes import onnx_dtype
from .graph import (
    Constant,
    Graph,
    Input,
    LossTerm,
    Node,
    Parameter,
    Random,
    State,
    Value,
)
from .label_encoder import ML_DOMAIN, label_encoder_attributes
from .loops import StepFn, loop
from .scoped_draft import ScopedDraft
from .type_inference import TypeInference, operand_type_names
from .weight_shapes import require_same_shape, require_weight_size

Operand = Value | float | int | bool | Sequence[int] | np.ndarray | None

WeightTransform = Callable[[Parameter], Value]

MAX_CONSTANT_ZEROS = 1024
"""Elements of the largest tensor of zeros that is stored in the file instead of being filled at run time."""


def _none_is_frozen(weight: str) -> bool:
    """No single weight is frozen."""
    return False


def _no_adapter(weight: str) -> None:
    """No weight has an adapter."""


class EmissionError(Exception):
    """ONNX rejects an emitted node. The error is in this package; the message names the layer."""


class Builder(ScopedDraft):
    """A graph under construction, with a method per ONNX operator.

    `training` selects which of its two behaviours a layer emits; `float_dtype` is the element type of the weights
    (float64 where gradients are checked); `trainable` is false while a frozen layer is lowered. Numbers, lists and
    arrays among the operands become constants, of the element type that the operator requires there.
    """

    def __init__(
        self, *, training: bool = False, float_dtype: str = "float32", inference: TypeInference | None = None
    ) -> None:
        super().__init__()
        self.training = training
        self.float_dtype = float_dtype
        self.trainable = True
        self.is_frozen: Callable[[str], bool] = _none_is_frozen
        """Whether the weight of a name is not trained, though its layer is."""
        self.has_adapters = True
        """Whether weights have their adapters; without them, the graph is that of merged weights."""
        self.adapter_settings: Callable[[str], AdapterSettings | None] = _no_adapter
        """The settings of the adapter of the weight of a name, if it has one."""
        self.operators_left: int | None = None
        """The number of operators that may be emitted; None for no limit."""
        self.constant_bytes_left: int | None = None
        self.stack_parts: dict[Value, Sequence[Value]] = {}
        """The slices of a value that an unrolled loop stacked."""
        self.expected_sizes: Mapping[str, int] = {}
        """The sizes of symbols in most batches, if known, for lowerings that compute large values by blocks."""
        self._weight_transforms: dict[str, WeightTransform] = {}
        self._shared_constants: dict[Hashable, Constant] = {}
        self._shared_values: dict[Hashable, tuple[Value, ...]] = {}
        self._infer = inference or TypeInference()

    @classmethod
    def extending(cls, graph: Graph, **options: Any) -> Self:
        """A builder, with the options of the constructor, that appends to a finished graph."""
        g = cls(**options)
        g.copy_fields(graph)
        return g

    def subgraph_builder(self) -> Self:
        """A builder for the body of a loop or for a branch. Its weights belong to the whole graph."""
        g = type(self)(training=self.training, float_dtype=self.float_dtype, inference=self._infer)
        g.parameters, g.states = self.parameters, self.states
        g.trainable, g.is_frozen = self.trainable, self.is_frozen
        g.has_adapters, g.adapter_settings, g.adapters = self.has_adapters, self.adapter_settings, self.adapters
        g._origin, g.expected_sizes = self._origin._replace(detached=False, region=None), self.expected_sizes
        return g

    # -- inputs, constants, weights ----------------------------------------------------------------------------------

    def input(self, name: str, type: TensorType) -> Input:
        return self.inputs.setdefault(name, Input(name, type))

    def const(self, value: Any, dtype: str | None = None) -> Constant:
        """A constant, of type `float_dtype` unless another type is named."""
        dtype = dtype or self.float_dtype
        array = np.asarray(value, dtype=numpy_dtype(dtype))
        if self.constant_bytes_left is not None:
            self.constant_bytes_left -= array.nbytes
            limit = f"more than {bytes_text(MAX_CONSTANTS_BYTES)} of constants with those of the layers before it"
            require(self.constant_bytes_left >= 0, f"needs {limit}", code="too-large")
        return Constant(TensorType(dtype, array.shape), array)

    def shared_const(self, key: Hashable, make: Callable[[], np.ndarray]) -> Constant:
        """A constant of type `float_dtype`, made once for all calls with this key."""
        if key not in self._shared_constants:
            self._shared_constants[key] = self.const(make())
        return self._shared_constants[key]

    def shared_values(self, key: Hashable, make: Callable[[], tuple[Value, ...]]) -> tuple[Value, ...]:
        """Values that are computed once for all calls with this key."""
        if key not in self._shared_values:
            with self._with_origin(self._origin._replace(region=None)):
                self._shared_values[key] = make()
        return self._shared_values[key]

    def positions(self, count: int, dtype: str, first: int = 0, step: int = 1, shape: tuple[int, ...] = (-1,)) -> Any:
        """The constant `first, first + step, ...` of `count` elements. Raises ShapeError if it is too large."""
        numpy_type = np.dtype(numpy_dtype(dtype))
        require_constant_size(f"needs the numbers of {count} positions", count, element_bytes=numpy_type.itemsize)
        return self.const((np.arange(count) * step + first).reshape(shape), dtype)

    def filled(self, value: float, shape: Sequence[int], dtype: str) -> Constant:
        """A constant with equal elements. Raises ShapeError if it is too large."""
        numpy_type = np.dtype(numpy_dtype(dtype))
        require_constant_size(f"needs a constant {list(shape)}", *shape, element_bytes=numpy_type.itemsize)
        return self.const(np.full(tuple(shape), value, numpy_type), dtype)

    def param(
        self,
        name: str,
        shape: Sequence[int],
        initializer: Any,
        regularizer: Any = None,
        constraint: Any = None,
        input_axes: Sequence[int] | None = None,
        adapter: AdapterSettings | None = None,
    ) -> Value:
        """A weight of the current layer, in the shape that Keras gives it; further calls of the layer share it.

        A matrix has `input_axes` (see `Parameter`). It may have an adapter, for which the layer or else the spec asks.
        Raises ShapeError if a further call needs another shape, and if the weight exceeds the size of a file.
        """
        full_name = f"{self._origin.scope}/{name}"
        type = TensorType(self.float_dtype, tuple(shape))
        require_weight_size(name, type)
        is_adaptable = self.has_adapters and input_axes and name not in self._weight_transforms
        settings = (adapter or self.adapter_settings(full_name)) if is_adaptable else None
        trainable = self.trainable and settings is None and not self.is_frozen(full_name)
        axes = None if input_axes is None else tuple(input_axes)
        parameter = Parameter(full_name, type, initializer, regularizer, constraint, trainable, axes)
        weight = require_same_shape(name, self.parameters.setdefault(full_name, parameter), parameter)
        if name in self._weight_transforms:
            return self._weight_transforms[name](weight)
        return weight if settings is None else adapted_weight(self, weight, settings)

    @contextmanager
    def weight_transform(self, name: str, transform: WeightTransform) -> Iterator[None]:
        """Layers lowered inside compute with `transform(weight)` instead of their weight of this name.

        The nodes of the transform belong to the current layer.
        """
        scope = self._origin.scope

        def transformed(weight: Parameter) -> Value:
            with self._with_origin(self._origin._replace(scope=scope)):
                return transform(weight)

        before, self._weight_transforms = self._weight_transforms, {**self._weight_transforms, name: transformed}
        try:
            yield
        finally:
            self._weight_transforms = before

    def state(
        self, name: str, shape: Sequence[Dim], initializer: Any, dtype: str | None = None, follows: str = ""
    ) -> State:
        """Like `param`, for a weight that has no gradient. The data determine a symbolic size."""
        full_name = f"{self._origin.scope}/{name}"
        type = TensorType(dtype or self.float_dtype, tuple(shape))
        require_weight_size(name, type)
        state = State(full_name, type, initializer, follows)
        return require_same_shape(name, self.states.setdefault(full_name, state), state)

    def assign(self, state: State, value: Value) -> None:
        """Sets the state to this value after each training step."""
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
        """Random numbers of the step, of the kind `mask` (see `Random`), `normal` or `uniform`."""
        full_name, number = f"{self._origin.scope}/{name}", 1
        while full_name in self.randoms:  # a shared layer draws new numbers at each call
            full_name, number = f"{self._origin.scope}/{name}_{number}", number + 1
        self.randoms[full_name] = Random(full_name, TensorType(self.float_dtype, tuple(shape)), kind, keep, scale, seed)
        return self.randoms[full_name]

    def random_input(self, shape: Sequence[Dim], distribution: Distribution) -> Random:
        """Random numbers that are an input of compiled models, with the name of the current layer."""
        name, type = self._origin.scope, TensorType(self.float_dtype, tuple(shape))
        kind, offset, scale, seed = astuple(distribution)
        return self.randoms.setdefault(name, Random(name, type, kind, 1.0, scale, seed, offset, is_model_input=True))

    def add_loss(self, value: Value, weight: float = 1.0, *, reported: bool = False) -> None:
        """Adds a scalar, times the weight, to the loss that training minimizes; it may be reported under the name of
        the current layer."""
        self.losses.append(LossTerm(value, weight, self._origin.scope if reported else ""))

    # -- operators ---------------------------------------------------------------------------------------------------

    def __getattr__(self, op: str) -> Callable[..., Any]:
        if not op[0].isupper():
            raise AttributeError(op)

        def method(self: Builder, *operands: Operand, **attributes: Any) -> Any:
            return self.emit(op, *operands, **attributes)

        setattr(Builder, op, method)  # found by later calls without this detour
        return method.__get__(self)

    def emit(self, op: str, *operands: Operand, outputs: int = 1, domain: str = "", **attributes: Any) -> Any:
        """Appends a node. Returns its result, or a tuple of `outputs` results. Omits attributes that are None."""
        inputs = self._operands(op, domain, operands)
        while inputs and inputs[-1] is None:  # onnxruntime crashes if the last input has an empty name
            inputs = inputs[:-1]
        kept = attributes and {
            k: list(v) if isinstance(v, tuple) else v for k, v in attributes.items() if v is not None
        }
        try:
            types = self._infer(op, domain, inputs, kept, outputs)
        except Exception as error:  # onnx raises several classes; each of them means that the node is invalid
            input_types = ", ".join("-" if value is None else str(value.type) for value in inputs)
            raise EmissionError(f"{self._origin.scope}: {op}({input_types}; {kept}): {error}") from error
        results = tuple(Value(type) for type in types)
        if self.operators_left is not None:
            self.operators_left -= 1
            text = f"needs more than {MAX_OPERATORS:,} operators with those of the layers before it"
            require(self.operators_left >= 0, text, code="too-large")
        scope, path, detached, region, passes = self._origin
        self.nodes.append(Node(op, inputs, results, kept, scope, path, domain, detached, region, passes))
        return results[0] if outputs == 1 else results

    def _operands(self, op: str, domain: str, operands: tuple[Operand, ...]) -> tuple[Value | None, ...]:
        for operand in operands:
            if operand is not None and not isinstance(operand, Value):
                break
        else:
            return operands  # type: ignore[return-value]
        formal = operand_type_names(op, domain)
        type_names = [formal[min(index, len(formal) - 1)] for index in range(len(operands))]
        dtypes = {name: x.dtype for name, x in zip(type_names, operands, strict=True) if isinstance(x, Value)}
        return tuple(
            operand if operand is None or isinstance(operand, Value) else self._constant(operand, dtypes.get(name))
            for name, operand in zip(type_names, operands, strict=True)
        )

    def _constant(self, operand: Any, dtype: str | None) -> Constant:
        if dtype is None:
            array = np.asarray(operand)
            real = array.dtype.kind == "f" and array.size > 0  # an empty list contains axes or sizes
            dtype = array.dtype.name if isinstance(operand, np.ndarray) else self.float_dtype if real else "int64"
        return self.const(operand, dtype)

    def custom_op(
        self, op: str, domain: str, inputs: Sequence[Value | None], type: TensorType, **attributes: Any
    ) -> Value:
        """Appends a node of an operator outside the ONNX standard, whose result has the given type."""
        result = Value(type)
        self.nodes.append(Node(op, tuple(inputs), (result,), attributes, *self.scope_and_path, domain))
        return result

    def loop(
        self,
        step: StepFn[Self],
        states: Sequence[Value],
        slices: Sequence[Value],
        *,
        reverse: bool = False,
        max_unrolled_steps: int = 0,
    ) -> tuple[list[Value], list[Value]]:
        """Emits `step(g, states, slices) -> (states, results)` for every slice along the first axes, from the last one
        if `reverse`.

        Returns the last states, and the results stacked along a new first axis, in the order of the slices. A loop of
        at most `max_unrolled_steps` steps is unrolled, a longer one is a Scan.
        """
        return loop(self, step, states, slices, reverse=reverse, max_unrolled_steps=max_unrolled_steps)

    def cond(self, condition: Value, then: BranchFn[Self], otherwise: BranchFn[Self]) -> Value:
        """Emits an If: `then(g)` where the boolean scalar `condition` is true, else `otherwise(g)`.

        Both branches return values of one type and may read values from outside.
        """
        return cond(self, condition, then, otherwise)

    # -- frequent combinations of operators --------------------------------------------------------------------------

    def refine(self, value: Value, shape: Sequence[Dim]) -> Value:
        """Sets the shape of a value where ONNX infers less."""
        value.type = value.type.with_shape(shape)
        return value

    def reshape(self, x: Value, shape: Sequence[Dim], *sources: Value) -> Value:
        """Reshapes x. One symbolic size may be new; the others must occur in the shape of x or of a source."""
        target = tuple(shape)
        if x.shape == target:
            return x
        symbolic = [axis for axis, size in enumerate(target) if isinstance(size, Size)]
        if len(symbolic) <= 1:
            sizes: Any = [-1 if axis in symbolic else size for axis, size in enumerate(target)]
            return self.refine(self.Reshape(x, self.const(sizes, "int64")), target)
        return self.refine(self.Reshape(x, self.sizes(target, x, *sources)), target)

    def sizes(self, shape: Sequence[Dim], *sources: Value) -> Value:
        """A shape as an int64 vector. Symbolic sizes are read from the sources; one unknown size becomes -1."""
        if all(isinstance(size, int) for size in shape):
            return self.const(list(shape), "int64")
        parts: list[Value] = []
        may_infer = True
        for size in shape:
            source = next(((x, x.shape.index(size)) for x in sources if size in x.shape), None)
            if isinstance(size, int):
                parts.append(self.const([size], "int64"))
            elif source is not None:
                x, axis = source
                parts.append(self.Shape(x, start=axis, end=axis + 1))
            elif may_infer:
                parts.append(self.const([-1], "int64"))
                may_infer = False
            else:
                raise EmissionError(f"{self._origin.scope}: cannot tell {size} of {shape}")
        return parts[0] if len(parts) == 1 else self.Concat(*parts, axis=0)

    def transpose(self, x: Value, perm: Sequence[int]) -> Value:
        return x if list(perm) == list(range(x.rank)) else self.Transpose(x, perm=list(perm))

    def cast(self, x: Value, dtype: str) -> Value:
        return x if x.dtype == dtype else self.Cast(x, to=onnx_dtype(dtype))

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
        """The indices of tokens of type `dtype`, counted from `first`, and `default` for other tokens; with `invert`,
        the tokens of indices.

        If the tokens are a state, `with_vocabularies` writes the table into the node before the graph runs.
        """
        options = {"first": first, "special": list(special), "default": default, "invert": invert}
        if not isinstance(tokens, State):
            result: Value = self.emit(
                "LabelEncoder", x, domain=ML_DOMAIN, **label_encoder_attributes(tokens, dtype, **options)
            )
            return result
        type = x.type.with_dtype(dtype if invert else "int64")
        return self.custom_op("LabelEncoder", ML_DOMAIN, [x, tokens], type, **options)

    def zeros(self, like: Value) -> Value:
        """Zeros of a value's type. Large tensors are filled at run time rather than stored in the file."""
        elements = like.type.elements
        if isinstance(elements, int) and elements <= MAX_CONSTANT_ZEROS:
            return self.const(np.zeros(like.shape), like.dtype)
        shape = self.const(like.shape, "int64") if isinstance(elements, int) else self.Shape(like)
        return self.refine(self.full(0, shape, like.dtype), like.shape)

    def runtime_zeros(self, like: Value, data: Value) -> Value:
        """A vector of as many zeros as a value has elements, filled at every run, so that an operator can add in place.

        onnxruntime folds a constant shape and copies the constant zeros at every run. The size of `data` is unknown to
        it, so the element count is computed as 0 * size + count.
        """
        elements = like.type.elements
        static_shape = [elements] if isinstance(elements, int) else [-1]  # in place only if the size is known
        total = static_shape if isinstance(elements, int) else self.ReduceProd(self.Shape(like))
        count = self.Add(self.Mul(self.Shape(data, start=0, end=1), 0), total)
        return self.refine(self.Reshape(self.full(0, count, like.dtype), static_shape), (elements,))

    def full(self, number: float, shape: Value, dtype: str) -> Value:
        """A tensor of one number, in a shape computed at run time."""
        fill_value = onnx.numpy_helper.from_array(np.full(1, number, numpy_dtype(dtype)))
        filled: Value = self.ConstantOfShape(shape, value=fill_value)
        return filled
