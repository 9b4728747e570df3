"""The values that a Python function computes with: each operation emits operators, and no number is computed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import numpy as np

from ..core.components import Component
from ..core.types import ShapeError, TensorType
from ..frontend.schema.fast_validator import is_valid
from ..frontend.schema.schema import definition
from ..ir import Builder, Value
from ..layers import LAYERS, Layer
from ..layers.base import infer_types
from ..lowering.lower import check_promised_type, lower_layer

NO_VALUE_HELP = "a function is compiled before there are numbers: compute with jsonnx.ops, such as ops.where"


class Tensor:
    """A value of a compiled function: a target, an output, or what is computed from them.

    It has Python's arithmetic operators, comparisons and indexing, which are those of keras.ops.
    """

    __hash__ = None  # type: ignore[assignment]  # == compares elements

    def __init__(self, g: Builder, value: Value) -> None:
        self._g, self._value = g, value

    @property
    def shape(self) -> tuple[int | None, ...]:
        """The size of each axis, None where it differs from batch to batch."""
        return tuple(size if isinstance(size, int) else None for size in self._value.shape)

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return self._value.rank

    @property
    def dtype(self) -> str:
        """The element type, such as `float32`."""
        return self._value.dtype

    def __repr__(self) -> str:
        return f"<Tensor {self._value.type}>"

    def __getitem__(self, key: Any) -> Tensor:
        return apply("get_item", [self], {"key": _key(key)})

    def __neg__(self) -> Tensor:
        return apply("negative", [self])

    def __abs__(self) -> Tensor:
        return apply("abs", [self])

    def __invert__(self) -> Tensor:
        return apply("logical_not", [self])

    def __add__(self, other: Any) -> Tensor:
        return apply("add", [self, other])

    def __radd__(self, other: Any) -> Tensor:
        return apply("add", [other, self])

    def __sub__(self, other: Any) -> Tensor:
        return apply("subtract", [self, other])

    def __rsub__(self, other: Any) -> Tensor:
        return apply("subtract", [other, self])

    def __mul__(self, other: Any) -> Tensor:
        return apply("multiply", [self, other])

    def __rmul__(self, other: Any) -> Tensor:
        return apply("multiply", [other, self])

    def __truediv__(self, other: Any) -> Tensor:
        return apply("divide", [self, other])

    def __rtruediv__(self, other: Any) -> Tensor:
        return apply("divide", [other, self])

    def __floordiv__(self, other: Any) -> Tensor:
        return apply("floor_divide", [self, other])

    def __mod__(self, other: Any) -> Tensor:
        return apply("mod", [self, other])

    def __pow__(self, other: Any) -> Tensor:
        return apply("power", [self, other])

    def __rpow__(self, other: Any) -> Tensor:
        return apply("power", [other, self])

    def __matmul__(self, other: Any) -> Tensor:
        return apply("matmul", [self, other])

    def __rmatmul__(self, other: Any) -> Tensor:
        return apply("matmul", [other, self])

    def __eq__(self, other: Any) -> Tensor:  # type: ignore[override]
        return apply("equal", [self, other])

    def __ne__(self, other: Any) -> Tensor:  # type: ignore[override]
        return apply("not_equal", [self, other])

    def __lt__(self, other: Any) -> Tensor:
        return apply("less", [self, other])

    def __le__(self, other: Any) -> Tensor:
        return apply("less_equal", [self, other])

    def __gt__(self, other: Any) -> Tensor:
        return apply("greater", [self, other])

    def __ge__(self, other: Any) -> Tensor:
        return apply("greater_equal", [self, other])

    def __and__(self, other: Any) -> Tensor:
        return apply("logical_and", [self, other])

    def __or__(self, other: Any) -> Tensor:
        return apply("logical_or", [self, other])

    def __bool__(self) -> NoReturn:
        raise TypeError(f"a tensor has no truth value: {NO_VALUE_HELP}")

    def __float__(self) -> NoReturn:
        raise TypeError(f"a tensor has no number yet: {NO_VALUE_HELP}")

    __int__ = __index__ = __float__

    def __array_ufunc__(self, function: np.ufunc, method: str, *operands: Any, **options: Any) -> Any:
        """NumPy's function of tensors, such as `np.exp(x)` and `array - x`, if keras.ops has it."""
        if method != "__call__" or options or f"ops.{function.__name__}" not in LAYERS.by_name:
            raise TypeError(f"np.{function.__name__} cannot compute with a tensor: {NO_VALUE_HELP}")
        return apply(function.__name__, operands)

    def __array__(self, *arguments: Any, **options: Any) -> NoReturn:
        raise TypeError(f"NumPy cannot compute with a tensor: {NO_VALUE_HELP}")

    def __iter__(self) -> NoReturn:
        raise TypeError("a tensor is not iterable: ops.unstack gives its parts along an axis")


def _key(key: Any) -> list[Any]:
    """A key in square brackets, as `ops.get_item` has it."""
    items = key if isinstance(key, tuple) else (key,)
    return ["..." if item is Ellipsis else _slice_text(item) if isinstance(item, slice) else item for item in items]


def _slice_text(part: slice) -> str:
    bounds = (part.start, part.stop, *(() if part.step is None else (part.step,)))
    return ":".join("" if bound is None else str(bound) for bound in bounds)


def apply(name: str, operands: Sequence[Any], arguments: dict[str, Any] | None = None) -> Any:
    """The result of `ops.NAME`, or a tuple of several; operands that are no tensors are constants.

    Raises TypeError for arguments that the function does not have, ShapeError for operands that it does not take.
    """
    type_name = f"ops.{name}"
    layer_class = LAYERS.by_name[type_name]
    tensors = [operand for operand in operands if isinstance(operand, Tensor)]
    if not tensors:
        message = f"{type_name} needs a tensor among its operands: compute constants with Python or NumPy"
        raise TypeError(message)
    names = getattr(layer_class, "tensors", ())
    constants = {} if not names else {n: x for n, x in zip(names, operands, strict=False) if not isinstance(x, Tensor)}
    if not names and len(tensors) < len(operands):
        other = next(type(x).__name__ for x in operands if not isinstance(x, Tensor))
        raise TypeError(f"{type_name} takes tensors, got {other}")
    constants = {name: value for name, value in constants.items() if value is not None}
    values = {key: _plain(value) for key, value in {**constants, **(arguments or {})}.items()}
    return _emit(type_name, _layer(layer_class, values), tensors)


def _layer(layer_class: type[Component], values: dict[str, Any]) -> Layer:
    unknown = next((key for key in values if key not in layer_class.attributes), None)
    if unknown is not None:
        raise TypeError(f"{layer_class.type_name} has no argument {unknown!r}")
    for key, value in values.items():
        if not is_valid(value, definition(f"layer.{layer_class.type_name}")["properties"][key]):
            raise TypeError(f"{layer_class.type_name} does not take {key}={value!r}")
    layer = layer_class(**values)
    assert isinstance(layer, Layer)
    return layer


def _emit(type_name: str, layer: Layer, tensors: Sequence[Tensor]) -> Any:
    values, g = [tensor._value for tensor in tensors], tensors[0]._g
    least, most = layer.input_count_range()
    if len(values) < least or (most is not None and len(values) > most):
        raise TypeError(
            f"{type_name} takes {least if least == most else f'{least} or more'} tensors, got {len(values)}"
        )
    try:
        types = infer_types(layer, *(value.type for value in values))
        results = lower_layer(g, layer, values, [None] * len(values))
    except ShapeError as error:
        raise ShapeError(f"{type_name} {error.message}", error.help, error.code) from error
    for result, type in zip(results, types, strict=True):
        check_promised_type(result, _in_graph(g, type), type_name)
    tensors = [Tensor(g, result) for result in results]
    return tensors[0] if len(tensors) == 1 else tuple(tensors)


def emit_loss(emit: Callable[[Builder, Value, Value], Value], target: Tensor, output: Tensor) -> Tensor:
    """The losses of a target and an output, as a loss emits them."""
    for tensor in (target, output):
        if not isinstance(tensor, Tensor):
            raise TypeError(f"the target and the output of a cross-entropy are tensors, got {type(tensor).__name__}")
    return Tensor(output._g, emit(output._g, target._value, output._value))


def _in_graph(g: Builder, type: TensorType) -> TensorType:
    """The type with the builder's type of floating-point numbers."""
    return type.with_dtype(g.float_dtype) if type.dtype.startswith("float") else type


def _plain(value: Any) -> Any:
    """An argument as JSON: NumPy's numbers and arrays as Python's, tuples as lists."""
    if isinstance(value, Tensor):
        raise TypeError("a tensor cannot be this argument, which is a constant")
    if isinstance(value, (np.ndarray, np.generic)):
        return value.tolist()
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value
