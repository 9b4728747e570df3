"""The data that the network of a checked spec takes, without planning its training."""

from __future__ import annotations

from typing import Any

from ..analysis.shape_inference import TypedNetwork
from ..layers.core import Embedding, ReversibleEmbedding
from ..layers.normalization.spectral import SpectralNormalization
from ..layers.rnn.time_distributed import TimeDistributed
from ..runtime.data_spec import DataSpec, make_data_spec
from ..training.objective import Objective


def index_limits(typed: TypedNetwork) -> dict[str, int]:
    """For each input that an Embedding looks up: the number of valid indices."""
    limits: dict[str, int] = {}
    for call in typed.network.calls:
        layer: Any = call.layer
        while isinstance(layer, (TimeDistributed, SpectralNormalization)):
            layer = layer.layer
        if isinstance(layer, (Embedding, ReversibleEmbedding)):
            for source in typed.inputs.keys() & call.sources:
                if isinstance(layer, ReversibleEmbedding) and typed.inputs[source].dtype.startswith("float"):
                    continue  # its inputs are vectors, not indices
                limits[source] = min(layer.input_dim, limits.get(source, layer.input_dim))
    return limits


def data_spec_of(typed: TypedNetwork, objective: Objective) -> DataSpec:
    """The data that training takes: the same as `TrainingPlan.data_spec`."""
    training = typed.network.training
    if training is None:
        raise ValueError("an objective without a training section")
    labels = typed.network.labels
    return make_data_spec(typed.inputs, typed.outputs, objective.targets, index_limits(typed), labels, training)
