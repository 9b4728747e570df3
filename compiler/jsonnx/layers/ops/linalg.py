"""Functions of keras.ops that are products of vectors, matrices and tensors."""

from __future__ import annotations

from string import ascii_letters
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from ...core.components import ArrayCodec, IntegerCodec, UnionCodec, attr
from ...core.types import Dim, TensorType, broadcast, require
from ..axes import axis_of
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
    """Base of the products of two tensors, told as an equation of einsum."""

    arity = (2, 2)
    tensors = ("x1", "x2")

    x1: ConstantArgument | None = constant_argument("x1")
    x2: ConstantArgument | None = constant_argument("x2")

    def equation(self, x1: Any, x2: Any) -> str:
        """The equation for these two; ShapeError where there is none."""
        raise NotImplementedError

    def result_type(self, x1: Any, x2: Any) -> TensorType:
        return einsum_type(self.equation(x1, x2), (x1, x2))

    def emit(self, g: Builder, x1: Any, x2: Any) -> Any:
        return emit_einsum(g, self.equation(x1, x2), (x1, x2))


def distinct_letters(*counts: int) -> list[str]:
    """So many letters each, none twice."""
    found, rest = [], ascii_letters
    for count in counts:
        found.append(rest[:count])
        rest = rest[count:]
    return found


# -- einsum ----------------------------------------------------------------------------------------------------------


def parse_terms(equation: str, operands: tuple[Any, ...]) -> tuple[list[str], str]:
    """The letters of every operand and of the result, the dots as letters; ShapeError where they do not fit."""
    left, arrow, result = equation.replace(" ", "").partition("->")
    terms = left.split(",")
    sound = all(part.replace("...", "", 1).isalpha() or not part.replace("...", "", 1) for part in (*terms, result))
    require(sound, f"cannot read the equation {equation!r}", 'such as "bij,bjk->bik"', "invalid-value")
    require(len(terms) == len(operands), f"has {len(terms)} terms in {equation!r}, and {len(operands)} tensors")
    if not arrow:
        alone = left.replace(",", "").replace(".", "")
        result = ("..." if "..." in left else "") + "".join(sorted(one for one in alone if alone.count(one) == 1))
    hidden = [x.rank - len(term.replace("...", "")) for term, x in zip(terms, operands, strict=True)]
    for term, x, count in zip(terms, operands, hidden, strict=True):
        fits = count >= 0 if "..." in term else count == 0
        require(fits, f"has {term!r} in {equation!r} for {x}, of another number of axes")
    spare = "".join(one for one in ascii_letters if one not in equation)
    dots = spare[: max(hidden)]
    terms = [term.replace("...", dots[len(dots) - count :]) for term, count in zip(terms, hidden, strict=True)]
    result = result.replace("...", dots)
    twice = len(set(result)) == len(result)
    require(twice, f"names an axis of the result twice in {equation!r}", code="invalid-value")
    return terms, result


def einsum_type(equation: str, operands: tuple[Any, ...]) -> TensorType:
    """The type of an einsum."""
    terms, result = parse_terms(equation, operands)
    sizes: dict[str, Dim] = {}
    for term, x in zip(terms, operands, strict=True):
        for letter, size in zip(term, x.shape, strict=True):
            both = broadcast(sizes.get(letter, 1), size)
            require(both is not None, f"has {sizes.get(letter)} and {size} for {letter!r} of {equation!r}")
            sizes[letter] = both if both is not None else size
    for letter in result:
        require(letter in sizes, f"has {letter!r} in the result of {equation!r} alone", code="invalid-value")
    return TensorType(promoted_dtype(*operands), tuple(sizes[letter] for letter in result))


def emit_einsum(g: Builder, equation: str, operands: tuple[Any, ...]) -> Value:
    """An einsum. ONNX' own takes an axis of size 1 for a mistake where others are longer, so that is summed first."""
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
    """The sum of products that an equation tells: a letter for every axis, summed where the result lacks it."""

    arity = (1, None)

    subscripts: str = attr(doc='The equation, such as "bij,bjk->bik"; "..." is all other axes, the batch is an axis.')

    def infer(self, *inputs: TensorType) -> TensorType:
        return einsum_type(self.subscripts, inputs)

    def lower(self, g: Builder, *inputs: Value) -> Any:
        return emit_einsum(g, self.subscripts, inputs)


# -- matrices --------------------------------------------------------------------------------------------------------


@operation("matmul")
class Matmul(MultiTensorOp):
    """The product of matrices along the last two axes, of vectors where there is one axis; the others broadcast."""

    arity = (2, 2)
    tensors = ("x1", "x2")

    x1: ConstantArgument | None = constant_argument("x1")
    x2: ConstantArgument | None = constant_argument("x2")

    def result_type(self, x1: Any, x2: Any) -> TensorType:
        require(x1.rank >= 1 and x2.rank >= 1, f"needs vectors or matrices, got {x1} and {x2}")
        a = x1.shape if x1.rank > 1 else (1, *x1.shape)
        b = x2.shape if x2.rank > 1 else (*x2.shape, 1)
        require(a[-1] == b[-2], f"sums over axes of one size, got {a[-1]} of {x1} and {b[-2]} of {x2}")
        both = broadcast(a[:-2], b[:-2])
        require(both is not None, f"cannot broadcast the leading axes of {x1} and {x2}")
        assert both is not None
        rows, columns = a[-2:-1] if x1.rank > 1 else (), b[-1:] if x2.rank > 1 else ()
        return TensorType(promoted_dtype(x1, x2), (*both, *rows, *columns))

    def emit(self, g: Builder, x1: Any, x2: Any) -> Any:
        dtype = promoted_dtype(x1, x2)
        a, b = (as_dtype(g, x, compute_dtype(dtype)) for x in (x1, x2))
        row, column = a.rank == 1, b.rank == 1
        y = g.MatMul(g.Unsqueeze(a, [0]) if row else a, g.Unsqueeze(b, [1]) if column else b)
        gone = [y.rank - 2] * row + [y.rank - 1] * column
        return as_dtype(g, g.Squeeze(y, gone) if gone else y, dtype)


@operation("dot")
class Dot(EinsumProduct):
    """The sum of products over the last axis of x1 and the last but one of x2; of numbers the product."""

    def equation(self, x1: Any, x2: Any) -> str:
        if not x1.rank or not x2.rank:
            a, b = distinct_letters(x1.rank, x2.rank)
            return f"{a},{b}->{a}{b}"
        a, b, common = distinct_letters(x1.rank - 1, x2.rank - 1, 1)
        inner = b[:-1] + common + b[-1:] if b else common
        return f"{a}{common},{inner}->{a}{b}"


@operation("inner")
class Inner(EinsumProduct):
    """The sum of products over the last axis of both."""

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
        (lambda value: bool(value) and isinstance(value[0], (int, float)), ArrayCodec(IntegerCodec(), 2)),
        (lambda value: True, ArrayCodec(ArrayCodec(IntegerCodec()), 2)),
    ),
]
"""How many axes, one axis of each, or a list of axes of each."""


@operation("tensordot")
class Tensordot(EinsumProduct):
    """The sum of products over axes of both."""

    axes: TensordotAxes = attr(
        2, doc="How many last axes of x1 and first ones of x2, or the axes of each as two lists."
    )

    def equation(self, x1: Any, x2: Any) -> str:
        first, second = self._axes(x1, x2)
        a, b = distinct_letters(x1.rank, x2.rank)
        for left, right in zip(first, second, strict=True):
            b = b[:right] + a[left] + b[right + 1 :]
        rest = (letter for letter in a + b if (letter in a) != (letter in b))
        return f"{a},{b}->{''.join(rest)}"

    def _axes(self, x1: Any, x2: Any) -> tuple[list[int], list[int]]:
        if isinstance(self.axes, int):
            fits = 0 <= self.axes <= min(x1.rank, x2.rank)
            require(fits, f"sums over {self.axes} axes of {x1} and {x2}", code="out-of-range")
            return list(range(x1.rank - self.axes, x1.rank)), list(range(self.axes))
        pairs = [(one,) if isinstance(one, int) else one for one in self.axes]
        first, second = (
            [axis_of(operand_type(x), axis) for axis in axes] for x, axes in zip((x1, x2), pairs, strict=True)
        )
        alike = len(first) == len(second) and len(set(first)) == len(first) and len(set(second)) == len(second)
        require(alike, f"sums over the axes {pairs}", "each axis once, as many of both", "invalid-value")
        return first, second


def operand_type(x: Any) -> TensorType:
    return x.type if isinstance(x, ConstantOperand) else TensorType(x.dtype, x.shape)


class FlattenedProduct(EinsumProduct):
    """Base of the products that take all elements of both as one row each."""

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
    """The products of each element of x1 with each of x2."""

    sums_products = False


@operation("vdot")
class Vdot(FlattenedProduct):
    """The sum of the products of all elements."""

    sums_products = True
