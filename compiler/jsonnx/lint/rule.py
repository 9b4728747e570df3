"""A lint rule, what it finds, and the registry of all rules."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal, NamedTuple

from ..core.diagnostics import JsonPath
from ..core.fixes import Fix
from .linted_network import LintedNetwork

FindingSeverity = Literal["warning", "note"]
"""A note is advice that does not change the exit status."""


class Finding(NamedTuple):
    """A finding of a rule at a path of the flat document."""

    path: JsonPath
    message: str
    help: str
    notes: tuple[tuple[JsonPath, str], ...] = ()
    at_key: bool = False
    fix: Fix | None = None
    """A change of the flat document."""


RuleFunction = Callable[[LintedNetwork], Iterable[Finding]]


@dataclass(frozen=True)
class Rule:
    """One rule: a function from a network to findings. `render/explanations/` explains its code to users."""

    code: str
    find: RuleFunction
    group: str
    """The subject of the rule, which is the name of its module."""
    severity: FindingSeverity = "warning"
    is_default: bool = True
    """Whether the rule runs unless a configuration says otherwise."""
    needs_data: bool = False
    """Whether the rule reads the data, so that it runs only with `--data`."""


RULES: dict[str, Rule] = {}
"""All rules by code, in the order of their modules. Complete once `lint.rules` is imported."""


def rule(
    code: str,
    *,
    severity: FindingSeverity = "warning",
    default: bool = True,
    needs_data: bool = False,
) -> Callable[[RuleFunction], RuleFunction]:
    """Registers a function as a rule."""

    def register(find: RuleFunction) -> RuleFunction:
        group = find.__module__.rpartition(".")[2]
        RULES[code] = Rule(code, find, group, severity, default, needs_data)
        return find

    return register
