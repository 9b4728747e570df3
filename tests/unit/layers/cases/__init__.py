"""Layer cases, one line each; every generic layer test runs over all of them."""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules
from typing import NamedTuple


class Case(NamedTuple):
    """A layer as written in a spec, and the shapes of its inputs without the batch axis.

    `integers` is the exclusive upper bound of integer inputs, `strings` are the values of string inputs; with both None
    the inputs are float32. `masks` are the indices of inputs that are masks of ones and zeros, which have no gradient.
    `within` is the interval of inputs, for functions with a restricted domain. `smooth` is False if finite differences
    do not apply, as the function has kinks everywhere.
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
    """Returns the CASES of all modules in this package."""
    return [
        case
        for module in sorted(iter_modules(__path__), key=lambda m: m.name)
        for case in import_module(f"{__name__}.{module.name}").CASES
    ]
