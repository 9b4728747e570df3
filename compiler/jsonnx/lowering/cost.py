"""The cost of each layer: its parameters, and its multiply-adds for one sample."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import prod

from ..analysis.shape_inference import TypedNetwork
from ..core.types import TensorType
from ..frontend.network import Call
from ..ir import Graph, Node, Parameter, State
from ..ir.cost import MICROSOFT_DOMAIN, sum_macs
from ..ir.polynomial import Polynomial
from .module_costs import ModuleCost, module_costs


@dataclass(frozen=True)
class LayerCost:
    """The cost of one layer call. A shared layer's weights are counted at its first call."""

    name: str
    type: str
    outputs: tuple[TensorType, ...]
    parameters: int
    trainable: int
    macs: Polynomial
    """Multiply-adds of matrix products and convolutions for one sample, in the symbolic sizes."""
    sources: tuple[str, ...]
    onnxruntime_ops: tuple[str, ...] = ()
    """Operators outside the ONNX standard: a model with them runs in onnxruntime only."""
    block_path: tuple[tuple[str, str], ...] = ()
    """The enclosing uses of blocks, outermost first: names and blocks."""
    frozen: bool = False
    """Whether the layer has weights with a gradient, but training updates none of them."""
    masked_inputs: tuple[str, ...] = ()
    """The inputs that have a mask at run time."""
    reads_masks: bool = False
    """Whether the layer computes with the masks."""
    mask: TensorType | None = None
    """The mask of the first output."""
    is_training_only: bool = False
    """Whether the compiled model does not have the layer."""
    modules: tuple[ModuleCost, ...] = ()
    """The modules of an ONNX file that is a layer."""
    compiled_parameters: int = 0
    """Those of its parameters that the compiled model has."""


def cost_table(typed: TypedNetwork, graph: Graph) -> list[LayerCost]:
    """The cost of every call, in order."""
    nodes_by_path: dict[tuple[str | int, ...], list[Node]] = {}
    for node in graph.nodes:
        nodes_by_path.setdefault(node.path, []).append(node)
    weights = _weights_by_layer(graph)
    counted: set[str] = set()
    inference_calls = {call.name for call in typed.network.inference_calls}
    rows = []
    for call in typed.network.calls:
        nodes, layer_weights = nodes_by_path.get(call.path, []), weights.get(call.owner, {})
        row = _call_cost(typed, call, nodes, layer_weights, is_first=call.owner not in counted)
        compiled_parameters = row.parameters if call.owner in typed.network.inference_owners else 0
        is_training_only = call.name not in inference_calls
        rows.append(replace(row, is_training_only=is_training_only, compiled_parameters=compiled_parameters))
        counted.add(call.owner)
    return rows


def _call_cost(
    typed: TypedNetwork, call: Call, nodes: list[Node], weights: Mapping[str, Parameter | State], *, is_first: bool
) -> LayerCost:
    parameters = [weight for weight in weights.values() if isinstance(weight, Parameter)]
    trainable = [parameter for parameter in parameters if parameter.trainable]
    masks = typed.masks.inference
    inputs = zip(call.sources, masks.input_masks[call.name], strict=True)
    produced_mask = masks.produced.get(call.name)
    return LayerCost(
        name=call.name,
        type=call.layer.type_name if call.layer else "?",
        outputs=tuple(typed.types[name] for name in call.results),
        parameters=sum(prod(weight.shape) for weight in weights.values()) if is_first else 0,
        trainable=sum(prod(weight.shape) for weight in trainable) if is_first else 0,
        macs=sum_macs(nodes),
        modules=module_costs(nodes, weights if is_first else {}) if call.layer and call.layer.has_modules else (),
        sources=call.sources,
        onnxruntime_ops=tuple(sorted({node.op for node in nodes if node.domain == MICROSOFT_DOMAIN})),
        block_path=call.block_uses,
        frozen=bool(parameters) and not trainable,
        masked_inputs=tuple(dict.fromkeys(source for source, mask in inputs if mask is not None)),
        reads_masks=call.layer is not None and call.layer.reads_masks,
        mask=produced_mask.type if produced_mask else None,
    )


def _weights_by_layer(graph: Graph) -> dict[str, dict[str, Parameter | State]]:
    """The weights of each layer that have a known shape."""
    by_layer: dict[str, dict[str, Parameter | State]] = {}
    weights: dict[str, Parameter | State] = {**graph.parameters, **graph.states}
    for name, weight in weights.items():
        if weight.type.is_static():
            by_layer.setdefault(name.partition("/")[0], {})[name] = weight
    return by_layer
