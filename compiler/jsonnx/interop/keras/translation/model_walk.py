"""Emits the layers of a model and its nested models call by call; further calls of a layer become `use` entries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ....core.components import Json
from ....core.diagnostics import JsonPath
from ....frontend.schema.phrases import short_name
from .call_arguments import MASK_INPUT_LAYERS, RECURRENT_LAYERS, CallArguments, layer_inputs
from .entries import FlatModel, Results, SpecEntry
from .functional import call_functional_model
from .layer_entries import LayerEntry, LayerTranslator, UncheckedEntry
from .layer_names import LayerNames
from .masks import NamedTensor
from .model_config import LayerConfig, ModelConfig
from .operations import operation_entry
from .report import KerasReport
from .versions import KerasVersion


@dataclass
class ModelWalk:
    """Emits the entries of one document."""

    translator: LayerTranslator
    names: LayerNames
    report: KerasReport
    flat_model: FlatModel
    layer_entries: dict[JsonPath, LayerEntry | None] = field(default_factory=dict)
    first_call_options: dict[JsonPath, Mapping[str, Json]] = field(default_factory=dict)
    """The options of each emitted layer's first call."""

    @property
    def keras_version(self) -> KerasVersion:
        return self.translator.keras_version

    @property
    def notices(self) -> dict[str, JsonPath]:
        return self.translator.notices

    # -- models ------------------------------------------------------------------------------------------------------

    def call_model(self, model: ModelConfig, inputs: list[NamedTensor | None]) -> Results:
        """Emits a model and returns its outputs in the model's own structure."""
        if not model.is_sequential:
            return call_functional_model(self, model, inputs)
        tensor: Results = inputs[0] if len(inputs) == 1 else inputs or None
        for layer in model.layers:
            if layer.branches and layer is model.layers[0]:
                tensor = self.call_merge(layer, inputs)
            elif layer.inner_model is not None:
                tensor = self.call_model(layer.inner_model, [tensor])
            elif layer.class_name != "InputLayer":
                tensor = self.call_layer(layer, CallArguments({"inputs": tensor}, ()), {}, layer.path)
        return tensor

    def call_merge(self, layer: LayerConfig, inputs: list[NamedTensor | None]) -> Results:
        """Emits Keras 1's Merge with its branches. Each branch consumes some of the inputs."""
        input_count = sum(branch.input_count for branch in layer.branches)
        if input_count != len(inputs) and None not in inputs:
            message = (
                f"{short_name(layer.name)} merges models with {input_count} inputs in total, but has {len(inputs)}"
            )
            self.report.add("keras-wrong-form", layer.path, message)
            return None
        remaining, outputs = list(inputs), []
        for branch in layer.branches:
            outputs.append(self.call_model(branch, remaining[: branch.input_count]))
            del remaining[: branch.input_count]
        return self.call_layer(layer, CallArguments({"inputs": outputs}, ()), {}, layer.path)

    # -- layers ------------------------------------------------------------------------------------------------------

    def layer_entry(self, layer: LayerConfig) -> LayerEntry | None:
        """The entry of a layer, translated once."""
        if layer.path not in self.layer_entries:
            self.layer_entries[layer.path] = self.translator.translate(layer)
        return self.layer_entries[layer.path]

    def call_layer(self, layer: LayerConfig, call: CallArguments, masks: Mapping[str, Any], path: JsonPath) -> Results:
        """Emits a layer's call and returns its results. `masks` are passed as inputs."""
        entry = self.layer_entry(layer)
        if not self.check_call(layer, call, masks, path) or entry is None:
            return None
        inputs, options = layer_inputs(layer.class_name, call.by_name, masks)
        if not inputs or not all(isinstance(item, NamedTensor) for item in inputs):
            return None
        checked = self.translator.validate(entry, path, options) if options else entry
        if checked is None:
            return None
        is_first = layer.path not in self.first_call_options
        first_options = self.first_call_options.setdefault(layer.path, options)
        if is_first:
            spec, name = checked.spec, self.names.name_of(layer.path)
        elif first_options == options:
            spec, name = {"use": self.names.name_of(layer.path)}, self.names.next_call_name(layer.path)
        else:
            arguments = f"the arguments {options}" if options else "no further arguments"
            message = f"the layer {short_name(layer.name)} is called with {arguments}, and elsewhere with others"
            help = "use two layers, and call each with the same arguments"
            self.report.add("keras-call", path, message, help=help)
            return None
        sources = tuple(tensor.name for tensor in inputs)
        return self.flat_model.add_entry(SpecEntry(name, spec, sources, checked, path), inputs)

    def check_call(self, layer: LayerConfig, call: CallArguments, masks: Mapping[str, Any], path: JsonPath) -> bool:
        """Reports arguments that our layer does not take; returns whether there are none."""
        for name in call.unknown_names:
            message = (
                f"the layer {short_name(layer.name)} is called with {short_name(name)}, which a spec cannot express"
            )
            self.report.add("keras-call", path, message, help="call it without this argument, and save the model again")
        mask_is_unsupported = "mask" in masks and not self.takes_mask(layer)
        if mask_is_unsupported:
            message = f"the layer {short_name(layer.name)} is called with another mask than its input has"
            help = "create masks by Embedding with mask_zero or by Masking: these are attached to the tensors"
            self.report.add("keras-call", path, message, help=help)
        is_supported = not call.unknown_names and not mask_is_unsupported
        return is_supported and self.check_training_argument(layer, call.by_name, path)

    def takes_mask(self, layer: LayerConfig) -> bool:
        """Whether our layer takes a mask as input, with its meaning in the file's version of Keras."""
        return layer.class_name in MASK_INPUT_LAYERS and (
            layer.class_name in RECURRENT_LAYERS or self.keras_version.major >= 3
        )

    def check_training_argument(self, layer: LayerConfig, arguments: Mapping[str, Any], path: JsonPath) -> bool:
        """Reports `training=True` and warns of `training=False`; returns whether the call can be translated.

        Keras 3 records the argument as well, but ignores it in favour of the mode of the whole model.
        """
        if self.keras_version.major >= 3 or not isinstance(arguments.get("training"), bool):
            return True
        if not arguments["training"]:
            message = f"{short_name(layer.name)} is called with training=False; here it is trained unless it is frozen"
            self.notices.setdefault(message, path)
            return True
        message = (
            f"{short_name(layer.name)} is called with training=True: it would be in training mode in inference, too"
        )
        self.report.add("keras-call", path, message, help="call it without this argument, and save the model again")
        return False

    # -- operations --------------------------------------------------------------------------------------------------

    def call_operation(
        self, layer: LayerConfig, args: tuple[Any, ...], kwargs: Mapping[str, Any], path: JsonPath
    ) -> Results:
        """Emits an operation that is not a layer and returns its results."""
        operation = operation_entry(layer, args, kwargs, self.report)
        if operation is None:
            return None
        entry = self.translator.validate(UncheckedEntry(operation.spec), path)
        if entry is None:
            return None
        is_first = layer.path not in self.first_call_options
        name = self.names.name_of(layer.path) if is_first else self.names.next_call_name(layer.path)
        self.first_call_options[layer.path] = {}
        sources = tuple(tensor.name for tensor in operation.inputs)
        return self.flat_model.add_entry(SpecEntry(name, entry.spec, sources, entry, layer.path), operation.inputs)
