"""The initial weights of every layer have the distributions of Keras."""

from __future__ import annotations

from functools import partialmethod
from typing import Any
from unittest.mock import patch

import keras
import numpy as np
import oracle
import pytest
from cases import Network, layer_networks
from jsonnx.pipeline.train.trainer import Trainer
from jsonnx.training.weights.initializers import FanScaledInitializer, weight_fans
from keras.src.initializers.random_initializers import RandomInitializer, VarianceScaling, compute_fans


def networks_by_type() -> dict[str, Network]:
    """Returns the first network of every layer type and of every pair of a wrapper and its inner type."""
    networks: dict[str, Network] = {}
    for network in layer_networks():
        (layer,) = (entry for entry in network.spec["layers"] if entry.get("name") == "layer")
        inner = layer.get("layer", layer.get("cell"))
        name = f"{layer['type']}-{inner['type']}" if isinstance(inner, dict) else layer["type"]
        networks.setdefault(name, network)
    return networks


@pytest.mark.parametrize("network", [pytest.param(network, id=name) for name, network in networks_by_type().items()])
def test_initial_weights_have_the_distribution_of_keras(network: Network) -> None:
    expected = keras_initializers(network.spec)
    if not expected:
        pytest.skip("has no weights")
    trainer = Trainer(network.spec)
    weights = {**trainer.plan.train.parameters, **trainer.plan.train.states}
    values = trainer.weights()
    for path, theirs in expected.items():
        ours, shape = weights[path].initializer, tuple(weights[path].shape)
        if isinstance(theirs, VarianceScaling):
            assert isinstance(ours, FanScaledInitializer), path
            parameters = getattr(ours, "choices", None) or (ours.scale, ours.mode, ours.distribution)
            assert parameters == (theirs.scale, theirs.mode, theirs.distribution), path
            fans = weight_fans(shape, ours.input_axes, ours.output_axes)
            assert fans == compute_fans(shape, theirs.input_axes, theirs.output_axes), path
        elif isinstance(theirs, RandomInitializer):
            assert type(ours).__name__ == type(theirs).__name__, path
            config = {name: value for name, value in theirs.get_config().items() if name != "seed"}
            assert config == {name: getattr(ours, name) for name in config}, path
        else:
            np.testing.assert_allclose(values[path], np.asarray(theirs(shape)), atol=1e-6, err_msg=path)


def keras_initializers(spec: dict[str, Any]) -> dict[str, Any]:
    """Returns the initializer of every weight of the layer `layer` in Keras by the weight's path."""
    initializers: dict[str, Any] = {}

    def record_initializer(layer: Any, add: Any, *args: Any, **options: Any) -> Any:
        initializer, options["initializer"] = keras.initializers.get(options.get("initializer")), "zeros"
        weight = add(layer, *args, **options)
        initializers[weight.path] = initializer
        return weight

    with patch.object(keras.Layer, "add_weight", partialmethod(record_initializer, keras.Layer.add_weight)):
        oracle.keras_model(spec)
    return {path: initializer for path, initializer in initializers.items() if path.startswith("layer/")}
