"""The noise that quantization adds, layer by layer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import inf, log10
from typing import NamedTuple

import numpy as np

from ...backend import to_loadable, to_model_writer
from ...ir import Graph, Value
from ...runtime.session.session import Session
from ...sections.quantization_section import QuantizationVariant
from .network_quantizer import NetworkQuantizer
from .quantizer import Quantizer, with_float_layers

Arrays = Mapping[str, np.ndarray]

MAX_DECIBELS = 200.0
"""The ratio of values that do not differ, as it is shown."""
MAX_MEASUREMENTS = 64
"""Maximum number of quantized models that the sensitivity of layers is measured on."""


class LayerNoise(NamedTuple):
    """The ratio of the power of a layer's values to that of their errors, in decibels."""

    layer: str
    decibels: float


def signal_to_noise(reference: np.ndarray, actual: np.ndarray) -> float:
    """The ratio of the power of values to that of their errors, in decibels, at most MAX_DECIBELS; minus infinity for
    values that are not finite, or all zero."""
    signal = float(np.square(reference.astype(np.float64)).sum())
    noise = float(np.square(actual.astype(np.float64) - reference.astype(np.float64)).sum())
    if noise == 0:
        return MAX_DECIBELS
    if not np.isfinite(noise) or signal == 0:
        return -inf
    return min(MAX_DECIBELS, 10 * log10(signal / noise))


def layer_noise(quantizer: NetworkQuantizer, variant: QuantizationVariant, feeds: Arrays) -> list[LayerNoise]:
    """The noise of the results of all layers of a quantized network, the worst ones first."""
    graph = with_layer_outputs(quantizer.graph(variant))
    models = [to_loadable(to_model_writer(graph)), quantizer.loadable(graph, variant)]
    reference, actual = (_outputs(Session(model), feeds) for model in models)
    noise = [LayerNoise(name, signal_to_noise(array, actual[name])) for name, array in reference.items()]
    return sorted((each for each in noise if each.decibels < MAX_DECIBELS), key=lambda each: each.decibels)


def _outputs(session: Session, feeds: Arrays) -> dict[str, np.ndarray]:
    return session.run({name: array for name, array in feeds.items() if name in session.inputs | session.random_inputs})


def with_layer_outputs(graph: Graph) -> Graph:
    """The graph whose outputs are the results of its layers, by the names of the layers: of each, the last value in
    floating point that another layer or nobody else reads."""
    readers: dict[Value, set[str]] = {}
    for node in graph.nodes:
        for x in node.inputs:
            if x is not None:
                readers.setdefault(x, set()).add(node.scope)
    outputs: dict[str, Value] = {}
    for node in graph.nodes:
        for y in node.outputs:
            leaves = y not in readers or readers[y] != {node.scope}
            if node.scope and y.dtype == "float32" and y.rank and leaves and not y.type.is_static():
                outputs[node.scope] = y
    return replace(graph, outputs=outputs)


def sensitive_layers(
    quantizer: Quantizer, variant: QuantizationVariant, reference: Session, feeds: Arrays
) -> list[LayerNoise]:
    """The noise of the outputs if a layer alone is quantized, the most sensitive layers first.

    Each measurement takes as long as the network has layers. So those of a network with many layers are of groups of
    consecutive ones.
    """
    expected = reference.run_prepared(feeds)
    noise = []
    layers = quantizer.layers(variant)
    group_size = -(-len(layers) // MAX_MEASUREMENTS)
    for start in range(0, len(layers), max(1, group_size)):
        group = layers[start : start + group_size]
        alone = with_float_layers(variant, (*layers[:start], *layers[start + group_size :]))
        session = Session(quantizer.quantized(alone).to_loadable())
        outputs = session.run_prepared(feeds)
        ratios = [signal_to_noise(array, outputs[name]) for name, array in expected.items() if array.dtype.kind == "f"]
        noise += [LayerNoise(layer, min(ratios, default=MAX_DECIBELS)) for layer in group]
    return sorted(noise, key=lambda each: each.decibels)
