"""Lowers layers to operators, and checks that each result has the type that the layer's shape rule inferred."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce

from ..analysis.masks import Mask
from ..analysis.shape_inference import TypedNetwork
from ..core.diagnostics import Report
from ..core.limits import MAX_CONSTANTS_BYTES, MAX_OPERATORS
from ..core.reserved_names import network_value_name
from ..core.types import BATCH, Dim, PaddingMask, ShapeError, Size, TensorType
from ..frontend.network import Call
from ..ir import Builder, Graph, Value
from ..ir.builder import EmissionError
from ..layers import Layer
from ..layers.base import infer_types, penalize
from ..sections.target_scaling import TargetScaling, has_scalable_type


class LoweringError(Exception):
    """A call that passes shape inference but cannot be lowered."""

    def __init__(self, call: Call, error: ShapeError) -> None:
        self.call, self.error = call, error
        super().__init__(f"{call.owner}: {error.message}")

    def add_to(self, report: Report) -> None:
        """Reports the error at the call."""
        kind = self.call.layer.type_name if self.call.layer else ""
        message = f"{kind} {self.call.name!r} {self.error.message}"
        report.add(self.error.code, self.call.path, message, help=self.error.help)


def lower(
    typed: TypedNetwork,
    *,
    training: bool = False,
    float_dtype: str = "float32",
    outputs: Sequence[str] | None = None,
    fed_names: Mapping[str, str] = {},
    expected_sizes: Mapping[str, int] = {},
    further: Sequence[str] = (),
    has_adapters: bool = True,
) -> Graph:
    """Lowers a network to a graph with the network's outputs, or with the values named by `outputs`, and `further`
    values.

    The element type `float_dtype` replaces float32 everywhere (float64 for checks that need its precision). Values in
    `fed_names` are not computed: they are inputs with the names that they map to. `expected_sizes` are the sizes of
    symbols in most batches, for which large values are computed by blocks. Without `has_adapters`, weights have no
    adapters: the graph is that of the weights which they are merged into. Raises LoweringError.
    """
    output_names = tuple(typed.network.outputs) if outputs is None else tuple(outputs)
    g = Builder(training=training, float_dtype=float_dtype)
    g.operators_left, g.constant_bytes_left = MAX_OPERATORS, MAX_CONSTANTS_BYTES
    g.expected_sizes = expected_sizes
    if typed.network.frozen_weights is not None:
        g.is_frozen = typed.network.frozen_weights.contains
    g.has_adapters = has_adapters
    if typed.network.adapted_weights is not None:
        g.adapter_settings = typed.network.adapted_weights.settings
    values: dict[str, Value] = {
        name: g.input(name, _with_float_dtype(type, float_dtype)) for name, type in typed.network.inputs.items()
    }
    masks: dict[Mask | None, Value] = {}
    masks_by_producer, flow = typed.masks.masks_by_producer(training), typed.masks.runtime_masks(training)
    for call in typed.network.calls if outputs is None else typed.network.calls_needed_for(output_names, fed_names):
        if call.name in fed_names:
            type = _with_float_dtype(typed.types[call.name], float_dtype)
            values[call.name] = g.input(fed_names[call.name], type)
            continue
        if call.layer is None:
            raise ValueError(f"the layer {call.name!r} is invalid; only a valid network can be lowered")
        with g.scope(call.name if call.layer.adds_input else call.owner, call.path):
            inputs = [values[source] for source in call.sources]
            input_masks = [masks.get(mask) for mask in flow.input_masks[call.name]]
            if call.layer.mixes_steps and isinstance(mask := flow.input_masks[call.name][0], Mask):
                inputs[0] = zero_padding(g, inputs[0], mask.type, masks[mask])
            types = [_with_float_dtype(typed.types[name], float_dtype) for name in call.results]
            values |= zip(call.results, _lower_call(g, call, call.layer, inputs, input_masks, types), strict=True)
            for mask in masks_by_producer.get(call.name, ()):
                operands = [masks.get(operand) for operand in mask.input_masks]
                if call.layer.merges_padding and isinstance(mask.type, PaddingMask):
                    masks[mask] = reduce(g.Or, (operand for operand in operands if operand is not None))
                else:
                    masks[mask] = lower_mask(g, call.layer, inputs, operands, mask.type, call.owner)
    if outputs is None:
        g.masks |= {name: masks[mask] for name, mask in flow.value_masks.items()}
        results = _in_target_units(g, typed, {name: values[name] for name in output_names}, training)
        return g.graph({name: values[name] for name in further} | results)
    return g.graph({name: values[name] for name in (*further, *output_names)})


def _in_target_units(g: Builder, typed: TypedNetwork, outputs: Mapping[str, Value], training: bool) -> dict[str, Value]:
    """The outputs of a network in the units of their targets. In training, then its own values of those for which they
    are no affine function, which the losses compare."""
    results, own_values = dict(outputs), {}
    for name, form in typed.network.target_forms.items():
        if has_scalable_type(typed.types[name]):
            scaling = TargetScaling.of(g, name, outputs[name].type, typed.network.paths[name], form)
            results[name] = scaling.denormalized(g, outputs[name])
            if training and not form.is_affine:
                own_values[network_value_name(name)] = outputs[name]
    return results | own_values


def _with_float_dtype(type: TensorType, float_dtype: str) -> TensorType:
    return type.with_dtype(float_dtype) if type.dtype == "float32" else type


def _lower_call(
    g: Builder,
    call: Call,
    layer: Layer,
    inputs: Sequence[Value],
    masks: Sequence[Value | None],
    types: Sequence[TensorType],
) -> tuple[Value, ...]:
    """The results of a call of the layer, of the inferred types. Raises LoweringError."""
    try:
        results = lower_layer(g, layer, inputs, masks)
    except ShapeError as error:
        raise LoweringError(call, error) from error
    for value, type in zip(results, types, strict=True):
        check_promised_type(value, type, call.owner)
    return results


def lower_layer(g: Builder, layer: Layer, inputs: Sequence[Value], masks: Sequence[Value | None]) -> tuple[Value, ...]:
    """The results of one layer. Adds its activity regularizer to the losses."""
    outside, g.trainable = g.trainable, g.trainable and layer.trainable
    results = layer.lower(g, *inputs, masks=masks) if layer.reads_masks else layer.lower(g, *inputs)
    results = results if isinstance(results, tuple) else (results,)
    if not layer.penalizes_itself:
        for result in results:
            penalize(g, layer.activity_regularizer, result)
    g.trainable = outside
    return results


def lower_mask(
    g: Builder, layer: Layer, inputs: Sequence[Value], masks: Sequence[Value | None], type: TensorType, scope: str
) -> Value:
    """The mask of the layer's results, of the inferred type."""
    mask = layer.lower_mask(g, inputs, masks)
    if mask is None:
        raise EmissionError(f"{scope}: the shape rule promises a mask {type}, the lowering returns none")
    check_promised_type(mask, type, scope)
    return mask


def zero_padding(g: Builder, x: Value, type: TensorType, mask: Value) -> Value:
    """X with zeros in its padding; x itself if the mask of this type is no padding mask."""
    if not isinstance(type, PaddingMask):
        return x
    axes = [axis for axis in range(1, x.rank) if axis != type.axis]
    return g.refine(g.Where(g.Unsqueeze(mask, axes) if axes else mask, x, g.const(0, x.dtype)), x.shape)


def layer_weights(layer: Layer, call: Call, typed: TypedNetwork) -> dict[str, tuple[TensorType, bool]]:
    """The weights that a layer would have in place of the layer of a call, by name: type, and whether it is trainable.

    Raises ShapeError if the layer does not accept the inputs of the call.
    """
    infer_types(layer, *(typed.types[source] for source in call.sources))
    g = Builder()
    with g.scope(call.owner, call.path):
        inputs = [g.input(f"input {index}", typed.types[source]) for index, source in enumerate(call.sources)]
        lower_layer(g, layer, inputs, [None] * len(inputs))
    weights = {name: (weight.type, weight.trainable) for name, weight in g.parameters.items()}
    return weights | {name: (state.type, False) for name, state in g.states.items()}


def check_promised_type(value: Value, type: TensorType, scope: str) -> None:
    """Checks that the type inferred by ONNX agrees with the shape rule's, which then replaces it."""
    same = value.rank == type.rank and value.dtype == type.dtype
    if not same or not all(map(_sizes_agree, value.shape, type.shape)):
        raise EmissionError(f"{scope}: the shape rule promises {type}, the operators give {value.type}")
    if value.shape != type.shape:
        value.type = type


def _sizes_agree(inferred: Dim, promised: Dim) -> bool:
    return inferred == promised or (isinstance(inferred, Size) and inferred != BATCH)
