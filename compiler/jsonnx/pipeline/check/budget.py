"""The limits on the cost of a network and its model, from the spec's `budget` and from options."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ...analysis.activation_memory import with_sizes
from ...core.diagnostics import JsonPath
from ...core.quantities import parse_bytes, parse_count
from ...core.types import ShapeError
from ...sections.budget_section import BUDGET_KEY, BudgetSection
from .check import CheckedSpec

OPTIONS = {
    "parameters": "--max-parameters",
    "multiply_adds": "--max-macs",
    "activation_memory": "--max-activation-memory",
    "model_bytes": "--max-model-bytes",
    "opset": "--max-opset",
    "targets": "--target",
}
"""The option that replaces a limit of the spec, by the key of the budget."""

NETWORK_LIMITS = ("parameters", "multiply_adds", "activation_memory")
"""The limits that need no compiled model."""

_PARSERS = {
    "parameters": parse_count,
    "multiply_adds": parse_count,
    "activation_memory": parse_bytes,
    "model_bytes": parse_bytes,
}


@dataclass(frozen=True)
class Budget:
    """The limits by key of the budget, without keys that are not limited."""

    limits: Mapping[str, Any] = field(default_factory=dict)
    batch_size: int = 1
    sizes: Mapping[str, int] = field(default_factory=dict)
    from_options: frozenset[str] = frozenset()
    """The keys whose limits options gave."""

    @property
    def limits_network(self) -> bool:
        return any(key in self.limits for key in NETWORK_LIMITS)

    def path(self, key: str) -> JsonPath:
        """The path of a limit in the spec; the document's path if an option gave it."""
        return () if key in self.from_options else (BUDGET_KEY, key)

    def limit_text(self, key: str) -> str:
        """The origin of a limit, as the subject of a clause."""
        return OPTIONS[key] + " allows" if key in self.from_options else "the budget is"


def budget_of(checked: CheckedSpec, overrides: Mapping[str, Any] = {}) -> Budget:
    """The budget of a valid spec, with the limits that options gave in place of its own."""
    document = checked.flat.document if checked.flat is not None else checked.source.value
    written = document.get(BUDGET_KEY) if isinstance(document, Mapping) else None
    section = BudgetSection(**(written if isinstance(written, dict) else {}))
    own = {key: getattr(section, key) for key in OPTIONS}
    limits = {key: _PARSERS.get(key, lambda value: value)(value) for key, value in own.items() if value is not None}
    given = {key: value for key, value in overrides.items() if value is not None}
    return Budget(limits | given, section.batch_size, section.sizes, frozenset(given))


def with_budget_sizes(checked: CheckedSpec) -> CheckedSpec:
    """A valid spec with the sizes of its budget in place of symbolic ones; the spec itself if the budget has none, or
    the network cannot have them."""
    sizes = budget_of(checked).sizes
    if not sizes:
        return checked
    try:
        return checked._replace(typed_network=with_sizes(checked.require(), sizes), lowered=None)
    except ShapeError:
        return checked
