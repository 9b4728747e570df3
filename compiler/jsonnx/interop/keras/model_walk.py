"""The layers of a model and its nested models, called: each call as a step, a layer called again as `use`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ...core.components import Json
from ...core.diagnostics import JsonPath
from ...frontend.schema.phrases import short_name
from .call_arguments import MASK_INPUT_LAYERS, RECURRENT_LAYERS, CallArguments, layer_inputs
from .call_context import Results
from .entries import FlatModel, NamedTensor, SpecEntry
from .functional import FunctionalModel
from .layer_entries import LayerEntry, LayerTranslator
from .layer_names import LayerNames
from .model_config import LayerConfig, ModelConfig
from .operations import add_operation
from .report import KerasReport


@dataclass
class ModelWalk:
    """Makes the steps of one document."""

    translator: LayerTranslator
    names: LayerNames
    report: KerasReport
    flat_model: FlatModel
    layer_entries: dict[JsonPath, LayerEntry | None] = field(default_factory=dict)
    first_call_options: dict[JsonPath, Mapping[str, Json]] = field(default_factory=dict)
    """By layer that is among the steps: what its first call said."""

    def call_model(self, model: ModelConfig, inputs: list[NamedTensor | None]) -> Results:
        """The outputs of a model, in its own structure, for the values of its inputs."""
        if not model.is_sequential:
            return FunctionalModel(self, model, inputs).evaluate_outputs()
        value: Results = inputs[0] if len(inputs) == 1 else inputs or None
        for layer in model.layers:
            if layer.branches and layer is model.layers[0]:
                value = self.call_merge(layer, inputs)
            elif layer.inner_model is not None:
                value = self.call_model(layer.inner_model, [value])
            elif layer.class_name != "InputLayer":
                value = self.call_layer(layer, CallArguments({"inputs": value}, ()), {}, layer.path)
        return value

    def call_merge(self, layer: LayerConfig, inputs: list[NamedTensor | None]) -> Results:
        """What Keras 1's Merge makes of its branches, each of which takes its part of the inputs."""
        rest, values = list(inputs), []
        wanted = sum(branch.input_count for branch in layer.branches)
        if wanted != len(rest) and None not in rest:
            message = f"{short_name(layer.name)} joins models with {wanted} inputs, and is given {len(rest)}"
            self.report.add("keras-wrong-form", layer.path, message)
            return None
        for branch in layer.branches:
            values.append(self.call_model(branch, rest[: branch.input_count]))
            del rest[: branch.input_count]
        return self.call_layer(layer, CallArguments({"inputs": values}, ()), {}, layer.path)

    def layer_entry(self, layer: LayerConfig) -> LayerEntry | None:
        """The entry of a layer, made once."""
        if layer.path not in self.layer_entries:
            self.layer_entries[layer.path] = self.translator.translate(layer)
        return self.layer_entries[layer.path]

    def call_layer(self, layer: LayerConfig, call: CallArguments, masks: Mapping[str, Any], path: JsonPath) -> Results:
        """The results of a layer for arguments whose tensors are values, with masks that are inputs of their own."""
        entry = self.layer_entry(layer)
        if not self.check_call(layer, call, masks, path) or entry is None:
            return None
        inputs, options = layer_inputs(layer.class_name, call.by_name, masks)
        if not inputs or not all(isinstance(item, NamedTensor) for item in inputs):
            return None
        first = layer.path not in self.first_call_options
        if options:
            checked = self.translator.validate(entry, path, options)
            if checked is None:
                return None
            entry = checked
        if first:
            self.first_call_options[layer.path] = options
            spec, name = entry.spec, self.names.name_of(layer.path)
        elif self.first_call_options[layer.path] == options:
            spec, name = {"use": self.names.name_of(layer.path)}, self.names.next_call_name(layer.path)
        else:
            message = (
                f"the layer {short_name(layer.name)} is called in two ways: with {options or 'no further arguments'}"
            )
            help = "make two layers of it, each called in one way"
            self.report.add("keras-call", path, f"{message}, and elsewhere otherwise", help=help)
            return None
        return self.flat_model.add_entry(
            SpecEntry(name, spec, tuple(value.name for value in inputs), entry, path), inputs
        )

    def check_call(self, layer: LayerConfig, call: CallArguments, masks: Mapping[str, Any], path: JsonPath) -> bool:
        """Whether our layer takes such arguments; reported where not."""
        for name in call.unknown_names:
            message = (
                f"the layer {short_name(layer.name)} is called with {short_name(name)}, which cannot be said in a spec"
            )
            self.report.add("keras-call", path, message, help="call it without that, and save the model anew")
        alone = "mask" in masks and not self.takes_mask(layer)
        if alone:
            message = f"the layer {short_name(layer.name)} is called with a mask other than that beside its input"
            help = "let masks come from Embedding with mask_zero or from Masking, whose masks go along with the values"
            self.report.add("keras-call", path, message, help=help)
        return not call.unknown_names and not alone and self.check_training_argument(layer, call.by_name, path)

    def takes_mask(self, layer: LayerConfig) -> bool:
        """Whether our layer has a mask among its inputs that counts as in the file's Keras."""
        return layer.class_name in MASK_INPUT_LAYERS and (
            layer.class_name in RECURRENT_LAYERS or self.translator.keras_version.major >= 3
        )

    def check_training_argument(self, layer: LayerConfig, arguments: Mapping[str, Any], path: JsonPath) -> bool:
        """Whether a layer or a model is called as ours are: for training in training alone.

        Keras 3 writes `training` down too, and goes by what the whole model does.
        """
        if self.translator.keras_version.major >= 3 or not isinstance(arguments.get("training"), bool):
            return True
        if not arguments["training"]:
            message = (
                f"{short_name(layer.name)} is called with training=False; here it trains along unless it is frozen"
            )
            self.translator.notices.setdefault(message, path)
            return True
        message = f"{short_name(layer.name)} is called with training=True, so that it behaves so in inference too"
        self.report.add("keras-call", path, message, help="call it without that, and save the model anew")
        return False

    def call_operation(
        self, layer: LayerConfig, args: tuple[Any, ...], kwargs: Mapping[str, Any], path: JsonPath
    ) -> Results:
        """The results of an operation that is no layer."""
        return add_operation(self, layer, args, kwargs, path)
