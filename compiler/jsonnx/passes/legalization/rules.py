"""The rules that write a node without a kernel by other operators."""

from __future__ import annotations

from collections.abc import Callable, Set
from dataclasses import dataclass

from ...ir import Node, Value
from ..rewrite import Match, Rule, RuleSet

forms = RuleSet(cleanup=None)


@dataclass(frozen=True)
class TargetContext:
    """The facts about the target that rules use."""

    lacks_kernel: Callable[[Node], bool]
    """Whether the target cannot run a node."""
    host_values: Set[Value]
    """The values that are computed from shapes or texts, on the CPU for every target."""

    def needs_form(self, node: Node) -> bool:
        """Whether the node must be written by other operators."""
        return self.lacks_kernel(node) and not self.host_values >= {*node.outputs}


def form(*operators: str) -> Callable[[Rule], Rule]:
    """Registers a rule for the nodes of some operators that have no kernel."""

    def register(rule: Rule) -> Rule:
        forms(*operators)(lambda m: rule(m) if m.context.needs_form(m.node) else None)
        return rule

    return register


def operand(m: Match, index: int = 0) -> Value:
    """An operand of the matched node that the operator requires."""
    x = m.node.inputs[index]
    assert x is not None
    return x
