"""The results of the calls in one functional model, by layer and call index.

Keras 3 numbers the calls of a nested functional model from 0 inside the enclosing model, but from 1 in the outputs of
the enclosing model. Keras 1 and 2 number them from 1 everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ....frontend.schema.phrases import short_name
from .call_arguments import tensor_refs
from .entries import Results
from .masks import NamedTensor
from .model_config import LayerCall, LayerConfig, ModelConfig, SerializedObject, Slice, TensorRef, leaves
from .report import KerasReport
from .versions import KerasVersion

CallKey = tuple[str, int]
"""A call: the layer's name, and the index among the layer's calls, from 0."""


@dataclass
class CallResults:
    """Resolves tensor references to the tensors that were computed for them."""

    model: ModelConfig
    keras_version: KerasVersion
    report: KerasReport
    by_call: dict[CallKey, Results] = field(default_factory=dict)
    layers_by_name: dict[str, LayerConfig] = field(default_factory=dict)
    models_counted_from_one: set[str] = field(default_factory=set)
    """Nested models whose calls the file numbers from 1."""

    def __post_init__(self) -> None:
        for layer in self.model.layers:
            if layer.name in self.layers_by_name:
                message = f"two layers of the model {short_name(self.model.name)} are called {short_name(layer.name)}"
                self.report.add("keras-wrong-form", layer.path, message)
            self.layers_by_name.setdefault(layer.name, layer)
        if self.keras_version.major < 3:
            self.models_counted_from_one = set(self._find_models_counted_from_one())

    def _find_models_counted_from_one(self) -> list[str]:
        """Before Keras 3, a nested model counts its own definition as its first call."""
        lowest: dict[str, int] = {}
        arguments = [[list(call.args), dict(call.kwargs)] for layer in self.model.layers for call in layer.calls]
        for ref in tensor_refs([*arguments, self.model.outputs]):
            lowest[ref.layer] = min(lowest.get(ref.layer, ref.call_index), ref.call_index)
        nested = (layer.name for layer in self.model.layers if layer.inner_model is not None)
        return [name for name in nested if lowest.get(name, 0) > 0]

    def output_ref(self, ref: TensorRef) -> TensorRef:
        """Converts a reference among the model's outputs to the numbering used inside the model."""
        inner = self.layers_by_name[ref.layer].inner_model if ref.layer in self.layers_by_name else None
        counts_from_one = self.keras_version.major >= 3 and inner is not None and not inner.is_sequential
        return ref._replace(call_index=ref.call_index - 1) if counts_from_one else ref

    def call_key(self, ref: TensorRef) -> CallKey:
        """The call that produces a tensor."""
        return ref.layer, ref.call_index - (ref.layer in self.models_counted_from_one)

    def __contains__(self, ref: TensorRef) -> bool:
        """Whether the call that produces this tensor was evaluated."""
        return self.call_key(ref) in self.by_call

    def of_call(self, ref: TensorRef) -> Results:
        """All results of the call that produces a tensor; None if it was not evaluated."""
        return self.by_call.get(self.call_key(ref))

    def find_call(self, ref: TensorRef) -> LayerCall | None:
        """The call that produces a tensor; None, with a diagnostic, if it does not exist."""
        layer, index = self.layers_by_name.get(ref.layer), self.call_key(ref)[1]
        if layer is not None and 0 <= index < len(layer.calls):
            return layer.calls[index]
        if layer is None:
            reason = "which is not a layer of the model"
        elif layer.class_name == "InputLayer":
            reason = "which is not among the model's inputs"
        else:
            reason = f"but it is called only {len(layer.calls)} times"
        call = f"call {ref.call_index} of {short_name(ref.layer)}"
        message = f"the model {short_name(self.model.name)} refers to {call}, {reason}"
        help = "calls are counted from 0; the file is damaged or was edited: save the model again"
        self.report.add("keras-wrong-form", ref.path, message, help=help)
        return None

    def substitute(self, structure: Any, *, is_output: bool = False) -> Any:
        """Replaces the tensor references in a structure by tensors. `is_output`: it is the structure of the outputs."""
        if isinstance(structure, TensorRef):
            return self.tensor(self.output_ref(structure) if is_output else structure)
        if isinstance(structure, (Slice, SerializedObject)) or not isinstance(structure, (list, tuple, dict)):
            return structure
        if isinstance(structure, dict):
            return {key: self.substitute(item, is_output=is_output) for key, item in structure.items()}
        return [self.substitute(item, is_output=is_output) for item in structure]

    def tensor(self, ref: TensorRef) -> NamedTensor | None:
        """The tensor of a reference whose call is evaluated; a missing output is reported."""
        results = self.of_call(ref)
        if results is None:
            return None
        outputs = list(leaves(results))
        if 0 <= ref.output_index < len(outputs):
            tensor: NamedTensor | None = outputs[ref.output_index]
            return tensor
        message = (
            f"{short_name(ref.layer)} has no output {ref.output_index}: it has {len(outputs)} outputs, counted from 0"
        )
        self.report.add("keras-wrong-form", ref.path, message)
        return None
