"""Products of vectors, matrices and tensors in keras.ops."""

from __future__ import annotations

from string import ascii_letters
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from ...core.components import ArrayCodec, IntegerCodec, UnionCodec, attr
from ...core.types import Dim, TensorType, broadcast, require
from ..axes import axis_of, is_list_of_numbers
from .base import (
    ConstantArgument,
    ConstantOperand,
    MultiTensorOp,
    Operation,
    as_dtype,
    compute_dtype,
    constant_argument,
    operation,
    promoted_dtype,
)

if TYPE_CHECKING:
    from ...ir import Builder, Value


class EinsumProduct(MultiTensorOp):
    """Base class of products of two tensors that can be written as an einsum."""

    arity = (2, 2)
    keeps_unbounded = True
    tensors = ("x1", "x2")

    x1: ConstantArgument | None = constant_argument("x1")
    x2: ConstantArgument | None = constant_argument("x2")

    def equation(self, x1: Any, x2: Any) -> str:
        """The einsum equation for these operands. Raises ShapeError if they do not fit."""
        raise NotImplementedError

    def result_type(self, x1: Any, x2: Any) -> TensorType:
        return einsum_type(self.equation(x1, x2), (x1, x2))

    def emit(self, g: Builder, x1: Any, x2: Any) -> Any:
        return emit_einsum(g, self.equation(x1, x2), (x1, x2))


def distinct_letters(*counts: int) -> list[str]:
    """Strings of distinct letters with these lengths."""
    groups, unused = [], ascii_letters
    for count in counts:
        groups.append(unused[:count])
        unused = unused[count:]
    return groups


# -- einsum ----------------------------------------------------------------------------------------------------------


def parse_terms(equation: str, operands: tuple[Any, ...]) -> tuple[list[str], str]:
    """The letters of each operand and of the result, dots expanded. Raises ShapeError on a mismatch."""
    left, arrow, result = equation.replace(" ", "").partition("->")
    terms = left.split(",")
    well_formed = all(
        part.replace("...", "", 1).isalpha() or not part.replace("...", "", 1) for part in (*terms, result)
    )
    require(well_formed, f"cannot read the equation {equation!r}", 'such as "bij,bjk->bik"', "invalid-value")
    require(len(terms) == len(operands), f"has {len(terms)} terms in {equation!r}, and {len(operands)} tensors")
    if not arrow:
        letters = left.replace(",", "").replace(".", "")
        result = ("..." if "..." in left else "") + "".join(
            sorted(letter for letter in letters if letters.count(letter) == 1)
        )
    hidden = [x.rank - len(term.replace("...", "")) for term, x in zip(terms, operands, strict=True)]
    for term, x, count in zip(terms, operands, hidden, strict=True):
        fits = count >= 0 if "..." in term else count == 0
        require(fits, f"has {term!r} in {equation!r} for {x}, of another number of axes")
    unused = "".join(letter for letter in ascii_letters if letter not in equation)
    dots = unused[: max(hidden)]
    terms = [term.replace("...", dots[len(dots) - count :]) for term, count in zip(terms, hidden, strict=True)]
    result = result.replace("...", dots)
    distinct = len(set(result)) == len(result)
    require(distinct, f"names an axis of the result twice in {equation!r}", code="invalid-value")
    return terms, result


def einsum_type(equation: str, operands: tuple[Any, ...]) -> TensorType:
    """The type of an einsum's result."""
    terms, result = parse_terms(equation, operands)
    sizes: dict[str, Dim] = {}
    for term, x in zip(terms, operands, strict=True):
        for letter, size in zip(term, x.shape, strict=True):
            merged = broadcast(sizes.get(letter, 1), size)
            require(merged is not None, f"has {sizes.get(letter)} and {size} for {letter!r} of {equation!r}")
            sizes[letter] = merged if merged is not None else size
    for letter in result:
        require(letter in sizes, f"has {letter!r} in the result of {equation!r} alone", code="invalid-value")
    return TensorType(promoted_dtype(*operands), tuple(sizes[letter] for letter in result))


def emit_einsum(g: Builder, equation: str, operands: tuple[Any, ...]) -> Value:
    """Emits an einsum. ONNX' Einsum does not broadcast axes of size 1, so those are squeezed first."""
    type = einsum_type(equation, operands)
    terms, result = parse_terms(equation, operands)
    values = [as_dtype(g, x, compute_dtype(type.dtype)) for x in operands]
    longest = {
        letter: size
        for term, x in zip(terms, values, strict=True)
        for letter, size in zip(term, x.shape, strict=True)
        if size != 1
    }
    for index, (term, x) in enumerate(zip(terms, values, strict=True)):
        ones = [axis for axis, letter in enumerate(term) if x.shape[axis] == 1 and longest.get(letter, 1) != 1]
        if ones:
            values[index] = g.Squeeze(x, ones)
            terms[index] = "".join(letter for axis, letter in enumerate(term) if axis not in ones)
    y = g.Einsum(*values, equation=f"{','.join(terms)}->{result}")
    return as_dtype(g, g.refine(y, type.shape), type.dtype)


@operation("einsum")
class Einsum(Operation):
    """Einstein summation: products of the operands, summed over the axes that the result lacks."""

    formula = "y = einsum(subscripts, *xs)"
    arity = (1, None)
    keeps_unbounded = True

    subscripts: str = attr(doc='Equation such as "bij,bjk->bik", batch axis included; "..." represents all other axes.')

    def infer(self, *inputs: TensorType) -> TensorType:
        return einsum_type(self.subscripts, inputs)

    def lower(self, g: Builder, *inputs: Value) -> Any:
        return emit_einsum(g, self.subscripts, inputs)


# -- matrices --------------------------------------------------------------------------------------------------------


@operation("matmul")
class Matmul(MultiTensorOp):
    """Product of matrices along the last two axes, or of vectors for operands of rank 1; other axes broadcast."""

    formula = "y = x1 @ x2"
    arity = (2, 2)
    keeps_unbounded = True
    tensors = ("x1", "x2")

    x1: ConstantArgument | None = constant_argument("x1")
    x2: ConstantArgument | None = constant_argument("x2")

    def result_type(self, x1: Any, x2: Any) -> TensorType:
        require(x1.rank >= 1 and x2.rank >= 1, f"needs vectors or matrices, got {x1} and {x2}")
        a = x1.shape if x1.rank > 1 else (1, *x1.shape)
        b = x2.shape if x2.rank > 1 else (*x2.shape, 1)
        require(a[-1] == b[-2], f"sums over axes of one size, got {a[-1]} of {x1} and {b[-2]} of {x2}")
        batch_axes = broadcast(a[:-2], b[:-2])
        require(batch_axes is not None, f"cannot broadcast the leading axes of {x1} and {x2}")
        assert batch_axes is not None
        rows, columns = a[-2:-1] if x1.rank > 1 else (), b[-1:] if x2.rank > 1 else ()
        return TensorType(promoted_dtype(x1, x2), (*batch_axes, *rows, *columns))

    def emit(self, g: Builder, x1: Any, x2: Any) -> Any:
        dtype = promoted_dtype(x1, x2)
        a, b = (as_dtype(g, x, compute_dtype(dtype)) for x in (x1, x2))
        is_row, is_column = a.rank == 1, b.rank == 1
        y = g.MatMul(g.Unsqueeze(a, [0]) if is_row else a, g.Unsqueeze(b, [1]) if is_column else b)
        dropped = [y.rank - 2] * is_row + [y.rank - 1] * is_column
        return as_dtype(g, g.Squeeze(y, dropped) if dropped else y, dtype)


@operation("dot")
class Dot(EinsumProduct):
    """Sum of products over the last axis of x1 and the second to last of x2; for scalars, the product."""

    formula = "y = dot(x1, x2)"

    def equation(self, x1: Any, x2: Any) -> str:
        if not x1.rank or not x2.rank:
            a, b = distinct_letters(x1.rank, x2.rank)
            return f"{a},{b}->{a}{b}"
        a, b, common = distinct_letters(x1.rank - 1, x2.rank - 1, 1)
        inner = b[:-1] + common + b[-1:] if b else common
        return f"{a}{common},{inner}->{a}{b}"


@operation("inner")
class Inner(EinsumProduct):
    """Sum of products over the last axis of both operands."""

    formula = "y = inner(x1, x2)"

    def equation(self, x1: Any, x2: Any) -> str:
        if not x1.rank or not x2.rank:
            a, b = distinct_letters(x1.rank, x2.rank)
            return f"{a},{b}->{a}{b}"
        a, b, common = distinct_letters(x1.rank - 1, x2.rank - 1, 1)
        return f"{a}{common},{b}{common}->{a}{b}"


TensordotAxes = Annotated[
    int | tuple[Any, ...],
    UnionCodec(
        (lambda value: isinstance(value, (int, float)), IntegerCodec()),
        (is_list_of_numbers, ArrayCodec(IntegerCodec(), 2)),
        (lambda value: True, ArrayCodec(ArrayCodec(IntegerCodec()), 2)),
    ),
]
"""A number of axes, one axis of each operand, or a list of axes of each."""


@operation("tensordot")
class Tensordot(EinsumProduct):
    """Sum of products over given axes of both operands."""

    formula = "y = tensordot(x1, x2, axes)"
    axes: TensordotAxes = attr(2, doc="Number of axes (last ones of x1, first ones of x2), or two lists of axes.")

    def equation(self, x1: Any, x2: Any) -> str:
        first, second = self._axes(x1, x2)
        a, b = distinct_letters(x1.rank, x2.rank)
        for left, right in zip(first, second, strict=True):
            b = b[:right] + a[left] + b[right + 1 :]
        remaining = (letter for letter in a + b if (letter in a) != (letter in b))
        return f"{a},{b}->{''.join(remaining)}"

    def _axes(self, x1: Any, x2: Any) -> tuple[list[int], list[int]]:
        if isinstance(self.axes, int):
            fits = 0 <= self.axes <= min(x1.rank, x2.rank)
            require(fits, f"sums over {self.axes} axes of {x1} and {x2}", code="out-of-range")
            return list(range(x1.rank - self.axes, x1.rank)), list(range(self.axes))
        pairs = [(axes,) if isinstance(axes, int) else axes for axes in self.axes]
        first, second = (
            [axis_of(operand_type(x), axis) for axis in axes] for x, axes in zip((x1, x2), pairs, strict=True)
        )
        fits = len(first) == len(second) and len(set(first)) == len(first) and len(set(second)) == len(second)
        require(
            fits, f"sums over the axes {pairs}", "name each axis once, and equally many axes of both", "invalid-value"
        )
        return first, second


def operand_type(x: Any) -> TensorType:
    return x.type if isinstance(x, ConstantOperand) else TensorType(x.dtype, x.shape)


class FlattenedProduct(EinsumProduct):
    """Base class of products of flattened operands."""

    sums_products: ClassVar[bool]

    def result_type(self, x1: Any, x2: Any) -> TensorType:
        sizes = tuple(operand_type(x).elements for x in (x1, x2))
        if self.sums_products:
            require(sizes[0] == sizes[1], f"sums over tensors of one size, got {x1} and {x2}")
        return TensorType(promoted_dtype(x1, x2), () if self.sums_products else sizes)

    def emit(self, g: Builder, x1: Any, x2: Any) -> Any:
        dtype = promoted_dtype(x1, x2)
        a, b = (flatten(g, as_dtype(g, x, compute_dtype(dtype))) for x in (x1, x2))
        if self.sums_products:
            y = g.ReduceSum(g.Mul(a, b), [0], keepdims=0)
        else:
            y = g.Mul(g.Unsqueeze(a, [1]), g.Unsqueeze(b, [0]))
        return as_dtype(g, y, dtype)


def flatten(g: Builder, x: Value) -> Value:
    return g.reshape(x, (x.type.elements,))


@operation("outer")
class Outer(FlattenedProduct):
    """Outer product: the products of each element of x1 with each element of x2."""

    formula = "y = x1.reshape(-1, 1) * x2.reshape(1, -1)"
    sums_products = False


@operation("vdot")
class Vdot(FlattenedProduct):
    """Dot product of the flattened operands."""

    formula = "y = sum(x1 * x2)"
    sums_products = True
