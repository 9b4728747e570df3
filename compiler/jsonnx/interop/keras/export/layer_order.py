"""The order of a functional model's layers, by which Keras numbers them in a file of weights."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from typing import Any

from ....core.components import Json
from ....frontend.keras_order import CallNode, add_mask_operations, distances
from ....frontend.network import Network


def keras_layer_order(
    entries: Mapping[str, Json],
    outputs: Sequence[str],
    nodes: Mapping[str, CallNode],
    network: Network,
    masked_values: Container[str],
) -> list[str]:
    """The names of all layers and operations, in Keras' order. `nodes` are the calls that make the values."""
    parents = {
        (name, number): list(dict.fromkeys((of, at) for of, at, _ in keras_histories([call["args"], call["kwargs"]])))
        for name, entry in entries.items()
        for number, call in enumerate(entry["inbound_nodes"])
    }
    add_mask_operations(network, masked_values, nodes, parents)
    far = distances([nodes[name] for name in outputs], parents)
    return sorted(far.by_layer.keys() & entries.keys(), key=lambda name: (-far.by_layer[name], far.visit_order[name]))


def keras_histories(value: Json) -> Iterator[list[Any]]:
    """Where the values among the arguments of a call come from, in the order in which Keras counts them."""
    if isinstance(value, dict) and value.get("class_name") == "__keras_tensor__":
        yield value["config"]["keras_history"]
    elif isinstance(value, dict):
        for key in sorted(value):
            yield from keras_histories(value[key])
    elif isinstance(value, list):
        for item in value:
            yield from keras_histories(item)
