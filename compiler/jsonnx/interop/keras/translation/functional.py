"""Translates a functional model: references to tensors by number become names.

The emitted order is topological, each call directly before its first use if possible, so that a branch stays together.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from ....core.diagnostics import JsonPath
from ....frontend.schema.phrases import short_name
from .call_arguments import MASK_INPUT_LAYERS, CallArguments, bind_arguments, mask_arguments, tensor_refs
from .call_results import CallResults
from .entries import Results
from .explicit_masks import ExplicitMasks
from .masks import NamedTensor
from .model_config import LayerCall, LayerConfig, ModelConfig, TensorRef, leaves
from .operations import is_operation
from .report import KerasReport
from .versions import KerasVersion

NESTED_MASK_WARNING = (
    "a mask reaches MultiHeadAttention inside a nested model: here the recurrent, normalization and pooling layers "
    "after it use that mask; in Keras they do not, because the nested model was built without a mask"
)


class LayerCaller(Protocol):
    """Emits the calls of one document (`model_walk.ModelWalk`)."""

    @property
    def keras_version(self) -> KerasVersion: ...

    @property
    def report(self) -> KerasReport: ...

    @property
    def notices(self) -> dict[str, JsonPath]: ...

    def call_model(self, model: ModelConfig, inputs: list[NamedTensor | None]) -> Results: ...

    def call_layer(
        self, layer: LayerConfig, call: CallArguments, masks: Mapping[str, Any], path: JsonPath
    ) -> Results: ...

    def call_operation(
        self, layer: LayerConfig, args: tuple[Any, ...], kwargs: Mapping[str, Any], path: JsonPath
    ) -> Results: ...

    def check_training_argument(self, layer: LayerConfig, arguments: Mapping[str, Any], path: JsonPath) -> bool: ...


def call_functional_model(caller: LayerCaller, model: ModelConfig, inputs: list[NamedTensor | None]) -> Results:
    """Emits the calls of a functional model and returns its outputs in the model's own structure.

    None, with a diagnostic, if the inputs or outputs do not fit.
    """
    results = CallResults(model, caller.keras_version, caller.report)
    input_refs, output_refs = tensor_refs(model.inputs), tensor_refs(model.outputs)
    if not input_refs or not output_refs:
        missing = "outputs" if input_refs else "inputs"
        message = f"the model {short_name(model.name)} does not state which tensors are its {missing}"
        caller.report.add("keras-wrong-form", model.path, message)
        return None
    if len(input_refs) != len(inputs):
        if None not in inputs:
            counts = f"has {len(input_refs)} inputs, but is called with {len(inputs)}"
            caller.report.add("keras-wrong-form", model.path, f"the model {short_name(model.name)} {counts}")
        return None
    results.by_call |= {(ref.layer, ref.call_index): tensor for ref, tensor in zip(input_refs, inputs, strict=True)}
    evaluation = _Evaluation(caller, results)
    for ref in [results.output_ref(ref) for ref in output_refs]:
        evaluation.evaluate(ref)
    return results.substitute(model.outputs, is_output=True)


class _Evaluation:
    """Emits calls in topological order."""

    def __init__(self, caller: LayerCaller, results: CallResults) -> None:
        self.caller, self.results = caller, results
        self.masks = ExplicitMasks(results)

    def evaluate(self, target: TensorRef) -> None:
        """Emits the call that produces a tensor and all calls before it. Iterative, since models may be very deep."""
        results, stack, waiting = self.results, [target], set()
        while stack:
            ref = stack[-1]
            key = results.call_key(ref)
            if key in results.by_call:
                stack.pop()
                continue
            call = results.find_call(ref)
            if call is None:
                results.by_call[key] = None
                continue
            waiting.add(key)
            layer = results.layers_by_name[ref.layer]
            missing = self._unevaluated_inputs(layer, call)
            repeated = next((other for other in missing if results.call_key(other) in waiting), None)
            if repeated is not None:
                self._report_cycle(stack, repeated)
                results.by_call[results.call_key(repeated)] = None
            elif missing:
                stack += reversed(missing)
            else:
                results.by_call[key] = self._evaluate_call(layer, call)

    def _unevaluated_inputs(self, layer: LayerConfig, call: LayerCall) -> list[TensorRef]:
        """The tensors that must be evaluated before a call: first its inputs, then its explicit masks."""
        missing = [ref for ref in _input_refs(layer, call) if ref not in self.results]
        if missing or layer.inner_model is not None or is_operation(layer):
            return missing
        masks = self.masks.find(layer, bind_arguments(layer.class_name, call))
        passed = [mask for name, mask in masks.items() if name != "mask" or layer.class_name in MASK_INPUT_LAYERS]
        return [ref for ref in tensor_refs(passed) if ref not in self.results]

    def _report_cycle(self, stack: list[TensorRef], repeated: TensorRef) -> None:
        keys = [self.results.call_key(ref) for ref in stack]
        start = max(index for index, key in enumerate(keys) if key == self.results.call_key(repeated))
        names = [*dict.fromkeys(ref.layer for ref in stack[start:]), repeated.layer]
        shown = " -> ".join(names if len(names) < 9 else [*names[:4], "...", *names[-4:]])
        message = f"layers of the model {short_name(self.results.model.name)} depend on each other: {shown}"
        help = "Keras models have no cycles: the file was edited"
        self.caller.report.add("cycle", repeated.path, message, help=help)

    def _evaluate_call(self, layer: LayerConfig, call: LayerCall) -> Results:
        """Emits a call whose inputs are all evaluated."""
        if layer.inner_model is not None:
            return self._call_nested_model(layer, layer.inner_model, call)
        substitute = self.results.substitute
        if is_operation(layer):
            args = tuple(map(substitute, call.args))
            kwargs = {name: substitute(value) for name, value in call.kwargs.items()}
            return self.caller.call_operation(layer, args, kwargs, call.path)
        bound = bind_arguments(layer.class_name, call)
        tensors = {name: substitute(value) for name, value in _without_masks(layer, bound.by_name).items()}
        masks = {name: self.masks.tensor(mask) for name, mask in self.masks.find(layer, bound).items()}
        return self.caller.call_layer(layer, CallArguments(tensors, bound.unknown_names), masks, call.path)

    def _call_nested_model(self, layer: LayerConfig, model: ModelConfig, call: LayerCall) -> Results:
        self.caller.check_training_argument(layer, call.kwargs, call.path)
        argument = self.results.substitute(call.args[0] if call.args else next(iter(call.kwargs.values()), None))
        if isinstance(argument, dict) and isinstance(model.inputs, dict):
            inputs = [argument.get(name) for name in model.inputs]
        else:
            inputs = list(leaves(argument))
        if not all(tensor is None or isinstance(tensor, NamedTensor) for tensor in inputs):
            message = f"the model {short_name(layer.name)} is called with an argument that is not a tensor"
            self.caller.report.add("keras-call", call.path, message, help="call it with tensors only")
            return None
        has_mask = any(tensor is not None and tensor.mask is not None for tensor in inputs)
        if has_mask and contains_attention(model):
            self.caller.notices.setdefault(NESTED_MASK_WARNING, layer.path)
        return self.caller.call_model(model, inputs)


def contains_attention(model: ModelConfig) -> bool:
    """Whether a model contains MultiHeadAttention, at any depth."""
    return any(
        contains_attention(layer.inner_model)
        if layer.inner_model is not None
        else layer.class_name == "MultiHeadAttention"
        for layer in model.layers
    )


def _input_refs(layer: LayerConfig, call: LayerCall) -> list[TensorRef]:
    """The tensors that a call takes, without masks."""
    if layer.inner_model is not None:
        return tensor_refs([list(call.args), {name: value for name, value in call.kwargs.items() if name != "mask"}])
    if is_operation(layer):
        return tensor_refs([list(call.args), dict(call.kwargs)])
    return tensor_refs(list(_without_masks(layer, bind_arguments(layer.class_name, call).by_name).values()))


def _without_masks(layer: LayerConfig, arguments: Mapping[str, Any]) -> dict[str, Any]:
    masks = mask_arguments(layer.class_name, arguments)
    return {name: value for name, value in arguments.items() if name != "mask" and name not in masks}
