"""The base of keras.ops functions: names, constant operands and element types.

A function of several tensors takes them from `from`, in the order of its arguments. An argument given in the entry
itself is a constant: `{"type": "ops.subtract", "x1": 1.0, "from": "x"}` is `1 - x`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, TypeVar

from ...core.components import Json, attr
from ...core.types import Dim, TensorType, broadcast, require, shape_text
from ..base import LAYERS, Layer, OutputTypes, are_within, nested_shape

if TYPE_CHECKING:
    from ...ir import Builder, Value

L = TypeVar("L", bound="type[Layer]")

DType = Literal["float32", "int32", "int64", "uint8", "bool"]
"""The element types that can be requested as an argument."""

DTYPE_PRECEDENCE = ("bool", "uint8", "int32", "int64", "float32", "float64")
"""Element types in promotion order: of two, the later one is the result's."""


class Operation(Layer):
    """Base class of keras.ops functions: no weights, and axes count from the batch, axis 0."""

    accepts_scalars = True
    trainable = True
    activity_regularizer = None
    dtype = None

    @property
    def always_mixes_samples(self) -> bool:
        """True: an axis may be the batch axis, which is unknown without the input."""
        return True


def operation(name: str, *aliases: str) -> Callable[[L], L]:
    """A class decorator that registers a function under its name in keras.ops and under its aliases."""

    def add(cls: L) -> L:
        cls.stem, cls.keras_name = name.rpartition(".")[2], f"keras.ops.{name}"
        return LAYERS.register(*(f"ops.{alias}" for alias in aliases), name=f"ops.{name}")(cls)

    return add


# -- constants -------------------------------------------------------------------------------------------------------


class ConstantOperand:
    """A constant operand of a function: a number, or nested tuples of numbers.

    A scalar constant adopts the other operand's element type, as in Python: an integer adopts any, a float any
    floating-point type. An integer beyond 64 bits counts as a float.
    """

    def __init__(self, values: Any) -> None:
        self.values = values
        numbers = self.flat_values()
        types = {type(value) for value in numbers}
        self.dtype = "float32" if float in types else "int32" if int in types else "bool"
        if self.dtype == "int32" and not are_within(numbers, "int64"):
            self.dtype = "float32"
        elif self.dtype == "int32" and not self.is_scalar and not are_within(numbers, "int32"):
            self.dtype = "int64"

    @cached_property
    def shape(self) -> tuple[int, ...]:
        """The shape. Raises ShapeError if the constant is ragged or empty."""
        return nested_shape(
            self.values, "has a constant whose rows differ in length, or that is empty", "invalid-value"
        )

    def flat_values(self) -> list[Any]:
        """All numbers, in row-major order."""
        return _flatten(self.values)

    @property
    def rank(self) -> int:
        return len(self.shape)

    @property
    def type(self) -> TensorType:
        return TensorType(self.dtype, self.shape)

    @property
    def is_scalar(self) -> bool:
        return not isinstance(self.values, tuple)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ConstantOperand) and repr(self) == repr(other)

    def __hash__(self) -> int:
        return hash(repr(self))

    def __repr__(self) -> str:
        return repr(self.values)


Operand = TensorType | ConstantOperand


def _flatten(values: Any) -> list[Any]:
    return [number for value in values for number in _flatten(value)] if isinstance(values, tuple) else [values]


class ConstantCodec:
    """Codec of a number, or of nested arrays of numbers."""

    def schema(self) -> dict[str, Json]:
        return {"$ref": "#/$defs/constant"}

    def read(self, value: Json) -> ConstantOperand:
        return value if isinstance(value, ConstantOperand) else ConstantOperand(_to_tuples(value))

    def write(self, value: ConstantOperand) -> Json:
        return _to_lists(value.values)


def _to_tuples(value: Any) -> Any:
    return tuple(map(_to_tuples, value)) if isinstance(value, (list, tuple)) else value


def _to_lists(value: Any) -> Any:
    return list(map(_to_lists, value)) if isinstance(value, tuple) else value


ConstantArgument = Annotated[ConstantOperand, ConstantCodec()]


def constant_argument(name: str) -> Any:
    """An attribute that replaces a tensor argument by a constant."""
    return attr(None, doc=f"A constant for the argument `{name}`, which is then left out of `from`.")


class MultiTensorOp(Operation):
    """Base class of functions of several tensors, each of which may be a constant."""

    tensors: ClassVar[tuple[str, ...]]
    """The names of the tensor arguments, each an attribute made by `constant_argument`."""

    optional_count: ClassVar[int] = 0
    """The number of arguments, counted from the last, that may be left out."""

    if TYPE_CHECKING:
        result_type: ClassVar[Callable[..., OutputTypes]]
        emit: ClassVar[Callable[..., Any]]

    def input_count_range(self) -> tuple[int, int | None]:
        is_input = [getattr(self, name) is None for name in self.tensors]
        return sum(is_input[: len(is_input) - self.optional_count]), sum(is_input)

    def infer(self, *inputs: TensorType) -> OutputTypes:
        return self.result_type(*self._with_constants(inputs))

    def lower(self, g: Builder, *inputs: Value) -> Any:
        return self.emit(g, *self._with_constants(inputs))

    def _with_constants(self, inputs: Sequence[Any]) -> list[Any]:
        """Merges inputs and constants; omitted arguments are None. Raises ShapeError for a ragged constant."""
        remaining, constants = iter(inputs), [getattr(self, name) for name in self.tensors]
        for constant in constants:
            _ = constant and constant.shape
        return [next(remaining, None) if constant is None else constant for constant in constants]


# -- element types ---------------------------------------------------------------------------------------------------


DTypeRule = Callable[[str], str]
"""Maps the element type of the argument, or the promoted type of several, to the result's."""


def same_dtype(dtype: str) -> str:
    return dtype


def bool_dtype(dtype: str) -> str:
    return "bool"


def is_float_dtype(dtype: str) -> bool:
    return dtype.startswith("float")


def graph_dtype(g: Builder, dtype: str) -> str:
    """The element type in the graph: floating-point types are the builder's."""
    return g.float_dtype if is_float_dtype(dtype) else dtype


def float_dtype(dtype: str) -> str:
    """The type itself if it is floating-point, otherwise float32."""
    return dtype if is_float_dtype(dtype) else "float32"


def sum_dtype(dtype: str) -> str:
    """The element type of a sum: booleans and small integers are summed as int32."""
    return dtype if is_float_dtype(dtype) or dtype == "int64" else "int32"


def require_numbers(*operands: Any) -> None:
    for x in operands:
        require(x.dtype != "string", f"needs numbers, got {x}")


def promoted_dtype(*operands: Any) -> str:
    """The element type that tensors and constants are promoted to, as in keras.ops."""
    require_numbers(*operands)
    strong = [x.dtype for x in operands if not (isinstance(x, ConstantOperand) and x.is_scalar)]
    weak = [x.dtype for x in operands if isinstance(x, ConstantOperand) and x.is_scalar]
    dtype = max(strong or weak, key=DTYPE_PRECEDENCE.index)
    weak_dtype = max(weak, key=DTYPE_PRECEDENCE.index, default="bool")
    if weak_dtype == "float32" and not is_float_dtype(dtype):
        return "float32"
    dtype = "int32" if weak_dtype == "int32" and dtype == "bool" else dtype
    for x in operands:
        if isinstance(x, ConstantOperand):
            message = f"has the constant {x}, which {compute_dtype(dtype)} cannot hold"
            help = "convert the tensor to int64 with ops.cast first"
            require(are_within(x.flat_values(), compute_dtype(dtype)), message, help, "out-of-range")
    return dtype


def as_dtype(g: Builder, x: Value | ConstantOperand, dtype: str) -> Value:
    """Converts a tensor or constant to an element type; floating-point types become the graph's."""
    dtype = graph_dtype(g, dtype)
    return g.const(x.values, dtype) if isinstance(x, ConstantOperand) else g.cast(x, dtype)


def compute_dtype(dtype: str) -> str:
    """The element type to compute in: onnxruntime has few operators for narrow types."""
    return "int32" if dtype in ("uint8", "bool") else dtype


def broadcast_shape(*operands: Any) -> tuple[Dim, ...]:
    """The broadcast shape of the operands. Raises ShapeError if they do not broadcast."""
    shape: tuple[Dim, ...] = ()
    for x in operands:
        merged = broadcast(shape, x.shape)
        shapes = f"{shape_text(shape)} and {shape_text(x.shape)}"
        help = "axes are matched from the last one, the batch is the first: ops.expand_dims adds axes"
        require(merged is not None, f"cannot broadcast {shapes} to one shape", help)
        shape = merged or ()
    return shape
