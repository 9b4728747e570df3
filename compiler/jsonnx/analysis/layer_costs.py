"""Parameters and multiply-adds of common layers by formulas, so that a budget can be checked without a graph.

What is counted is what `lowering/cost.py` counts in the graph of operators; the layers without a formula need that
graph. A test compares both for every layer case.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any, NamedTuple

from ..core.types import TensorType
from ..frontend.network import Call
from .shape_inference import TypedNetwork


class FormulaCost(NamedTuple):
    """The cost of a layer call; multiply-adds are counted for one sample."""

    parameters: int
    macs: int


Formula = Callable[[Any, TensorType, TensorType], FormulaCost | None]
"""The cost from the layer and the types of its input and its output; None where it does not apply."""


def formula_costs(typed: TypedNetwork) -> dict[str, FormulaCost] | None:
    """The costs of all calls by name, which are 0 for what the compiled model lacks; None if a layer has no formula, or
    a size other than the batch is symbolic.

    The weights of a shared layer are counted at its first call.
    """
    compiled_names = {call.name for call in typed.network.inference_calls}
    costs: dict[str, FormulaCost] = {}
    counted: set[str] = set()
    for call in typed.network.calls:
        cost = _call_cost(typed, call)
        if cost is None:
            return None
        has_weights = call.owner in typed.network.inference_owners and call.owner not in counted
        macs = cost.macs if call.name in compiled_names else 0
        costs[call.name] = FormulaCost(cost.parameters if has_weights else 0, macs)
        counted.add(call.owner)
    return costs


def _call_cost(typed: TypedNetwork, call: Call) -> FormulaCost | None:
    if call.layer is None:
        return None
    types = [typed.types[name] for name in (*call.sources, *call.results)]
    if not all(type.rank > 0 and type.is_static(*range(1, type.rank)) for type in types):
        return None
    if call.layer.type_name in WITHOUT_COST:
        return FormulaCost(0, 0)
    formula = FORMULAS.get(call.layer.type_name)
    if formula is None or len(types) != 2 or _is_gated(call.layer):
        return None
    return formula(call.layer, *types)


def _is_gated(layer: Any) -> bool:
    """Whether the activation halves the outputs, so that their type does not tell how many were computed."""
    activation = getattr(layer, "activation", None)
    return activation is not None and activation.type_name == "glu"


def _elements(type: TensorType) -> int:
    """Elements of one sample, whose size is known."""
    return prod(size for size in type.shape[1:] if isinstance(size, int))


def _channels(layer: Any, x: TensorType) -> int:
    return x.static_size(1 if layer.data_format == "channels_first" else -1)


def _dense(layer: Any, x: TensorType, y: TensorType) -> FormulaCost:
    size = x.static_size(-1)
    return FormulaCost(size * layer.units + layer.units * layer.use_bias, _elements(y) * size)


def _convolution(layer: Any, x: TensorType, y: TensorType) -> FormulaCost:
    per_output = prod(layer.kernel_size) * _channels(layer, x) // layer.groups
    return FormulaCost(layer.filters * (per_output + layer.use_bias), _elements(y) * per_output)


def _conv_transpose(layer: Any, x: TensorType, y: TensorType) -> FormulaCost:
    per_input = prod(layer.kernel_size) * layer.filters
    return FormulaCost(_channels(layer, x) * per_input + layer.filters * layer.use_bias, _elements(x) * per_input)


def _depthwise(layer: Any, x: TensorType, y: TensorType) -> FormulaCost:
    filters = _channels(layer, x) * layer.depth_multiplier
    return FormulaCost(filters * (prod(layer.kernel_size) + layer.use_bias), _elements(y) * prod(layer.kernel_size))


def _separable(layer: Any, x: TensorType, y: TensorType) -> FormulaCost:
    between = _channels(layer, x) * layer.depth_multiplier
    per_position = between * (prod(layer.kernel_size) + layer.filters)
    return FormulaCost(per_position + layer.filters * layer.use_bias, _elements(y) // layer.filters * per_position)


def _embedding(layer: Any, x: TensorType, y: TensorType) -> FormulaCost:
    return FormulaCost(layer.input_dim * layer.output_dim, 0)


def _batch_normalization(layer: Any, x: TensorType, y: TensorType) -> FormulaCost | None:
    if layer.renorm:
        return None
    return FormulaCost(x.static_size(layer.axis) * (2 + layer.scale + layer.center), 0)


def _layer_normalization(layer: Any, x: TensorType, y: TensorType) -> FormulaCost | None:
    if layer.axis != -1 and layer.axis != (-1,):
        return None
    vectors = 1 if layer.rms_scaling else layer.scale + layer.center
    return FormulaCost(x.static_size(-1) * vectors, 0)


FORMULAS: dict[str, Formula] = {
    "Dense": _dense,
    **dict.fromkeys(("Conv1D", "Conv2D", "Conv3D"), _convolution),
    **dict.fromkeys(("Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose"), _conv_transpose),
    **dict.fromkeys(("DepthwiseConv1D", "DepthwiseConv2D"), _depthwise),
    **dict.fromkeys(("SeparableConv1D", "SeparableConv2D"), _separable),
    "Embedding": _embedding,
    "BatchNormalization": _batch_normalization,
    "LayerNormalization": _layer_normalization,
}
"""By type of the layer; each takes one input."""

WITHOUT_COST = frozenset(
    [
        *("Activation", "ActivityRegularization", "ELU", "Identity", "LeakyReLU", "Masking", "ReLU", "Rescaling"),
        "SequenceMask",
        *(
            "Add",
            "Average",
            "Concatenate",
            "Maximum",
            "Minimum",
            "Multiply",
            "Subtract",
            "Softmax",
            "UnitNormalization",
        ),
        *("Flatten", "Permute", "RepeatVector", "Reshape", "UpSampling1D", "UpSampling3D"),
        *("AlphaDropout", "Dropout", "GaussianDropout", "GaussianNoise", "StochasticDepth"),
        *(f"SpatialDropout{rank}D" for rank in (1, 2, 3)),
        *(f"{kind}{rank}D" for kind in ("Cropping", "ZeroPadding") for rank in (1, 2, 3)),
        *(f"{kind}Pooling{rank}D" for kind in ("Average", "Max", "GlobalAverage", "GlobalMax") for rank in (1, 2, 3)),
    ]
)
"""Types of layers without weights, matrix products and convolutions."""
