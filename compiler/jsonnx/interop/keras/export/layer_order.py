"""The order of a functional model's layers, which determines their numbers in a weights file."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from typing import Any

from ....core.components import Json
from ....frontend.network import Network
from ....frontend.networks.keras_order import CallNode, add_mask_operations, distances


def keras_layer_order(
    entries: Mapping[str, Json],
    outputs: Sequence[str],
    nodes: Mapping[str, CallNode],
    network: Network,
    masked_values: Container[str],
) -> list[str]:
    """All layers and operations in Keras' order. `nodes` has the call that produces each tensor."""
    parents: dict[CallNode, list[CallNode]] = {}
    for name, entry in entries.items():
        for number, call in enumerate(entry["inbound_nodes"]):
            histories = keras_histories([call["args"], call["kwargs"]])
            parents[name, number] = list(dict.fromkeys((layer, index) for layer, index, _ in histories))
    add_mask_operations(network, masked_values, nodes, parents)
    depths = distances([nodes[name] for name in outputs], parents)
    layers = depths.by_layer.keys() & entries.keys()
    return sorted(layers, key=lambda name: (-depths.by_layer[name], depths.visit_order[name]))


def keras_histories(value: Json) -> Iterator[list[Any]]:
    """Yields layer, call and output of each tensor in a structure, in the order in which Keras visits them."""
    if isinstance(value, dict) and value.get("class_name") == "__keras_tensor__":
        yield value["config"]["keras_history"]
    elif isinstance(value, dict):
        for key in sorted(value):
            yield from keras_histories(value[key])
    elif isinstance(value, list):
        for item in value:
            yield from keras_histories(item)
