"""Keys of quantizers: names that do not depend on the form of the graph.

A key is an input's name or the layer of the first of the operators that are fused. An input behind a scale and a shift
has `/scaled` after its name; a value that does not leave its layer, or a second one that does, has the operator and its
number after that of the layer.
"""

from __future__ import annotations

from collections.abc import Iterable

from ...ir import Node, Value
from ...ir.graph import Input
from .dataflow import Dataflow, operator_name


def quantizer_keys(dataflow: Dataflow, values: Iterable[Value]) -> dict[Value, str]:
    """A unique key for each of the values, which are in the order of the graph."""
    keys: dict[Value, str] = {}
    used: set[str] = set()
    for value in values:
        candidates = _candidates(dataflow, value)
        key = next((candidate for candidate in candidates if candidate not in used), None)
        number = 1
        while key is None or key in used:
            number += 1
            key = f"{candidates[-1]}_{number}"
        keys[value] = key
        used.add(key)
    return keys


def _candidates(dataflow: Dataflow, value: Value) -> list[str]:
    if isinstance(value, Input):
        return [value.name]
    input_name = _scaled_input(dataflow, value)
    if input_name is not None:
        return [f"{input_name}/scaled"]
    node, values = _first_operator(dataflow, value)
    if node is None:
        return [getattr(value, "name", "value")]
    within = f"{node.scope}/{operator_name(node)}_{dataflow.ordinals.get(node, 0)}"
    return [node.scope, within] if node.scope and dataflow.leaves_layer(values, node.scope) else [within]


def _scaled_input(dataflow: Dataflow, value: Value) -> str | None:
    """The name of the input of which the value is a scaled form."""
    x = value
    while not isinstance(x, Input):
        node = dataflow.graph.producers.get(x)
        operand = None if node is None else dataflow.moved_operand(node)
        if operand is None and node is not None and (dataflow.is_affine(node) or node.op == "Cast"):
            (operand,) = dataflow.dynamic_operands(node)
        if operand is None:
            return None
        x = operand
    return x.name


def _first_operator(dataflow: Dataflow, value: Value) -> tuple[Node | None, list[Value]]:
    """The first of the fused operators that compute a value, and the results of all of them."""
    chain = dataflow.chains.get(value)
    if chain is not None:
        return chain.node, chain.values
    node = dataflow.source(value)
    return node, [value] if node is None or value in node.outputs else [node.outputs[0], value]
