"""A network as the JSON of a Keras model: a Sequential where it is a stack, a Functional otherwise."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from ....core.components import Json
from ....core.diagnostics import Report
from ....core.types import TensorType
from ....frontend.network import Call, Network
from ....layers import Layer
from .calls import CallWriter, KerasTensor, keras_tensor
from .configs import FLOAT32_POLICY, NotExportable, layer_config, serialized_object
from .layer_order import keras_layer_order
from .operations import is_operation, operation_layer_config

NOT_EXPORTABLE_HELP = (
    "Keras has no such layer or argument: compile the spec to ONNX, or write this part in other layers"
)


@dataclass(frozen=True)
class ExportedModel:
    """A model as Keras writes it, and its layers in the order in which Keras numbers them."""

    config: dict[str, Json]
    layers: tuple[tuple[str, Layer], ...]


def export_model(
    network: Network,
    types: Mapping[str, TensorType],
    masked_values: Container[str],
    layers: Mapping[str, Layer],
    report: Report,
) -> ExportedModel:
    """The model of a sound network; `layers` by name have what they learned among their arguments, and `masked_values` are the
    values with masks beside them as it is made.

    Raises CompileError with all that Keras cannot say.
    """
    made = _ModelWriter(network, types, layers, report)
    made.add_inputs()
    for call in network.calls:
        made.add_call(call)
    report.raise_errors()
    if made.is_sequential():
        return ExportedModel(made.sequential_config(), tuple(made.layers.items()))
    nodes = {
        name: (value["config"]["keras_history"][0], value["config"]["keras_history"][1])
        for name, value in made.tensors.items()
    }
    order = keras_layer_order(made.entries, network.outputs, nodes, network, masked_values)
    return ExportedModel(
        made.functional_config(), tuple((name, made.layers[name]) for name in order if name in made.layers)
    )


@dataclass
class _ModelWriter:
    """The entries of a functional model, made call by call."""

    network: Network
    types: Mapping[str, TensorType]
    network_layers: Mapping[str, Layer]
    report: Report
    entries: dict[str, dict[str, Json]] = field(default_factory=dict)
    layers: dict[str, Layer] = field(default_factory=dict)
    tensors: dict[str, KerasTensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.calls = CallWriter(self.unique_name)

    def unique_name(self, name: str) -> str:
        """The name, or with a number the first of it that nothing has."""
        taken = {*self.entries, *(call.owner for call in self.network.calls)}
        taken.update(entry["name"] for entry in self.calls.operations)
        return next(n for n in (f"{name}_{i}" if i else name for i in count()) if n not in taken)

    def add_inputs(self) -> None:
        for name, type in self.network.inputs.items():
            value = keras_tensor(type.shape, type.dtype, name, 0, 0)
            about = {"batch_shape": value["config"]["shape"], "dtype": type.dtype, "sparse": False, "ragged": False}
            made = serialized_object("keras.layers", "InputLayer", {**about, "name": name, "optional": False})
            self.entries[name] = {**made, "name": name, "inbound_nodes": []}
            self.tensors[name] = value

    def add_call(self, call: Call) -> None:
        """A call, its layer before the first one of it, and operations that it needs."""
        layer, owner = self.network_layers[call.owner], call.owner
        try:
            if owner not in self.entries:
                if not is_operation(layer):
                    self.layers[owner] = layer
                made = operation_layer_config(layer, owner) if is_operation(layer) else layer_config(layer, owner)
                made |= {"name": owner, "inbound_nodes": []}
            else:
                made = self.entries.pop(owner)
            node = self.calls.write_call(call.name, layer, [self.tensors[source] for source in call.sources])
            self.entries |= {entry["name"]: entry for entry in self.calls.operations}
            self.calls.operations.clear()
        except NotExportable as error:
            self.report.add("not-exportable", call.path, f"{owner!r}: {error}", help=NOT_EXPORTABLE_HELP)
            made, node = {"inbound_nodes": []}, {}
        number = len(made["inbound_nodes"])
        made["inbound_nodes"].append(node)
        self.entries[owner] = made
        for index, result in enumerate(call.results):
            type = self.types[result]
            self.tensors[result] = keras_tensor(type.shape, type.dtype, owner, number, index)

    def output_histories(self) -> list[list[Any]]:
        """Where the outputs are: layer, call, result."""
        return [self.tensors[name]["config"]["keras_history"] for name in self.network.outputs]

    # -- the two forms -----------------------------------------------------------------------------------------------

    def is_sequential(self) -> bool:
        """Whether every layer takes the only result of the one before it, and nothing else."""
        before, *_ = self.network.inputs
        for call in self.network.calls:
            alone = call.sources == (before,) and call.owner == call.name and len(call.results) == 1
            alone = alone and call.name in self.layers
            if not alone or self.entries[call.name]["inbound_nodes"] != [
                {"args": [self.tensors[before]], "kwargs": {}}
            ]:
                return False
            before = call.name
        return len(self.network.inputs) == 1 and self.network.outputs == (before,)

    def sequential_config(self) -> dict[str, Json]:
        plain = [{k: v for k, v in e.items() if k not in ("name", "inbound_nodes")} for e in self.entries.values()]
        shape = plain[0]["config"]["batch_shape"]
        about = {"name": self.network.name, "trainable": True, "dtype": FLOAT32_POLICY}
        config = {**about, "layers": plain, "build_input_shape": shape}
        return {**serialized_object("keras", "Sequential", config), "build_config": {"input_shape": shape}}

    def functional_config(self) -> dict[str, Json]:
        inputs = [[name, 0, 0] for name in self.network.inputs]
        config = {
            "name": self.network.name,
            "trainable": True,
            "layers": list(self.entries.values()),
            "input_layers": _unwrap_single(inputs),
            "output_layers": _unwrap_single(self.output_histories()),
        }
        made = serialized_object("keras.src.models.functional", "Functional", config)
        return {**made, "registered_name": "Functional"}


def _unwrap_single(histories: Sequence[list[Any]]) -> list[Any]:
    """A single one by itself, several as a list."""
    return histories[0] if len(histories) == 1 else list(histories)
