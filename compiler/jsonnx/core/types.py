"""Symbolic sizes, tensor types, and the error that shape rules raise."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from math import gcd
from typing import overload

DATA_DEPENDENT = "counted/"
"""Prefix of the symbols of sizes that depend on the data, such as the number of elements that a mask selects."""


@dataclass(frozen=True, slots=True)
class Size:
    """A symbolic size: a linear combination of symbols with integer factors, plus an integer offset.

    Two sizes are equal if their canonical forms are equal, so `time + 2 - 2` equals `time`. A quotient that is not
    exact and a product of symbols become new symbols, in simplest form: `((time - 1)//2 - 1)//2` is `(time - 3)//4`.
    """

    terms: tuple[tuple[str, int], ...]
    offset: int = 0

    @staticmethod
    def named(symbol: str) -> Size:
        return Size(((symbol, 1),))

    def __add__(self, other: Dim) -> Dim:
        if isinstance(other, int):
            return _canonical_dim(dict(self.terms), self.offset + other)
        merged = dict(self.terms)
        for symbol, factor in other.terms:
            merged[symbol] = merged.get(symbol, 0) + factor
        return _canonical_dim(merged, self.offset + other.offset)

    __radd__ = __add__

    def __neg__(self) -> Dim:
        return self * -1

    def __sub__(self, other: Dim) -> Dim:
        return self + (-other)

    def __rsub__(self, other: int) -> Dim:
        return -self + other

    def __mul__(self, other: Dim) -> Dim:
        if isinstance(other, int):
            return _canonical_dim({symbol: factor * other for symbol, factor in self.terms}, self.offset * other)
        factor, primitive = self._content()
        other_factor, other_primitive = other._content()
        factors = sorted((*primitive._factors(), *other_primitive._factors()), key=str)
        return Size.named(Product(factors)) * (factor * other_factor)

    __rmul__ = __mul__

    def __floordiv__(self, divisor: int) -> Dim:
        quotients = [symbol for symbol, _ in self.terms if isinstance(symbol, Quotient)]
        if len(quotients) == 1 and (quotients[0], 1) in self.terms:  # (n//d + m)//e = (n + d*m)//(d*e)
            inner = quotients[0]
            rest = self - Size.named(inner)
            return (inner.numerator + rest * inner.divisor) // (inner.divisor * divisor)
        whole = _canonical_dim({symbol: factor // divisor for symbol, factor in self.terms}, self.offset // divisor)
        rest = self - whole * divisor  # factors and offset are at least 0 and below the divisor
        if isinstance(rest, int):
            return whole
        common = gcd(divisor, *(factor for _, factor in rest.terms))
        numerator = Size(tuple((symbol, factor // common) for symbol, factor in rest.terms), rest.offset // common)
        return whole + Size.named(Quotient(numerator, divisor // common))

    def _content(self) -> tuple[int, Size]:
        """The greatest common divisor of all coefficients, and the size without it."""
        common = gcd(self.offset, *(factor for _, factor in self.terms))
        return common, Size(tuple((symbol, factor // common) for symbol, factor in self.terms), self.offset // common)

    def _factors(self) -> list[Size]:
        symbol = self.terms[0][0]
        return symbol.factors if isinstance(symbol, Product) and self == Size.named(symbol) else [self]

    def as_quotient(self) -> Quotient | None:
        """The size as one quotient: `(time + 1)//4 - 1` is `(time - 3)//4`. None for other sums."""
        symbol = self.terms[0][0]
        if isinstance(symbol, Quotient) and symbol.numerator.offset and self.terms == ((symbol, 1),):
            numerator = symbol.numerator + self.offset * symbol.divisor
            assert isinstance(numerator, Size)
            return Quotient(numerator, symbol.divisor)
        return None

    def __str__(self) -> str:
        if (quotient := self.as_quotient()) is not None:
            return str(quotient)
        text = ""
        for symbol, factor in self.terms:
            operand = f"({symbol})" if isinstance(symbol, Quotient) else symbol
            term = symbol if factor == 1 else operand if factor == -1 else f"{abs(factor)}*{operand}"
            text += (" - " if factor < 0 else " + " if text else "") + term
        if self.offset:
            text += f" {'-' if self.offset < 0 else '+'} {abs(self.offset)}"
        return text.strip()

    __repr__ = __str__


class Quotient(str):
    """A symbol, named after its formula, for the quotient of a size and an integer, rounded down."""

    numerator: Size
    divisor: int

    def __new__(cls, numerator: Size, divisor: int) -> Quotient:
        quotient = super().__new__(cls, f"{_operand(numerator)}//{divisor}")
        quotient.numerator, quotient.divisor = numerator, divisor
        return quotient


class Product(str):
    """A symbol, named after its formula, for a product of sizes."""

    factors: list[Size]

    def __new__(cls, factors: list[Size]) -> Product:
        product = super().__new__(cls, "*".join(map(_operand, factors)))
        product.factors = factors
        return product


def _operand(size: Size) -> str:
    """The size as an operand of a formula, in parentheses unless it is a single symbol."""
    text = str(size)
    return text if text.isidentifier() else f"({text})"


Dim = int | Size
"""The size of one axis: known, or symbolic."""

BATCH = Size.named("batch")
"""The size of the first axis of every tensor of a network. Specs omit this axis."""


def _canonical_dim(terms: dict[str, int], offset: int) -> Dim:
    nonzero_terms = tuple(sorted((symbol, factor) for symbol, factor in terms.items() if factor))
    return Size(nonzero_terms, offset) if nonzero_terms else offset


def product(sizes: Iterable[Dim]) -> Dim:
    """The product of some sizes, symbolic if one of them is."""
    known, symbolic = 1, list[Size]()
    for size in sizes:
        if isinstance(size, int):
            known *= size
        else:
            symbolic.append(size)
    if not symbolic:
        return known
    result: Dim = symbolic[0]
    for size in symbolic[1:]:
        result = size * result
    return result if known == 1 else result * known


def shape_text(shape: Iterable[Dim]) -> str:
    """A shape as text, such as `[batch, 3]`."""
    return "[" + ", ".join(map(str, shape)) + "]"


class ShapeError(Exception):
    """A shape rule is violated. `help` suggests a solution; `code` is the diagnostic's code."""

    def __init__(self, message: str, help: str | None = None, code: str = "shape-mismatch") -> None:
        self.message, self.help, self.code = message, help, code
        super().__init__(message)


def require(holds: bool, message: str, help: str | None = None, code: str = "shape-mismatch") -> None:
    """Raises ShapeError with the message if `holds` is false."""
    if not holds:
        raise ShapeError(message, help, code)


@dataclass(frozen=True, slots=True)
class TensorType:
    """Element type (ONNX' name in lower case: float32, int64, string) and shape, including the batch axis."""

    dtype: str
    shape: tuple[Dim, ...]

    @property
    def rank(self) -> int:
        return len(self.shape)

    def is_static(self, *axes: int) -> bool:
        """Whether the sizes of these axes (without arguments: of all axes) are integers."""
        sizes = [self.shape[axis] for axis in axes] if axes else self.shape
        return {int}.issuperset(map(type, sizes))

    def static_size(self, axis: int) -> int:
        """The size of an axis as an integer. Raises ShapeError if it is symbolic."""
        size = self.shape[axis]
        require(isinstance(size, int), f"needs a fixed size on axis {axis % self.rank}, got {self}")
        assert isinstance(size, int)
        return size

    def with_shape(self, shape: Iterable[Dim]) -> TensorType:
        return TensorType(self.dtype, tuple(shape))

    def with_last(self, size: Dim) -> TensorType:
        return TensorType(self.dtype, (*self.shape[:-1], size))

    def with_dtype(self, dtype: str) -> TensorType:
        return TensorType(dtype, self.shape)

    @property
    def elements(self) -> Dim:
        """The number of elements."""
        return product(self.shape)

    def __str__(self) -> str:
        return f"{self.dtype}{shape_text(self.shape)}"


@dataclass(frozen=True, slots=True)
class PaddingMask(TensorType):
    """The type of a mask [batch, steps] that is false in the padding behind the end of each sequence.

    `axis` is the axis of the steps in the value that the mask belongs to.
    """

    axis: int = 1

    @staticmethod
    def of(x: TensorType) -> PaddingMask:
        """The mask of sequences [batch, steps, ...]."""
        return PaddingMask("bool", x.shape[:2])

    def moved(self, axis: int) -> PaddingMask:
        """The mask where the steps are another axis of the value."""
        return PaddingMask(self.dtype, self.shape, axis)

    def with_steps(self, steps: Dim) -> PaddingMask:
        return PaddingMask(self.dtype, (self.shape[0], steps), self.axis)

    def with_dtype(self, dtype: str) -> PaddingMask:
        return PaddingMask(dtype, self.shape, self.axis)

    def fits(self, x: TensorType) -> bool:
        """Whether a value has the steps of the mask."""
        return x.rank > self.axis and x.shape[self.axis] == self.shape[1]


REMOVE_AXES_HELP = "remove axes before it, with Flatten, Reshape or a pooling layer"


def rank_help(type: TensorType, rank: int) -> str:
    """Help text for a tensor of the wrong rank."""
    if type.rank > rank:
        return REMOVE_AXES_HELP
    axes = "an axis" if rank - type.rank == 1 else "axes"
    sizes = [*(-1 if isinstance(size, Size) else size for size in type.shape[1:]), *[1] * (rank - max(type.rank, 1))]
    how = f', as {{"type": "Reshape", "target_shape": {sizes}}} does' if sizes.count(-1) <= 1 else " with Reshape"
    return f"add {axes} before it{how}, or declare the input with more axes"


@overload
def broadcast(left: Dim, right: Dim) -> Dim | None: ...
@overload
def broadcast(left: tuple[Dim, ...], right: tuple[Dim, ...]) -> tuple[Dim, ...] | None: ...
def broadcast(left, right):  # type: ignore[no-untyped-def]
    """The common size, or shape, of two under NumPy's broadcasting rules; None if they do not broadcast."""
    if isinstance(left, tuple):
        rank = max(len(left), len(right))
        pairs = zip((1,) * (rank - len(left)) + left, (1,) * (rank - len(right)) + right, strict=True)
        sizes = tuple(broadcast(a, b) for a, b in pairs)
        return None if None in sizes else sizes
    if left == right or right == 1:
        return left
    return right if left == 1 else None


def evaluate_size(size: Dim, sizes: Mapping[str, int]) -> int:
    """A size as a number. Symbols that are formulas, such as `time//2`, are evaluated. Raises ValueError."""
    if isinstance(size, int):
        return size
    return size.offset + sum(factor * _evaluate_symbol(symbol, sizes) for symbol, factor in size.terms)


def _evaluate_symbol(symbol: str, sizes: Mapping[str, int]) -> int:
    if symbol in sizes:
        return sizes[symbol]
    try:
        return _evaluate_expression(ast.parse(symbol, mode="eval").body, sizes)
    except (SyntaxError, KeyError, ZeroDivisionError, RecursionError, MemoryError) as error:
        raise ValueError(f"the size {symbol!r} cannot be computed from the sizes of the inputs") from error


def _evaluate_expression(node: ast.AST, sizes: Mapping[str, int]) -> int:
    if isinstance(node, ast.Constant) and isinstance(node.value, int):
        return node.value
    if isinstance(node, ast.Name):
        return sizes[node.id]
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return -_evaluate_expression(node.operand, sizes)
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        return _OPERATORS[type(node.op)](
            _evaluate_expression(node.left, sizes), _evaluate_expression(node.right, sizes)
        )
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "min":
        return min(_evaluate_expression(argument, sizes) for argument in node.args)
    raise KeyError(ast.dump(node))


_OPERATORS: dict[type[ast.operator], Callable[[int, int], int]] = {
    ast.Add: lambda a, b: a + b,
    ast.Sub: lambda a, b: a - b,
    ast.Mult: lambda a, b: a * b,
    ast.FloorDiv: lambda a, b: a // b,
}
