"""What functions of keras.ops have in common: names, constants among their tensors, and element types.

A function of several tensors takes them through `from`, in the order of its arguments. One that the entry gives as an
argument is a constant: `{"type": "ops.subtract", "x1": 1.0, "from": "x"}` is `1 - x`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, TypeVar

from ...core.components import Json, attr
from ...core.types import Dim, TensorType, broadcast, require, shape_text
from ..base import LAYERS, Layer, OutputTypes

if TYPE_CHECKING:
    from ...ir import Builder, Value

L = TypeVar("L", bound="type[Layer]")

DType = Literal["float32", "int32", "int64", "uint8", "bool"]
"""Element types that a function can be asked for."""

DTYPE_PRECEDENCE = ("bool", "uint8", "int32", "int64", "float32", "float64")
"""Element types in the order in which one gives way to another."""


class Operation(Layer):
    """Base of the functions of keras.ops: no weights, and all axes counted from the batch, which is 0."""

    trainable = True
    activity_regularizer = None
    dtype = None

    @property
    def always_mixes_samples(self) -> bool:
        """Not known without the input: an axis may be the batch's."""
        return True


def operation(name: str, *aliases: str) -> Callable[[L], L]:
    """A class decorator that adds a function under its name in keras.ops, and under more names if it has them."""

    def add(cls: L) -> L:
        cls.stem = name.rpartition(".")[2]
        return LAYERS.register(*(f"ops.{alias}" for alias in aliases), name=f"ops.{name}")(cls)

    return add


# -- constants -------------------------------------------------------------------------------------------------------


class ConstantOperand:
    """A constant among the tensors of a function: a number, or nested tuples of them.

    A number alone takes the element type of what it meets, as in Python: an integer any, a real number any real one.
    """

    def __init__(self, values: Any) -> None:
        self.values = values
        kinds = {type(value) for value in self.flat_values()}
        self.dtype = "float32" if float in kinds else "int32" if int in kinds else "bool"

    @cached_property
    def shape(self) -> tuple[int, ...]:
        """The sizes; ShapeError where rows differ in length."""
        return _nested_shape(self.values)

    def flat_values(self) -> list[Any]:
        """All numbers of it, in their order."""
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
    return [one for value in values for one in _flatten(value)] if isinstance(values, tuple) else [values]


def _nested_shape(values: Any) -> tuple[int, ...]:
    """The shape of nested tuples; ShapeError where they are not of one length each."""
    if not isinstance(values, tuple):
        return ()
    shapes = {_nested_shape(value) for value in values}
    require(len(shapes) == 1, "has a constant whose rows differ in length, or that is empty", code="invalid-value")
    return (len(values), *shapes.pop())


class ConstantCodec:
    """A number, or nested arrays of numbers."""

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
    """The attribute that gives a tensor argument as a constant."""
    return attr(None, doc=f"A constant in place of the tensor `{name}`, which then is not in `from`.")


class MultiTensorOp(Operation):
    """Base of the functions of several tensors, each of which may be a constant."""

    tensors: ClassVar[tuple[str, ...]]
    """The names of the tensor arguments, each of which is an attribute made by `constant_argument`."""

    optional_count: ClassVar[int] = 0
    """How many of them, from the last, may be left out."""

    if TYPE_CHECKING:
        result_type: ClassVar[Callable[..., OutputTypes]]
        emit: ClassVar[Callable[..., Any]]

    def input_count_range(self) -> tuple[int, int | None]:
        open = [getattr(self, name) is None for name in self.tensors]
        return sum(open[: len(open) - self.optional_count]), sum(open)

    def infer(self, *inputs: TensorType) -> OutputTypes:
        return self.result_type(*self._with_constants(inputs))

    def lower(self, g: Builder, *inputs: Value) -> Any:
        return self.emit(g, *self._with_constants(inputs))

    def _with_constants(self, inputs: Sequence[Any]) -> list[Any]:
        """The tensors with constants among them, None for those that are left out. ShapeError for a ragged constant."""
        rest, given = iter(inputs), [getattr(self, name) for name in self.tensors]
        for fixed in given:
            _ = fixed and fixed.shape
        return [next(rest, None) if value is None else value for value in given]


# -- element types ---------------------------------------------------------------------------------------------------


DTypeRule = Callable[[str], str]
"""The element type of a result, by that of the argument, or by the one in which the arguments meet."""


def same_dtype(dtype: str) -> str:
    return dtype


def bool_dtype(dtype: str) -> str:
    return "bool"


def is_float_dtype(dtype: str) -> bool:
    return dtype.startswith("float")


def float_dtype(dtype: str) -> str:
    """The element type of a function that makes real numbers of any."""
    return dtype if is_float_dtype(dtype) else "float32"


def sum_dtype(dtype: str) -> str:
    """The element type of a sum: truth values are counted."""
    return dtype if is_float_dtype(dtype) or dtype == "int64" else "int32"


def require_numbers(*operands: Any) -> None:
    for x in operands:
        require(x.dtype != "string", f"computes with numbers, got {x}")


def promoted_dtype(*operands: Any) -> str:
    """The element type in which tensors and constants meet, as keras.ops has it."""
    require_numbers(*operands)
    strong = [x.dtype for x in operands if not (isinstance(x, ConstantOperand) and x.is_scalar)]
    weak = [x.dtype for x in operands if isinstance(x, ConstantOperand) and x.is_scalar]
    found = max(strong or weak, key=DTYPE_PRECEDENCE.index)
    least = max(weak, key=DTYPE_PRECEDENCE.index, default="bool")
    if least == "float32" and not is_float_dtype(found):
        return "float32"
    return "int32" if least == "int32" and found == "bool" else found


def as_dtype(g: Builder, x: Value | ConstantOperand, dtype: str) -> Value:
    """A tensor or a constant in an element type; real numbers are the graph's."""
    dtype = g.float_dtype if is_float_dtype(dtype) else dtype
    return g.const(x.values, dtype) if isinstance(x, ConstantOperand) else g.cast(x, dtype)


def compute_dtype(dtype: str) -> str:
    """The element type to compute in: onnxruntime has few operators for the narrow ones."""
    return "int32" if dtype in ("uint8", "bool") else dtype


def broadcast_shape(*operands: Any) -> tuple[Dim, ...]:
    """The common shape under NumPy's broadcasting; ShapeError where there is none."""
    shape: tuple[Dim, ...] = ()
    for x in operands:
        both = broadcast(shape, x.shape)
        given = f"{shape_text(shape)} and {shape_text(x.shape)}"
        help = "axes are matched from the last one, the batch is the first: ops.expand_dims adds axes"
        require(both is not None, f"cannot broadcast {given} to one shape", help)
        shape = both or ()
    return shape
