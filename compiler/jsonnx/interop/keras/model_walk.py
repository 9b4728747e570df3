"""The layers of a model and its nested models, called: each call as a step, a layer called again as `use`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ...core.components import Json
from ...core.diagnostics import JsonPath
from ...frontend.schema.phrases import quoted
from .call_arguments import RECURRENT, WITH_MASK, Bound, inputs_of
from .call_context import Results
from .entries import Flat, Step, Value
from .functional import Network
from .layer_entries import Entry, Layers
from .layer_names import Names
from .model_config import Model, Written
from .operations import operation
from .report import KerasReport


@dataclass
class Graph:
    """Makes the steps of one document."""

    layers: Layers
    names: Names
    report: KerasReport
    flat: Flat
    entries: dict[JsonPath, Entry | None] = field(default_factory=dict)
    options: dict[JsonPath, Mapping[str, Json]] = field(default_factory=dict)
    """By layer that is among the steps: what its first call said."""

    def model(self, model: Model, inputs: list[Value | None]) -> Results:
        """The outputs of a model, in its own structure, for the values of its inputs."""
        if not model.sequential:
            return Network(self, model, inputs).outputs()
        value: Results = inputs[0] if len(inputs) == 1 else inputs or None
        for layer in model.layers:
            if layer.branches and layer is model.layers[0]:
                value = self.joined(layer, inputs)
            elif layer.inner is not None:
                value = self.model(layer.inner, [value])
            elif layer.kind != "InputLayer":
                value = self.called(layer, Bound({"inputs": value}, ()), {}, layer.path)
        return value

    def joined(self, layer: Written, inputs: list[Value | None]) -> Results:
        """What Keras 1's Merge makes of its branches, each of which takes its part of the inputs."""
        rest, values = list(inputs), []
        wanted = sum(branch.arity for branch in layer.branches)
        if wanted != len(rest) and None not in rest:
            message = f"{quoted(layer.name)} joins models with {wanted} inputs, and is given {len(rest)}"
            self.report.add("keras-wrong-form", layer.path, message)
            return None
        for branch in layer.branches:
            values.append(self.model(branch, rest[: branch.arity]))
            del rest[: branch.arity]
        return self.called(layer, Bound({"inputs": values}, ()), {}, layer.path)

    def entry(self, layer: Written) -> Entry | None:
        """The entry of a layer, made once."""
        if layer.path not in self.entries:
            self.entries[layer.path] = self.layers.entry(layer)
        return self.entries[layer.path]

    def called(self, layer: Written, call: Bound, masks: Mapping[str, Any], path: JsonPath) -> Results:
        """The results of a layer for arguments whose tensors are values, with masks that are inputs of their own."""
        entry = self.entry(layer)
        if not self.can_be_called(layer, call, masks, path) or entry is None:
            return None
        inputs, options = inputs_of(layer.kind, call.given, masks)
        if not inputs or not all(isinstance(item, Value) for item in inputs):
            return None
        first = layer.path not in self.options
        if options:
            checked = self.layers.checked(entry, path, options)
            if checked is None:
                return None
            entry = checked
        if first:
            self.options[layer.path] = options
            spec, name = entry.spec, self.names.of(layer.path)
        elif self.options[layer.path] == options:
            spec, name = {"use": self.names.of(layer.path)}, self.names.again(layer.path)
        else:
            message = f"the layer {quoted(layer.name)} is called in two ways: with {options or 'no further arguments'}"
            help = "make two layers of it, each called in one way"
            self.report.add("keras-call", path, f"{message}, and elsewhere otherwise", help=help)
            return None
        return self.flat.add(Step(name, spec, tuple(value.name for value in inputs), entry, path), inputs)

    def can_be_called(self, layer: Written, call: Bound, masks: Mapping[str, Any], path: JsonPath) -> bool:
        """Whether our layer takes such arguments; reported where not."""
        for name in call.unknown:
            message = f"the layer {quoted(layer.name)} is called with {quoted(name)}, which cannot be said in a spec"
            self.report.add("keras-call", path, message, help="call it without that, and save the model anew")
        alone = "mask" in masks and not self.takes_mask(layer)
        if alone:
            message = f"the layer {quoted(layer.name)} is called with a mask other than that beside its input"
            help = "let masks come from Embedding with mask_zero or from Masking, whose masks go along with the values"
            self.report.add("keras-call", path, message, help=help)
        return not call.unknown and not alone and self.check_mode(layer, call.given, path)

    def takes_mask(self, layer: Written) -> bool:
        """Whether our layer has a mask among its inputs that counts as in the file's Keras."""
        return layer.kind in WITH_MASK and (layer.kind in RECURRENT or self.layers.dialect.generation >= 3)

    def check_mode(self, layer: Written, given: Mapping[str, Any], path: JsonPath) -> bool:
        """Whether a layer or a model is called as ours are: for training in training alone.

        Keras 3 writes `training` down too, and goes by what the whole model does.
        """
        if self.layers.dialect.generation >= 3 or not isinstance(given.get("training"), bool):
            return True
        if not given["training"]:
            message = f"{quoted(layer.name)} is called with training=False; here it trains along unless it is frozen"
            self.layers.notices.setdefault(message, path)
            return True
        message = f"{quoted(layer.name)} is called with training=True, so that it behaves so in inference too"
        self.report.add("keras-call", path, message, help="call it without that, and save the model anew")
        return False

    def operation(self, layer: Written, args: tuple[Any, ...], kwargs: Mapping[str, Any], path: JsonPath) -> Results:
        """The results of an operation that is no layer."""
        return operation(self, layer, args, kwargs, path)
