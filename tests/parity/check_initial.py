"""Initial weights: for every layer, drawn from the distributions that Keras draws them from."""

from __future__ import annotations

from functools import partialmethod
from typing import Any
from unittest.mock import patch

import keras
import numpy as np
import oracle
import pytest
from cases import Network, of_layers
from jsonnx.pipeline.trainer import Trainer
from jsonnx.training.initializers import FanScaledInitializer, weight_fans
from keras.src.initializers.random_initializers import RandomInitializer, VarianceScaling, compute_fans


def one_a_type() -> dict[str, Network]:
    """The first network of every layer that trains without data, and of every layer inside another."""
    found: dict[str, Network] = {}
    for network in of_layers():
        (layer,) = (entry for entry in network.spec["layers"] if entry.get("name") == "layer")
        inner = layer.get("layer", layer.get("cell"))
        name = f"{layer['type']}-{inner['type']}" if isinstance(inner, dict) else layer["type"]
        found.setdefault(name, network)
    return found


@pytest.mark.parametrize("network", [pytest.param(network, id=name) for name, network in one_a_type().items()])
def test_initial_weights_are_drawn_from_the_distribution_of_keras(network: Network) -> None:
    wanted = keras_initializers(network.spec)
    if not wanted:
        pytest.skip("has no weights")
    trainer = Trainer(network.spec)
    weights = {**trainer.plan.train.parameters, **trainer.plan.train.states}
    values = trainer.weights()
    for path, theirs in wanted.items():
        ours, shape = weights[path].initializer, tuple(weights[path].shape)
        if isinstance(theirs, VarianceScaling):
            assert isinstance(ours, FanScaledInitializer), path
            chosen = getattr(ours, "choices", None) or (ours.scale, ours.mode, ours.distribution)
            assert chosen == (theirs.scale, theirs.mode, theirs.distribution), path
            given = weight_fans(shape, ours.input_axes, ours.output_axes)
            assert given == compute_fans(shape, theirs.input_axes, theirs.output_axes), path
        elif isinstance(theirs, RandomInitializer):
            assert type(ours).__name__ == type(theirs).__name__, path
            config = {name: value for name, value in theirs.get_config().items() if name != "seed"}
            assert config == {name: getattr(ours, name) for name in config}, path
        else:
            np.testing.assert_allclose(values[path], np.asarray(theirs(shape)), atol=1e-6, err_msg=path)


def keras_initializers(spec: dict[str, Any]) -> dict[str, Any]:
    """The initializer of every weight of the layer in question, by the weight's path."""
    found: dict[str, Any] = {}

    def noted(layer: Any, add: Any, *args: Any, **options: Any) -> Any:
        given, options["initializer"] = keras.initializers.get(options.get("initializer")), "zeros"
        weight = add(layer, *args, **options)
        found[weight.path] = given
        return weight

    with patch.object(keras.Layer, "add_weight", partialmethod(noted, keras.Layer.add_weight)):
        oracle.keras_model(spec)
    return {path: initializer for path, initializer in found.items() if path.startswith("layer/")}
