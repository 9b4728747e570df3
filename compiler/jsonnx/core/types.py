"""Sizes, tensor types, and the error of a shape rule. Imports nothing of ours."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import prod
from typing import overload

DATA_DEPENDENT = "counted/"
"""What the name of a size begins with that the data decide, and that is the same wherever it stands."""


@dataclass(frozen=True, slots=True)
class Size:
    """A size known only by name: a sum of integer multiples of symbols, plus an integer.

    Two sizes are equal where their canonical forms are, so `time + 2 - 2` is `time`. What is not a sum (a quotient,
    a product of symbols) becomes a symbol of its own, named by its formula.
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
        return Size.named("*".join(sorted((self._atom(), other._atom()))))

    __rmul__ = __mul__

    def __floordiv__(self, divisor: int) -> Dim:
        if all(factor % divisor == 0 for _, factor in self.terms):
            return _canonical_dim({symbol: factor // divisor for symbol, factor in self.terms}, self.offset // divisor)
        return Size.named(f"{self._atom()}//{divisor}")

    def _atom(self) -> str:
        text = str(self)
        return text if text.isidentifier() else f"({text})"

    def __str__(self) -> str:
        text = ""
        for symbol, factor in self.terms:
            whole = f"({symbol})" if "//" in symbol else symbol
            part = symbol if factor == 1 else whole if factor == -1 else f"{abs(factor)}*{whole}"
            text += (" - " if factor < 0 else " + " if text else "") + part
        if self.offset:
            text += f" {'-' if self.offset < 0 else '+'} {abs(self.offset)}"
        return text.strip()

    __repr__ = __str__


Dim = int | Size
"""The size of one axis: known, or symbolic."""

BATCH = Size.named("batch")
"""The first axis of every tensor of a network, never written in a spec."""


def _canonical_dim(terms: dict[str, int], offset: int) -> Dim:
    kept = tuple(sorted((symbol, factor) for symbol, factor in terms.items() if factor))
    return Size(kept, offset) if kept else offset


def product(sizes: Iterable[Dim]) -> Dim:
    """The number of elements of a shape, symbolic where a size is."""
    known = list(sizes)
    result: Dim = 1
    for size in known:
        if isinstance(size, Size):
            result = size * result
    return result * prod(size for size in known if isinstance(size, int))


def shape_text(shape: Iterable[Dim]) -> str:
    return "[" + ", ".join(map(str, shape)) + "]"


class ShapeError(Exception):
    """A shape rule does not hold. `help` says what would make it hold, `code` names the kind of fault."""

    def __init__(self, message: str, help: str | None = None, code: str = "shape-mismatch") -> None:
        self.message, self.help, self.code = message, help, code
        super().__init__(message)


def require(holds: bool, message: str, help: str | None = None, code: str = "shape-mismatch") -> None:
    """Raises ShapeError with the message where `holds` is false."""
    if not holds:
        raise ShapeError(message, help, code)


@dataclass(frozen=True, slots=True)
class TensorType:
    """Element type (ONNX' name in lower case: float32, int64, string) and shape, the batch axis included."""

    dtype: str
    shape: tuple[Dim, ...]

    @property
    def rank(self) -> int:
        return len(self.shape)

    def is_static(self, *axes: int) -> bool:
        """Whether the sizes of these axes (of all, without arguments) are known numbers."""
        return all(isinstance(self.shape[axis], int) for axis in axes or range(self.rank))

    def static_size(self, axis: int) -> int:
        """The size of an axis as a number; ShapeError where it is symbolic."""
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
        return product(self.shape)

    def __str__(self) -> str:
        return f"{self.dtype}{shape_text(self.shape)}"


@overload
def broadcast(left: Dim, right: Dim) -> Dim | None: ...
@overload
def broadcast(left: tuple[Dim, ...], right: tuple[Dim, ...]) -> tuple[Dim, ...] | None: ...
def broadcast(left, right):  # type: ignore[no-untyped-def]
    """The common size, or shape, under NumPy's broadcasting; None where there is none."""
    if isinstance(left, tuple):
        rank = max(len(left), len(right))
        pairs = zip((1,) * (rank - len(left)) + left, (1,) * (rank - len(right)) + right, strict=True)
        sizes = tuple(broadcast(a, b) for a, b in pairs)
        return None if None in sizes else sizes
    if left == right or right == 1:
        return left
    return right if left == 1 else None
