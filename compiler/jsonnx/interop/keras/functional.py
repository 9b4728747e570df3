"""A functional model: tensors by number become values by name.

A call comes after those that it takes from, and as near behind them as can be: branches stay together, as a person
writes them. Keras 3 counts the calls of a nested functional model from 0 inside the model around it and from 1 in that
model's outputs, Keras 1 and 2 from 1 everywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from ...core.components import snake_case
from ...frontend.schema.phrases import short_name
from .call_arguments import MASK_INPUT_LAYERS, CallArguments, bind_arguments, mask_arguments, tensor_refs
from .entries import NamedTensor
from .masks import MaskExpression, logical_or, not_equal
from .model_config import LayerCall, LayerConfig, ModelConfig, SerializedObject, Slice, TensorRef, leaves
from .operations import is_operation

if TYPE_CHECKING:
    from .call_context import CallContext, Results

CallKey = tuple[str, int]
"""A call of a layer: the layer's name, and which of its calls."""

MAX_MASK_DEPTH = 32

NESTED_MASK_WARNING = (
    "a mask comes to MultiHeadAttention in a nested model, which takes it off: here recurrent layers, normalization "
    "and pooling behind it go by that mask all the same; in Keras they do not, as the model was made without one"
)


def contains_attention(model: ModelConfig) -> bool:
    """Whether MultiHeadAttention is in a model, at any depth."""
    return any(
        contains_attention(layer.inner_model)
        if layer.inner_model is not None
        else layer.class_name == "MultiHeadAttention"
        for layer in model.layers
    )


@dataclass
class FunctionalModel:
    """A functional model, called on values."""

    walk: CallContext
    model: ModelConfig
    inputs: list[NamedTensor | None]
    values: dict[CallKey, Results] = field(default_factory=dict)
    layers_by_name: dict[str, LayerConfig] = field(default_factory=dict)
    counted_from_one: set[str] = field(default_factory=set)
    """Nested models whose calls are counted from 1."""

    def evaluate_outputs(self) -> Results:
        """The outputs in the model's structure."""
        for layer in self.model.layers:
            if layer.name in self.layers_by_name:
                message = f"two layers of the model {short_name(self.model.name)} are called {short_name(layer.name)}"
                self.walk.report.add("keras-wrong-form", layer.path, message)
            self.layers_by_name.setdefault(layer.name, layer)
        ends, wanted = tensor_refs(self.model.inputs), tensor_refs(self.model.outputs)
        if not ends or not wanted:
            what = "outputs" if ends else "inputs"
            message = f"the model {short_name(self.model.name)} does not say which tensors are its {what}"
            self.walk.report.add("keras-wrong-form", self.model.path, message)
            return None
        if len(ends) != len(self.inputs):
            if all(value is not None for value in self.inputs):
                takes = f"takes {len(ends)} inputs and is called with {len(self.inputs)}"
                self.walk.report.add(
                    "keras-wrong-form", self.model.path, f"the model {short_name(self.model.name)} {takes}"
                )
            return None
        self.values |= {(ref.layer, ref.call_index): value for ref, value in zip(ends, self.inputs, strict=True)}
        self.find_models_counted_from_one()
        wanted = [self.output_ref(ref) for ref in wanted]
        for ref in wanted:
            self.evaluate(ref)
        return self.substitute_values(self.model.outputs, is_output=True)

    def find_models_counted_from_one(self) -> None:
        """Before Keras 3 a nested model counts its own definition as its first call."""
        if self.walk.translator.keras_version.major >= 3:
            return
        least: dict[str, int] = {}
        calls = [[list(call.args), dict(call.kwargs)] for layer in self.model.layers for call in layer.calls]
        for ref in tensor_refs([*calls, self.model.outputs]):
            least[ref.layer] = min(least.get(ref.layer, ref.call_index), ref.call_index)
        nested = (layer.name for layer in self.model.layers if layer.inner_model is not None)
        self.counted_from_one = {name for name in nested if least.get(name, 0) > 0}

    def output_ref(self, ref: TensorRef) -> TensorRef:
        """An output of the model, counted as tensors inside it are."""
        layer, new = self.layers_by_name.get(ref.layer), self.walk.translator.keras_version.major >= 3
        counted = new and layer is not None and layer.inner_model is not None and not layer.inner_model.is_sequential
        return ref._replace(call_index=ref.call_index - 1) if counted else ref

    def call_key(self, ref: TensorRef) -> CallKey:
        """The call that makes a tensor."""
        return ref.layer, ref.call_index - (ref.layer in self.counted_from_one)

    # -- order -------------------------------------------------------------------------------------------------------

    def evaluate(self, target: TensorRef) -> None:
        """Makes a tensor and all that leads to it; without recursion, for a network may be very deep."""
        stack, waiting = [target], set()
        while stack:
            ref = stack[-1]
            task = self.call_key(ref)
            if task in self.values:
                stack.pop()
                continue
            call = self.find_call(ref)
            if call is None:
                self.values[task] = None
                continue
            waiting.add(task)
            missing = self.unevaluated_inputs(self.layers_by_name[ref.layer], call)
            around = [other for other in missing if self.call_key(other) in waiting]
            if around:
                self.report_cycle(stack, around[0])
                self.values[self.call_key(around[0])] = None
            elif missing:
                stack += reversed(missing)
            else:
                self.values[task] = self.evaluate_call(self.layers_by_name[ref.layer], call)

    def find_call(self, ref: TensorRef) -> LayerCall | None:
        """The call that makes a tensor; reported where there is none."""
        layer, index = self.layers_by_name.get(ref.layer), self.call_key(ref)[1]
        if layer is not None and 0 <= index < len(layer.calls):
            return layer.calls[index]
        times = "not an input of it" if layer is not None and layer.class_name == "InputLayer" else None
        calls = f"called {len(layer.calls)} times" if layer is not None else "not among the layers"
        message = (
            f"the model {short_name(self.model.name)} takes call {ref.call_index} of {short_name(ref.layer)}, which is"
        )
        help = "calls are counted from 0; the file is damaged, or was edited: save the model anew"
        self.walk.report.add("keras-wrong-form", ref.path, f"{message} {times or calls}", help=help)
        return None

    def unevaluated_inputs(self, layer: LayerConfig, call: LayerCall) -> list[TensorRef]:
        """The tensors that have to be made before a call."""
        missing = [ref for ref in self.tensor_inputs(layer, call) if self.call_key(ref) not in self.values]
        if missing or layer.inner_model is not None or is_operation(layer):
            return missing
        masks = self.explicit_masks(layer, bind_arguments(layer.class_name, call)).items()
        needed = [
            ref
            for name, mask in masks
            if name != "mask" or layer.class_name in MASK_INPUT_LAYERS
            for ref in tensor_refs(mask)
        ]
        return [ref for ref in needed if self.call_key(ref) not in self.values]

    def tensor_inputs(self, layer: LayerConfig, call: LayerCall) -> list[TensorRef]:
        """The tensors that a call takes, but for its masks."""
        if layer.inner_model is not None or is_operation(layer):
            plain = layer.inner_model is not None
            return tensor_refs([list(call.args), {k: v for k, v in call.kwargs.items() if not (plain and k == "mask")}])
        given = bind_arguments(layer.class_name, call).by_name
        masks = mask_arguments(layer.class_name, given)
        return tensor_refs([value for name, value in given.items() if name != "mask" and name not in masks])

    def report_cycle(self, stack: list[TensorRef], repeated: TensorRef) -> None:
        names = [ref.layer for ref in stack]
        first = max(place for place, ref in enumerate(stack) if self.call_key(ref) == self.call_key(repeated))
        around = [*dict.fromkeys(names[first:]), repeated.layer]
        shown = " -> ".join(around if len(around) < 9 else [*around[:4], "...", *around[-4:]])
        message = f"layers of the model {short_name(self.model.name)} wait for one another: {shown}"
        self.walk.report.add("cycle", repeated.path, message, help="no model of Keras has that: the file was edited")

    # -- calls -------------------------------------------------------------------------------------------------------

    def evaluate_call(self, layer: LayerConfig, call: LayerCall) -> Results:
        """The results of a call whose tensors are all made."""
        if layer.inner_model is not None:
            self.walk.check_training_argument(layer, call.kwargs, call.path)
            given = call.args[0] if call.args else next(iter(call.kwargs.values()), None)
            inputs = self.model_inputs(layer.inner_model, self.substitute_values(given))
            if any(value is not None and value.mask is not None for value in inputs) and contains_attention(
                layer.inner_model
            ):
                self.walk.translator.notices.setdefault(NESTED_MASK_WARNING, layer.path)
            return self.walk.call_model(layer.inner_model, inputs)
        if is_operation(layer):
            args = tuple(self.substitute_values(value) for value in call.args)
            return self.walk.call_operation(
                layer, args, {k: self.substitute_values(v) for k, v in call.kwargs.items()}, call.path
            )
        found = bind_arguments(layer.class_name, call)
        masks = self.explicit_masks(layer, found)
        plain = {name: value for name, value in found.by_name.items() if not self.is_mask_argument(layer, name, found)}
        given = {name: self.substitute_values(value) for name, value in plain.items()}
        values = {name: self.mask_value(mask) for name, mask in masks.items()}
        return self.walk.call_layer(layer, CallArguments(given, found.unknown_names), values, call.path)

    def mask_value(self, mask: Any) -> Any:
        """The value of a mask, which knows how it is made."""
        value = self.substitute_values(mask)
        return replace(value, expression=self.mask_expression(mask, 0)) if isinstance(value, NamedTensor) else value

    @staticmethod
    def model_inputs(model: ModelConfig, argument: Any) -> list[NamedTensor | None]:
        """What a nested model is called with, in the order of its inputs."""
        if isinstance(argument, dict) and isinstance(model.inputs, dict):
            return [argument.get(name) for name in model.inputs]
        return list(leaves(argument))

    def is_mask_argument(self, layer: LayerConfig, name: str, arguments: CallArguments) -> bool:
        return name == "mask" or name in mask_arguments(layer.class_name, arguments.by_name)

    def explicit_masks(self, layer: LayerConfig, arguments: CallArguments) -> dict[str, Any]:
        """The masks that are not those that go beside the inputs anyway."""
        every = mask_arguments(layer.class_name, arguments.by_name)
        return {name: mask for name, (mask, beside) in every.items() if not self.is_implicit_mask(mask, beside)}

    def is_implicit_mask(self, mask: Any, value: Any) -> bool:
        kept = [item.mask if isinstance(item, NamedTensor) else None for item in leaves(self.substitute_values(value))]
        pairs = zip_longest([self.mask_expression(item, 0) for item in leaves(mask)], kept)
        return all(made is None or made == beside for made, beside in pairs)

    def mask_expression(self, mask: Any, depth: int) -> MaskExpression:
        """How a mask is made."""
        if mask is None:
            return None
        made = self.values.get(self.call_key(mask)) if isinstance(mask, TensorRef) else None
        unknown: MaskExpression = ("value", made.name) if isinstance(made, NamedTensor) else ("unknown", id(mask))
        layer = self.layers_by_name.get(mask.layer) if isinstance(mask, TensorRef) else None
        if layer is None or not is_operation(layer) or depth > MAX_MASK_DEPTH:
            return unknown
        call = next(iter(layer.calls), None)
        args = call.args if call is not None else ()
        if layer.class_name == "NotEqual" and len(args) == 2 and isinstance(args[1], (int, float)):
            value = (
                self.substitute_values(args[0])
                if isinstance(args[0], TensorRef) and self.call_key(args[0]) in self.values
                else None
            )
            return not_equal(value.name, float(args[1])) if isinstance(value, NamedTensor) else unknown
        if (
            layer.class_name == "Any"
            and args
            and layer.config.get("axis") in (-1, [-1])
            and not layer.config.get("keepdims")
        ):
            return ("any", self.mask_expression(args[0], depth + 1))
        return self.function_mask_expression(layer, args, depth) or unknown

    def function_mask_expression(self, layer: LayerConfig, args: Sequence[Any], depth: int) -> MaskExpression:
        """How a function makes a mask of others; None where that is not known."""
        if layer.class_name == "LogicalOr" and len(args) == 2:
            return logical_or(*(self.mask_expression(item, depth + 1) for item in args))
        if layer.class_name == "ConvertToTensor" and args:
            return self.mask_expression(args[0], depth + 1)
        if layer.class_name == "ExpandDims" and args and layer.config.get("axis") == -1:
            return ("expand_dims", self.mask_expression(args[0], depth + 1))
        if layer.class_name in ("OnesLike", "ZerosLike") and args and isinstance(args[0], TensorRef):
            value = self.values.get(self.call_key(args[0]))
            return (snake_case(layer.class_name), value.name) if isinstance(value, NamedTensor) else None
        if layer.class_name == "Concatenate" and args and isinstance(args[0], list):
            return ("concatenate", *(self.mask_expression(item, depth + 1) for item in args[0]))
        return None

    # -- values ------------------------------------------------------------------------------------------------------

    def substitute_values(self, value: Any, *, is_output: bool = False) -> Any:
        """A structure with values in place of tensors."""
        if isinstance(value, TensorRef):
            return self.value_of(self.output_ref(value) if is_output else value)
        if isinstance(value, (Slice, SerializedObject)) or not isinstance(value, (list, tuple, dict)):
            return value
        if isinstance(value, dict):
            return {key: self.substitute_values(item, is_output=is_output) for key, item in value.items()}
        return [self.substitute_values(item, is_output=is_output) for item in value]

    def value_of(self, ref: TensorRef) -> NamedTensor | None:
        """The value of a tensor that is made; reported where its call has no such output."""
        results = self.values.get(self.call_key(ref))
        if results is None:
            return None
        found = list(leaves(results))
        if 0 <= ref.output_index < len(found):
            value: NamedTensor | None = found[ref.output_index]
            return value
        message = f"{short_name(ref.layer)} has no output {ref.output_index}, only {len(found)}, counted from 0"
        self.walk.report.add("keras-wrong-form", ref.path, message)
        return None
