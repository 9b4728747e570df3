"""Compares the networks before and after a renaming: they must differ in names alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from ...frontend.network import Network
from .checks import SpecCheck


def changes_network(before: SpecCheck, after: SpecCheck, names: Mapping[str, str]) -> str | None:
    """Why a renaming is refused: a new error, or a network with other layers or connections; None if it is not.

    `names` are the new names of values by the old ones; names that are not in it remain.
    """
    known = Counter(item.code for item in before.diagnostics if item.severity == "error")
    for item in after.diagnostics:
        known[item.code] -= item.severity == "error"
        if known[item.code] < 0 and item.severity == "error":
            return f"the new name leads to an error: {item.message}"
    networks = [
        check.checked.typed_network.network if check.checked is not None and check.checked.typed_network else None
        for check in (before, after)
    ]
    if networks[0] is None or networks[1] is None:
        return None
    if _description(networks[0], names) != _description(networks[1], {}):
        return "the new name would change the network: give layers with default names names of their own first"
    return None


def _description(network: Network, names: Mapping[str, str]) -> object:
    """The properties that a renaming must not change: layers, connections, outputs, labels and learning rates."""

    def new(name: str) -> str:
        head, dot, output = name.partition(".")
        return f"{names.get(head, head)}{dot}{output}"

    calls = {
        call.path: (new(call.name), new(call.owner), tuple(map(new, call.sources)), call.layer)
        for call in network.calls
    }
    return (
        calls,
        {new(name): type for name, type in network.inputs.items()},
        tuple(map(new, network.outputs)),
        {new(name): labels for name, labels in network.labels.items()},
        {new(name): factor for name, factor in network.learning_rate_factors.items()},
    )
