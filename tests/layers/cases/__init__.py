"""Cases of layers, one line each; every generic layer test runs over all of them."""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules
from typing import NamedTuple


class Case(NamedTuple):
    """A layer as a spec writes it, and the shapes of its inputs without the batch axis.

    `integers` is the exclusive upper bound of integer inputs (for Embedding), `strings` are what string inputs are
    drawn from; both None for float32 inputs.
    `masks` are the places of the inputs that are ones and zeros, which have no gradient.
    `within` is the interval of real inputs for functions that are not defined everywhere.
    `smooth` is False where finite differences meet kinks that cannot be kept away from.
    """

    id: str
    layer: dict
    inputs: list[tuple[int, ...]]
    integers: int | None = None
    smooth: bool = True
    masks: tuple[int, ...] = ()
    strings: tuple[str, ...] | None = None
    within: tuple[float, float] | None = None

    @property
    def dtype(self) -> str:
        """The element type of the inputs."""
        return "string" if self.strings is not None else "float32" if self.integers is None else "int64"


def all_cases() -> list[Case]:
    """The CASES of every module of this folder."""
    return [
        case
        for module in sorted(iter_modules(__path__), key=lambda m: m.name)
        for case in import_module(f"{__name__}.{module.name}").CASES
    ]
