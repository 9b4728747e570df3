"""Layers to operators: calls every layer's lowering and holds it to what its shape rule promised."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..analysis.masks import Mask
from ..analysis.shape_inference import TypedNetwork
from ..core.types import BATCH, Dim, ShapeError, Size, TensorType
from ..frontend.network import Call
from ..ir import Builder, Graph, Value
from ..ir.builder import EmissionError
from ..layers import Layer
from ..layers.base import penalize


class LoweringError(Exception):
    """A call that its types alone did not show to be impossible, and why it is."""

    def __init__(self, call: Call, error: ShapeError) -> None:
        self.call, self.error = call, error
        super().__init__(f"{call.owner}: {error.message}")


def lower(
    typed: TypedNetwork,
    *,
    training: bool = False,
    real: str = "float32",
    outputs: Sequence[str] | None = None,
    fed_names: Mapping[str, str] = {},
) -> Graph:
    """The network as a graph whose outputs have the network's output names, or those of other values.

    With `float_dtype` float64 all float32 of the network becomes that, for checks that need the precision. Values that are
    `fed_names` are not computed but inputs, of the name that stands beside theirs. Raises Refused.
    """
    wanted = tuple(typed.network.outputs) if outputs is None else tuple(outputs)
    g = Builder(training=training, float_dtype=real)
    values: dict[str, Value] = {
        name: g.input(name, _with_real_dtype(type, real)) for name, type in typed.network.inputs.items()
    }
    masks: dict[Mask | None, Value] = {}
    made_by, flow = typed.masks.masks_by_producer(training), typed.masks.runtime_masks(training)
    for call in typed.network.calls if outputs is None else typed.network.calls_needed_for(wanted, fed_names):
        if call.name in fed_names:
            values[call.name] = g.input(fed_names[call.name], _with_real_dtype(typed.types[call.name], real))
            continue
        if call.layer is None:
            raise ValueError(f"the layer {call.name!r} was not understood; only a sound network can be lowered")
        with g.scope(call.owner, call.path):
            inputs = [values[source] for source in call.sources]
            beside = [masks.get(mask) for mask in flow.input_masks[call.name]]
            try:
                results = lower_layer(g, call.layer, inputs, beside)
            except ShapeError as error:
                raise LoweringError(call, error) from error
            for name, value in zip(call.results, results, strict=True):
                check_promised_type(value, _with_real_dtype(typed.types[name], real), call.owner)
                values[name] = value
            for mask in made_by.get(call.name, ()):
                given_masks = [masks.get(one) for one in mask.input_masks]
                masks[mask] = lower_mask(g, call.layer, inputs, given_masks, mask.type, call.owner)
    if outputs is None:
        g.masks |= {name: masks[mask] for name, mask in flow.value_masks.items()}
    return g.graph({name: values[name] for name in wanted})


def _with_real_dtype(type: TensorType, real: str) -> TensorType:
    return type.with_dtype(real) if type.dtype == "float32" else type


def lower_layer(g: Builder, layer: Layer, inputs: Sequence[Value], masks: Sequence[Value | None]) -> tuple[Value, ...]:
    """The results of one layer, its activity regularizer added to the losses."""
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
    """The mask beside the layer's results, of the promised type."""
    mask = layer.lower_mask(g, inputs, masks)
    if mask is None:
        raise EmissionError(f"{scope}: the shape rule promises a mask {type}, the operators give none")
    check_promised_type(mask, type, scope)
    return mask


def layer_weights(layer: Layer, call: Call, typed: TypedNetwork) -> dict[str, tuple[TensorType, bool]]:
    """The weights that another layer would have in the place of a call's, by name: the type, and whether training
    changes them. Raises ShapeError where it could not stand there."""
    layer.infer(*(typed.types[source] for source in call.sources))
    g = Builder()
    with g.scope(call.owner, call.path):
        inputs = [g.input(f"input {place}", typed.types[source]) for place, source in enumerate(call.sources)]
        lower_layer(g, layer, inputs, [None] * len(inputs))
    weights = {name: (weight.type, weight.trainable) for name, weight in g.parameters.items()}
    return weights | {name: (state.type, False) for name, state in g.states.items()}


def check_promised_type(value: Value, type: TensorType, scope: str) -> None:
    """Check what ONNX inferred against the promised type, and refine the one by the other."""
    same = value.rank == type.rank and value.dtype == type.dtype
    if not same or not all(map(_sizes_agree, value.shape, type.shape)):
        raise EmissionError(f"{scope}: the shape rule promises {type}, the operators give {value.type}")
    if value.shape != type.shape:
        value.type = type


def _sizes_agree(inferred: Dim, promised: Dim) -> bool:
    return inferred == promised or (isinstance(inferred, Size) and inferred != BATCH)
