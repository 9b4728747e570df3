"""Functions of keras.ops that create tensors.

Like every layer they have an input, but they read none of its values: a size may be the size of an axis of the input,
as in `{"type": "ops.arange", "from": "tokens", "stop": {"axis": 1}}`. Their results have the axes of Keras' functions
and no batch axis in front, and broadcast against tensors that have one.
"""

from __future__ import annotations

from collections.abc import Callable
from math import ceil
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from ...core.components import ArrayCodec, Component, IntegerCodec, Json, ScalarCodec, SectionCodec, UnionCodec, attr
from ...core.limits import MAX_ELEMENTS_PER_SAMPLE, require_constant_size
from ...core.types import Dim, Size, TensorType, require
from ..axes import axis_of
from ..base import require_in_range
from .base import DType, Operation, as_dtype, graph_dtype, is_float_dtype, operation
from .unary import EqualElements, FillValue

if TYPE_CHECKING:
    import numpy as np

    from ...ir import Builder, Value

MAX_STORED_ELEMENTS = 1024
"""Elements of the largest tensor of equal elements that is stored in the file; larger ones are filled at run time."""

MAX_STORED_MATRIX_ELEMENTS = 1 << 16
"""Elements of the largest matrix that is stored in the file; larger ones are computed at run time."""

DTYPE = "Element type of the result; null for float32."


class AxisSize(Component):
    """The size of an axis of the input."""

    has_type_key = False

    axis: int = attr(doc="Axis of the input; the batch is 0.")


def _is_number(value: Json) -> bool:
    return isinstance(value, (int, float))


_AXIS_SIZE = (lambda value: True, SectionCodec(AxisSize))

_INTEGER, _NUMBER = (_is_number, IntegerCodec()), (_is_number, ScalarCodec(type="number"))
_NULL = (lambda value: value is None, ScalarCodec(type="null"))

SizeArgument = Annotated[int | AxisSize, UnionCodec(_INTEGER, _AXIS_SIZE)]
"""A size: an integer, or `{"axis": 1}` for the size of an axis of the input."""

OptionalSize = Annotated[int | AxisSize | None, UnionCodec(_NULL, _INTEGER, _AXIS_SIZE)]
_SIZES = ArrayCodec(UnionCodec(_INTEGER, _AXIS_SIZE))
ShapeArgument = Annotated[tuple[int | AxisSize, ...], _SIZES]
OptionalShape = Annotated[tuple[int | AxisSize, ...] | None, UnionCodec(_NULL, (lambda value: True, _SIZES))]

Number = Annotated[int | float, ScalarCodec(type="number")]
"""A number whose element type is the integers if it is written as one."""

NumberArgument = Annotated[int | float | AxisSize, UnionCodec(_NUMBER, _AXIS_SIZE)]
OptionalNumber = Annotated[int | float | AxisSize | None, UnionCodec(_NULL, _NUMBER, _AXIS_SIZE)]


def resolved(x: TensorType, number: Any) -> Any:
    """A number, or the size that stands for it, which may be symbolic. Raises ShapeError for a missing axis."""
    return x.shape[axis_of(x, number.axis)] if isinstance(number, AxisSize) else number


def emitted(g: Builder, x: Value, number: Any, dtype: str) -> Value:
    """Emits a number, or the size that stands for it, as a scalar."""
    size = resolved(x.type, number)
    if not isinstance(number, AxisSize) or isinstance(size, int):
        return g.const(size, dtype)
    axis = axis_of(x.type, number.axis)
    return g.cast(g.Squeeze(g.Shape(x, start=axis, end=axis + 1), [0]), dtype)


class Creation(Operation):
    """Base class of functions that create a tensor. They read at most the sizes of the input."""

    reads_only_shapes = True
    dtype: DType | None = attr(None, doc=DTYPE)

    default_dtype: ClassVar[str] = "float32"

    def result_shape(self, x: TensorType) -> tuple[Dim, ...]:
        raise NotImplementedError

    def infer(self, x: TensorType) -> TensorType:
        return TensorType(self.dtype or self.default_dtype, self.result_shape(x))

    def emit(self, g: Builder, x: Value, type: TensorType) -> Value:
        raise NotImplementedError

    def lower(self, g: Builder, x: Value) -> Any:
        type = self.infer(x.type)
        with g.detached():
            return g.refine(as_dtype(g, self.emit(g, x, type), type.dtype), type.shape)


def constant(g: Builder, type: TensorType, make: Callable[[], np.ndarray]) -> Value:
    """A constant of this type. Raises ShapeError if it is too large."""
    import numpy as np

    from ...core.numpy_types import numpy_dtype

    dtype = np.dtype(numpy_dtype(type.dtype))
    require_constant_size(f"needs a constant {type}", *type.shape, element_bytes=dtype.itemsize)
    return g.const(make().astype(dtype), graph_dtype(g, type.dtype))


# -- equal elements --------------------------------------------------------------------------------------------------


class Filled(EqualElements, Creation):
    """Base class of functions that return a tensor of equal elements in a given shape."""

    shape: ShapeArgument = attr(doc='Sizes of the axes, each a number or `{"axis": 0}`: that of an axis of the input.')

    def result_shape(self, x: TensorType) -> tuple[Dim, ...]:
        return tuple(resolved(x, size) for size in self.shape)

    def infer(self, x: TensorType) -> TensorType:
        return self.checked(super().infer(x))

    def emit(self, g: Builder, x: Value, type: TensorType) -> Value:
        elements = type.elements
        if isinstance(elements, int) and elements <= MAX_STORED_ELEMENTS:
            shape = [int(size) for size in type.shape if isinstance(size, int)]
            return g.filled(self.value, shape, graph_dtype(g, type.dtype))
        return self.expand(g, x, type)


@operation("zeros", "empty")
class Zeros(Filled):
    """Zeros."""

    formula = "y = zeros(shape)"


@operation("ones")
class Ones(Filled):
    """Ones."""

    formula = "y = ones(shape)"
    value = 1


@operation("full")
class Full(FillValue, Filled):
    """A tensor whose elements are all equal."""

    formula = "y = full(shape, fill_value)"


# -- matrices --------------------------------------------------------------------------------------------------------


class PatternMatrix(Creation):
    """Base class of functions that return a matrix of ones and zeros, by the distance of an element to a diagonal."""

    def sizes_of(self, x: TensorType) -> tuple[Any, Any, int]:
        """The arguments for the numbers of rows and columns, and the offset of the diagonal."""
        raise NotImplementedError

    below: ClassVar[bool] = False
    """Whether the elements below the diagonal are ones, too."""

    def result_shape(self, x: TensorType) -> tuple[Dim, ...]:
        rows, columns, _ = self.sizes_of(x)
        return resolved(x, rows), resolved(x, columns)

    def emit(self, g: Builder, x: Value, type: TensorType) -> Value:
        rows, columns, offset = self.sizes_of(x.type)
        elements = type.elements
        if isinstance(elements, int) and elements <= MAX_STORED_MATRIX_ELEMENTS:
            import numpy as np

            make: Callable[..., np.ndarray] = np.tri if self.below else np.eye
            return constant(g, type, lambda: make(*type.shape, offset))
        row_indices = g.Unsqueeze(index_range(g, emitted(g, x, rows, "int64"), type.shape[0]), [1])
        column_indices = index_range(g, emitted(g, x, columns, "int64"), type.shape[1])
        distance = g.Sub(column_indices, g.Add(row_indices, offset))
        return g.LessOrEqual(distance, 0) if self.below else g.Equal(distance, 0)


def index_range(g: Builder, count: Value, size: Dim) -> Value:
    """Emits 0, 1, 2, ... for a number of elements that is a constant or computed."""
    if isinstance(size, int):
        return g.positions(size, "int64")
    return g.refine(g.Range(g.const(0, "int64"), count, g.const(1, "int64")), (size,))


class RectangularMatrix(PatternMatrix):
    """Base class of pattern matrices that need not be square."""

    N: SizeArgument = attr(doc='Number of rows, or `{"axis": 1}`: the size of an axis of the input.', minimum=1)
    M: OptionalSize = attr(None, doc="Number of columns; null for N.", minimum=1)
    k: int = attr(0, doc="Offset of the diagonal; positive is above the main one.", minimum=-(1 << 31), maximum=1 << 31)

    def sizes_of(self, x: TensorType) -> tuple[Any, Any, int]:
        return self.N, self.N if self.M is None else self.M, self.k


@operation("eye")
class Eye(RectangularMatrix):
    """A matrix with ones on a diagonal and zeros elsewhere."""

    formula = "y = eye(N, M, k)"


@operation("tri")
class Tri(RectangularMatrix):
    """A matrix with ones on and below a diagonal and zeros above it."""

    formula = "y = tri(N, M, k)"
    below = True


@operation("identity")
class IdentityMatrix(PatternMatrix):
    """The identity matrix."""

    formula = "y = eye(n)"
    n: SizeArgument = attr(doc='Number of rows, or `{"axis": 1}`: the size of an axis of the input.', minimum=1)

    def sizes_of(self, x: TensorType) -> tuple[Any, Any, int]:
        return self.n, self.n, 0


# -- sequences -------------------------------------------------------------------------------------------------------


@operation("arange")
class Arange(Creation):
    """Evenly spaced numbers up to an end, which is left out.

    With `start` alone, that is the end, and the numbers count from 0. The numbers are integers if all arguments are.
    """

    formula = """
        first, end = (0, start) if stop is None else (start, stop)
        y = arange(first, end, step)  # first, first + step, ...
    """
    start: NumberArgument = attr(
        0, doc='First number, or the end if there is no stop. `{"axis": 1}` is the size of an axis of the input.'
    )
    stop: OptionalNumber = attr(None, doc='The end, a number or `{"axis": 1}`: the size of an axis of the input.')
    step: Number = attr(1, doc="Distance of the numbers.")
    dtype: DType | None = attr(None, doc="Element type of the result; null for int32, or float32 if a number is real.")

    def bounds(self) -> tuple[Any, Any]:
        """The arguments for the first number and the end."""
        return (0, self.start) if self.stop is None else (self.start, self.stop)

    @property
    def default_dtype(self) -> str:  # type: ignore[override]
        return "float32" if any(isinstance(number, float) for number in (*self.bounds(), self.step)) else "int32"

    def result_shape(self, x: TensorType) -> tuple[Dim, ...]:
        first, end = (resolved(x, number) for number in self.bounds())
        require(self.step != 0, "has the step 0", code="invalid-value")
        for name, number in (("start", first), ("stop", end), ("step", self.step)):
            if isinstance(number, (int, float)):
                require_in_range(number, self.dtype or self.default_dtype, name)
        has_real = any(isinstance(number, float) for number in (first, end, self.step))
        has_symbolic = isinstance(first, Size) or isinstance(end, Size)
        require(not (has_real and has_symbolic), "needs integers beside the size of an axis", code="invalid-value")
        distance, step = (end - first, self.step) if self.step > 0 else (first - end, -self.step)
        if not has_real:
            count: Dim = (distance + step - 1) // step
            return (max(count, 0) if isinstance(count, int) else count,)
        ratio = distance / step
        message = f"has more than {MAX_ELEMENTS_PER_SAMPLE:,} elements"
        require(ratio <= MAX_ELEMENTS_PER_SAMPLE, message, code="out-of-range")
        return (max(ceil(ratio), 0),)

    def emit(self, g: Builder, x: Value, type: TensorType) -> Value:
        first, end = self.bounds()
        (count,) = type.shape
        if isinstance(count, int):
            import numpy as np

            start = resolved(x.type, first)
            return constant(g, type, lambda: np.arange(count) * self.step + start)
        numbers = g.Range(emitted(g, x, first, "int64"), emitted(g, x, end, "int64"), g.const(self.step, "int64"))
        return g.refine(numbers, type.shape)


class Spaced(Creation):
    """Base class of functions that return a fixed number of evenly spaced numbers."""

    start: float = attr(doc="First number.")
    stop: float = attr(doc="Last number, or the end if it is left out.")
    num: SizeArgument = attr(
        50, doc='How many, a number or `{"axis": 1}`: the size of an axis of the input.', minimum=1
    )
    endpoint: bool = attr(True, doc="Whether `stop` is the last number; if not, it is left out.")
    axis: int = attr(0, doc="Axis of the numbers.", unsupported="There is only one, as start and stop are numbers.")

    def result_shape(self, x: TensorType) -> tuple[Dim, ...]:
        return (resolved(x, self.num),)

    def value_at(self, g: Builder, exponents: Value) -> Value:
        """Emits the result for evenly spaced numbers."""
        return exponents

    def values(self, exponents: np.ndarray) -> np.ndarray:
        """The result for evenly spaced numbers."""
        return exponents

    def emit(self, g: Builder, x: Value, type: TensorType) -> Value:
        (count,) = type.shape
        if isinstance(count, int):
            import numpy as np

            def make() -> np.ndarray:
                values = self.values(np.linspace(self.start, self.stop, count, endpoint=self.endpoint))
                return values if is_float_dtype(type.dtype) else np.floor(values)

            return constant(g, type, make)
        length = emitted(g, x, self.num, "int64")
        gaps = g.Max(g.cast(g.Sub(length, 1) if self.endpoint else length, g.float_dtype), 1.0)
        numbers = g.cast(index_range(g, length, count), g.float_dtype)
        numbers = g.Add(g.Mul(numbers, g.Div(self.stop - self.start, gaps)), self.start)
        values = self.value_at(g, numbers)
        return values if is_float_dtype(type.dtype) else g.Floor(values)


@operation("linspace")
class Linspace(Spaced):
    """Evenly spaced numbers from `start` to `stop`."""

    formula = "y = linspace(start, stop, num, endpoint)"
    retstep: bool = attr(
        False, doc="Whether to return the distance, too.", unsupported="Only the numbers are returned."
    )


@operation("logspace")
class Logspace(Spaced):
    """Powers of `base`, with evenly spaced exponents from `start` to `stop`."""

    formula = "y = base ** linspace(start, stop, num, endpoint)"
    base: float = attr(10.0, doc="Base of the powers.", above=0)

    def value_at(self, g: Builder, exponents: Value) -> Value:
        return g.Pow(g.const(self.base), exponents)

    def values(self, exponents: np.ndarray) -> np.ndarray:
        return self.base**exponents


# -- sizes -----------------------------------------------------------------------------------------------------------


@operation("shape")
class Shape(Operation):
    """The sizes of all axes of the input, batch included, as a vector of integers."""

    formula = "y = x.shape"
    reads_only_shapes = True

    def infer(self, x: TensorType) -> TensorType:
        require(x.rank > 0, f"needs an input with axes, got {x}")
        return TensorType("int32", (x.rank,))

    def lower(self, g: Builder, x: Value) -> Any:
        with g.detached():
            return g.cast(g.Shape(x), "int32")
