"""The kernels of an execution provider: operators, opsets and element types."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from ..core.providers.known_providers import PROVIDERS

FIRST = "first"
"""In place of a type parameter: the first input, where onnxruntime's source does not name the type parameters."""


@dataclass(frozen=True)
class Kernel:
    """A kernel for the definitions of an operator from opset `first` to `last`.

    Without `last`, the kernel serves exactly the definition of opset `first`: onnxruntime does not assume that a later
    definition has the same meaning.
    """

    first: int
    last: int | None
    types: Mapping[str, frozenset[str]]
    """Element types by type parameter of the operator's definition, such as T, or by name of an input or output. A
    parameter that is not listed has any type."""

    def serves(self, since_version: int) -> bool:
        """Whether the kernel serves the definition that an operator has had since an opset."""
        return self.first <= since_version <= (self.first if self.last is None else self.last)


@dataclass(frozen=True, eq=False)
class KernelTable:
    """The kernels of a provider by domain ("" for ONNX) and operator."""

    provider: str
    runtime_version: str
    """The version of onnxruntime whose kernels these are."""
    source: str
    kernels: Mapping[tuple[str, str], tuple[Kernel, ...]]

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> KernelTable:
        kernels = {
            (domain, op): tuple(_kernel(*entry) for entry in entries)
            for domain, operators in value["kernels"].items()
            for op, entries in operators.items()
        }
        return cls(value["provider"], value["runtime_version"], value["source"], kernels)


def _kernel(first: int, last: int | None, types: Mapping[str, str]) -> Kernel:
    return Kernel(first, last, {parameter: frozenset(names.split()) for parameter, names in types.items()})


@cache
def kernel_table(provider: str) -> KernelTable | None:
    """The table of a provider, `kernels/NAME.json`; None if there is none."""
    if provider not in PROVIDERS or not PROVIDERS[provider].kernel_source:
        return None
    file = resources.files(__package__) / "kernels" / f"{provider}.json"
    return KernelTable.from_json(json.loads(file.read_text(encoding="utf-8")))
