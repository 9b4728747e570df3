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
from ..base import LAYERS, Layer, Types

if TYPE_CHECKING:
    from ...ir import Builder, Value

L = TypeVar("L", bound="type[Layer]")

DType = Literal["float32", "int32", "int64", "uint8", "bool"]
"""Element types that a function can be asked for."""

RANKS = ("bool", "uint8", "int32", "int64", "float32", "float64")
"""Element types in the order in which one gives way to another."""


class Operation(Layer):
    """Base of the functions of keras.ops: no weights, and all axes counted from the batch, which is 0."""

    trainable = True
    activity_regularizer = None
    dtype = None

    @property
    def always_mixes(self) -> bool:
        """Not known without the input: an axis may be the batch's."""
        return True


def operation(name: str, *aliases: str) -> Callable[[L], L]:
    """A class decorator that adds a function under its name in keras.ops, and under more names if it has them."""

    def add(cls: L) -> L:
        cls.stem = name.rpartition(".")[2]
        return LAYERS.register(*(f"ops.{alias}" for alias in aliases), name=f"ops.{name}")(cls)

    return add


# -- constants -------------------------------------------------------------------------------------------------------


class Fixed:
    """A constant among the tensors of a function: a number, or nested tuples of them.

    A number alone takes the element type of what it meets, as in Python: an integer any, a real number any real one.
    """

    def __init__(self, values: Any) -> None:
        self.values = values
        kinds = {type(value) for value in self.flat()}
        self.dtype = "float32" if float in kinds else "int32" if int in kinds else "bool"

    @cached_property
    def shape(self) -> tuple[int, ...]:
        """The sizes; ShapeError where rows differ in length."""
        return _shape(self.values)

    def flat(self) -> list[Any]:
        """All numbers of it, in their order."""
        return _flat(self.values)

    @property
    def rank(self) -> int:
        return len(self.shape)

    @property
    def type(self) -> TensorType:
        return TensorType(self.dtype, self.shape)

    @property
    def is_number(self) -> bool:
        return not isinstance(self.values, tuple)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Fixed) and repr(self) == repr(other)

    def __hash__(self) -> int:
        return hash(repr(self))

    def __repr__(self) -> str:
        return repr(self.values)


Operand = TensorType | Fixed


def _flat(values: Any) -> list[Any]:
    return [one for value in values for one in _flat(value)] if isinstance(values, tuple) else [values]


def _shape(values: Any) -> tuple[int, ...]:
    """The shape of nested tuples; ShapeError where they are not of one length each."""
    if not isinstance(values, tuple):
        return ()
    shapes = {_shape(value) for value in values}
    require(len(shapes) == 1, "has a constant whose rows differ in length, or that is empty", code="invalid-value")
    return (len(values), *shapes.pop())


class ConstantForm:
    """A number, or nested arrays of numbers."""

    def schema(self) -> dict[str, Json]:
        return {"$ref": "#/$defs/constant"}

    def read(self, value: Json) -> Fixed:
        return value if isinstance(value, Fixed) else Fixed(_tuples(value))

    def write(self, value: Fixed) -> Json:
        return _lists(value.values)


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, (list, tuple)) else value


def _lists(value: Any) -> Any:
    return list(map(_lists, value)) if isinstance(value, tuple) else value


Constant = Annotated[Fixed, ConstantForm()]


def constant(name: str) -> Any:
    """The attribute that gives a tensor argument as a constant."""
    return attr(None, doc=f"A constant in place of the tensor `{name}`, which then is not in `from`.")


class Joint(Operation):
    """Base of the functions of several tensors, each of which may be a constant."""

    tensors: ClassVar[tuple[str, ...]]
    """The names of the tensor arguments, each of which is an attribute made by `constant`."""

    optional: ClassVar[int] = 0
    """How many of them, from the last, may be left out."""

    if TYPE_CHECKING:
        result: ClassVar[Callable[..., Types]]
        emit: ClassVar[Callable[..., Any]]

    def counts(self) -> tuple[int, int | None]:
        open = [getattr(self, name) is None for name in self.tensors]
        return sum(open[: len(open) - self.optional]), sum(open)

    def infer(self, *inputs: TensorType) -> Types:
        return self.result(*self._filled(inputs))

    def lower(self, g: Builder, *inputs: Value) -> Any:
        return self.emit(g, *self._filled(inputs))

    def _filled(self, inputs: Sequence[Any]) -> list[Any]:
        """The tensors with constants among them, None for those that are left out. ShapeError for a ragged constant."""
        rest, given = iter(inputs), [getattr(self, name) for name in self.tensors]
        for fixed in given:
            _ = fixed and fixed.shape
        return [next(rest, None) if value is None else value for value in given]


# -- element types ---------------------------------------------------------------------------------------------------


Rule = Callable[[str], str]
"""The element type of a result, by that of the argument, or by the one in which the arguments meet."""


def same(dtype: str) -> str:
    return dtype


def truth(dtype: str) -> str:
    return "bool"


def is_real(dtype: str) -> bool:
    return dtype.startswith("float")


def real(dtype: str) -> str:
    """The element type of a function that makes real numbers of any."""
    return dtype if is_real(dtype) else "float32"


def counted(dtype: str) -> str:
    """The element type of a sum: truth values are counted."""
    return dtype if is_real(dtype) or dtype == "int64" else "int32"


def require_numbers(*operands: Any) -> None:
    for x in operands:
        require(x.dtype != "string", f"computes with numbers, got {x}")


def promoted(*operands: Any) -> str:
    """The element type in which tensors and constants meet, as keras.ops has it."""
    require_numbers(*operands)
    strong = [x.dtype for x in operands if not (isinstance(x, Fixed) and x.is_number)]
    weak = [x.dtype for x in operands if isinstance(x, Fixed) and x.is_number]
    found = max(strong or weak, key=RANKS.index)
    least = max(weak, key=RANKS.index, default="bool")
    if least == "float32" and not is_real(found):
        return "float32"
    return "int32" if least == "int32" and found == "bool" else found


def as_dtype(g: Builder, x: Value | Fixed, dtype: str) -> Value:
    """A tensor or a constant in an element type; real numbers are the graph's."""
    dtype = g.real if is_real(dtype) else dtype
    return g.const(x.values, dtype) if isinstance(x, Fixed) else g.cast(x, dtype)


def wide(dtype: str) -> str:
    """The element type to compute in: onnxruntime has few operators for the narrow ones."""
    return "int32" if dtype in ("uint8", "bool") else dtype


def broadcast_of(*operands: Any) -> tuple[Dim, ...]:
    """The common shape under NumPy's broadcasting; ShapeError where there is none."""
    shape: tuple[Dim, ...] = ()
    for x in operands:
        both = broadcast(shape, x.shape)
        given = f"{shape_text(shape)} and {shape_text(x.shape)}"
        help = "axes are matched from the last one, the batch is the first: ops.expand_dims adds axes"
        require(both is not None, f"cannot broadcast {given} to one shape", help)
        shape = both or ()
    return shape
