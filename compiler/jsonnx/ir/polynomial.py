"""Polynomials of symbolic sizes, such as the multiply-adds of a layer over sequences: `64*time**2 + 4096*time`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import prod

from ..core.types import BATCH, Dim, Product

MAX_TERMS = 64
"""Terms of a sum; a polynomial with more is not computed."""

MAX_CHARACTERS = 400
"""Characters of a formula that is shown."""

Monomial = tuple[str, ...]
"""Factors of a product, sorted; symbols, or other formulas, such as a rounded quotient."""


@dataclass(frozen=True)
class Polynomial:
    """A sum of products of symbols with integer factors."""

    terms: Mapping[Monomial, int] = field(default_factory=dict)

    @staticmethod
    def of(size: Dim) -> Polynomial:
        """A size for one sample: the batch size is 1."""
        if isinstance(size, int):
            return Polynomial({(): size} if size else {})
        if (quotient := size.as_quotient()) is not None:
            return _of_symbol(quotient)
        total = Polynomial({(): size.offset} if size.offset else {})
        for symbol, factor in size.terms:
            total += _of_symbol(symbol) * Polynomial({(): factor})
        return total

    @property
    def constant(self) -> int | None:
        """The value if there are no symbols, else None."""
        return self.terms.get((), 0) if not self.terms.keys() - {()} else None

    def __add__(self, other: Polynomial) -> Polynomial:
        terms = dict(self.terms)
        for monomial, factor in other.terms.items():
            terms[monomial] = terms.get(monomial, 0) + factor
        terms = {monomial: factor for monomial, factor in terms.items() if factor}
        return UNKNOWN if len(terms) > MAX_TERMS else Polynomial(terms)

    def __mul__(self, other: Polynomial) -> Polynomial:
        if len(self.terms) * len(other.terms) > MAX_TERMS:
            return UNKNOWN
        product = Polynomial()
        for monomial, factor in self.terms.items():
            scaled = {tuple(sorted((*monomial, *more))): factor * times for more, times in other.terms.items()}
            product += Polynomial(scaled)
        return product

    def __str__(self) -> str:
        text = ""
        for monomial, factor in sorted(self.terms.items(), key=lambda term: (-len(term[0]), term[0])):
            powers = [name if count == 1 else f"{name}**{count}" for name, count in Counter(monomial).items()]
            size = [str(abs(factor))] if abs(factor) != 1 or not powers else []
            text += (" - " if factor < 0 else " + " if text else "") + "*".join([*size, *powers])
        is_known = len(text) <= MAX_CHARACTERS and not any("?" in monomial for monomial in self.terms)
        return (text.strip() or "0") if is_known else "?"


UNKNOWN = Polynomial({("?",): 1})
"""A polynomial of too many terms, and every sum that contains one."""


def product(sizes: Iterable[Dim]) -> Polynomial:
    """The product of sizes for one sample."""
    factors = list(sizes)
    result = Polynomial.of(prod(size for size in factors if isinstance(size, int)))
    for size in factors:
        if not isinstance(size, int):
            result *= Polynomial.of(size)
    return result


def _of_symbol(symbol: str) -> Polynomial:
    if isinstance(symbol, Product):
        return product(symbol.factors)
    if symbol == str(BATCH):
        return Polynomial({(): 1})
    return Polynomial({(symbol if symbol.isidentifier() else f"({symbol})",): 1})
