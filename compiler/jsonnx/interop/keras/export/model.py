"""Writes a network as the JSON of a Keras model: Sequential if it is a stack of layers, or else Functional."""

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
    "Keras has no such layer or argument: compile the spec to ONNX, or express this part by other layers"
)


@dataclass(frozen=True)
class ExportedModel:
    """The JSON of a model, and its layers in the order in which Keras numbers them."""

    config: dict[str, Json]
    layers: tuple[tuple[str, Layer], ...]


def export_model(
    network: Network,
    types: Mapping[str, TensorType],
    masked_values: Container[str],
    layers: Mapping[str, Layer],
    report: Report,
) -> ExportedModel:
    """Exports a valid network. Raises CompileError with all parts that Keras cannot express.

    `layers` by name have adapted state, such as vocabularies, among their arguments; `masked_values` are the tensors
    with attached masks.
    """
    writer = _ModelWriter(network, types, layers, report)
    writer.add_inputs()
    for call in network.calls:
        writer.add_call(call)
    report.raise_errors()
    if writer.is_sequential():
        return ExportedModel(writer.sequential_config(), tuple(writer.layers.items()))
    histories = {name: tensor["config"]["keras_history"] for name, tensor in writer.tensors.items()}
    nodes = {name: (layer, call_index) for name, (layer, call_index, _) in histories.items()}
    order = keras_layer_order(writer.entries, network.outputs, nodes, network, masked_values)
    ordered_layers = tuple((name, writer.layers[name]) for name in order if name in writer.layers)
    return ExportedModel(writer.functional_config(), ordered_layers)


@dataclass
class _ModelWriter:
    """Builds the entries of a functional model call by call."""

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
        """The name, with a number if it is in use."""
        used_names = {*self.entries, *(call.owner for call in self.network.calls)}
        used_names.update(entry["name"] for entry in self.calls.operations)
        candidates = (f"{name}_{number}" if number else name for number in count())
        return next(candidate for candidate in candidates if candidate not in used_names)

    def add_inputs(self) -> None:
        for name, type in self.network.inputs.items():
            tensor = keras_tensor(type.shape, type.dtype, name, 0, 0)
            config = {"batch_shape": tensor["config"]["shape"], "dtype": type.dtype, "sparse": False, "ragged": False}
            layer = serialized_object("keras.layers", "InputLayer", {**config, "name": name, "optional": False})
            self.entries[name] = {**layer, "name": name, "inbound_nodes": []}
            self.tensors[name] = tensor

    def add_call(self, call: Call) -> None:
        """Adds a call, its layer if this is the first call, and additional operations.

        The entry of a layer is moved behind its latest call.
        """
        layer, owner = self.network_layers[call.owner], call.owner
        try:
            entry = self.entries.pop(owner) if owner in self.entries else self.new_entry(layer, owner)
            node = self.calls.write_call(call.name, layer, [self.tensors[source] for source in call.sources])
            self.entries |= {operation["name"]: operation for operation in self.calls.operations}
            self.calls.operations.clear()
        except NotExportable as error:
            self.report.add("not-exportable", call.path, f"{owner!r}: {error}", help=NOT_EXPORTABLE_HELP)
            entry, node = {"inbound_nodes": []}, {}
        call_index = len(entry["inbound_nodes"])
        entry["inbound_nodes"].append(node)
        self.entries[owner] = entry
        for output_index, result in enumerate(call.results):
            type = self.types[result]
            self.tensors[result] = keras_tensor(type.shape, type.dtype, owner, call_index, output_index)

    def new_entry(self, layer: Layer, name: str) -> dict[str, Json]:
        """The entry of a layer or an operation, without calls. Raises NotExportable."""
        if is_operation(layer):
            config = operation_layer_config(layer, name)
        else:
            self.layers[name] = layer
            config = layer_config(layer, name)
        return {**config, "name": name, "inbound_nodes": []}

    def output_histories(self) -> list[list[Any]]:
        """Layer, call and output index of each model output."""
        return [self.tensors[name]["config"]["keras_history"] for name in self.network.outputs]

    # -- model configurations ----------------------------------------------------------------------------------------

    def is_sequential(self) -> bool:
        """Whether every layer is called once, on the only result of the preceding layer and nothing else."""
        previous, *_ = self.network.inputs
        for call in self.network.calls:
            is_chained = call.sources == (previous,) and call.owner == call.name and len(call.results) == 1
            if not is_chained or call.name not in self.layers:
                return False
            if self.entries[call.name]["inbound_nodes"] != [{"args": [self.tensors[previous]], "kwargs": {}}]:
                return False
            previous = call.name
        return len(self.network.inputs) == 1 and self.network.outputs == (previous,)

    def sequential_config(self) -> dict[str, Json]:
        excluded = ("name", "inbound_nodes")
        layers = [{k: v for k, v in entry.items() if k not in excluded} for entry in self.entries.values()]
        shape = layers[0]["config"]["batch_shape"]
        options = {"name": self.network.name, "trainable": True, "dtype": FLOAT32_POLICY}
        config = {**options, "layers": layers, "build_input_shape": shape}
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
        model = serialized_object("keras.src.models.functional", "Functional", config)
        return {**model, "registered_name": "Functional"}


def _unwrap_single(histories: Sequence[list[Any]]) -> list[Any]:
    """A single item without its list, as Keras writes it."""
    return histories[0] if len(histories) == 1 else list(histories)
