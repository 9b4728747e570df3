"""Quantization-aware training: the rounding of training, evaluation and the compiled model, and other features with
it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonnx
import numpy as np
import onnxruntime
import pytest
from jsonnx.core.reserved_names import FROZEN_RANGES, is_range_name
from jsonnx.ir import Graph, State
from jsonnx.passes.canonicalize import with_replaced_inputs
from jsonnx.passes.constant_folding import bind_states
from jsonnx.passes.quantization.corresponding_values import NoCounterpart
from jsonnx.passes.quantization.integers import quantization_parameters, weight_scales
from jsonnx.pipeline.check.check import check_spec
from jsonnx.pipeline.compile.quantized_network import quantized_network
from jsonnx.pipeline.train.plan_training import fixed_parts, plan_training
from support.harness import run

BATCH_SIZE, SAMPLES = 16, 80
VECTOR, IMAGE, STEPS = {"shape": [10]}, {"shape": [8, 8, 3]}, {"shape": [6, 8]}
INDICES = {"shape": [6], "dtype": "int32"}


def conv(**keys: Any) -> dict[str, Any]:
    return {"type": "Conv2D", "filters": 8, "kernel_size": 3, "padding": "same", **keys}


NORMALIZATION, RELU, FLATTEN = {"type": "BatchNormalization", "momentum": 0.5}, {"type": "ReLU"}, {"type": "Flatten"}
AVERAGE, HEAD = {"type": "GlobalAveragePooling2D"}, {"type": "Dense", "units": 4, "name": "head"}
DEPTHWISE = {"type": "DepthwiseConv2D", "kernel_size": 3, "padding": "same"}

NETWORKS: dict[str, tuple[dict[str, Any], list[dict[str, Any]]]] = {
    "mlp": (VECTOR, [{"type": "Dense", "units": 16, "activation": "relu"}, HEAD]),
    "normalized_mlp": (VECTOR, [{"type": "Dense", "units": 16}, NORMALIZATION, RELU, HEAD]),
    "dropout": (
        VECTOR,
        [
            {"type": "Dropout", "rate": 0.1},
            {"type": "Dense", "units": 16, "activation": "relu"},
            {"type": "Dropout", "rate": 0.3},
            HEAD,
        ],
    ),
    "normalized_cnn": (IMAGE, [conv(use_bias=False), NORMALIZATION, RELU, conv(), NORMALIZATION, RELU, AVERAGE, HEAD]),
    "depthwise": (
        IMAGE,
        [
            conv(),
            NORMALIZATION,
            RELU,
            DEPTHWISE,
            NORMALIZATION,
            RELU,
            {"type": "Conv2D", "filters": 6, "kernel_size": 1, "activation": "relu"},
            FLATTEN,
            HEAD,
        ],
    ),
    "separable": (IMAGE, [{"type": "SeparableConv2D", "filters": 6, "kernel_size": 3}, RELU, FLATTEN, HEAD]),
    "residual": (
        IMAGE,
        [
            conv(name="a", activation="relu"),
            conv(name="b"),
            NORMALIZATION | {"name": "n"},
            {"type": "Add", "from": ["a", "n"]},
            RELU,
            AVERAGE,
            HEAD,
        ],
    ),
    "concatenated": (
        IMAGE,
        [
            conv(name="a", activation="relu"),
            conv(name="b", activation="relu"),
            {"type": "Concatenate", "from": ["a", "b"]},
            conv(name="c", activation="relu"),
            AVERAGE,
            HEAD,
        ],
    ),
    "normalization_first": (
        IMAGE,
        [
            conv(name="a"),
            NORMALIZATION,
            RELU,
            conv(name="b"),
            {"type": "Add", "from": ["a", "b"]},
            NORMALIZATION,
            RELU,
            AVERAGE,
            HEAD,
        ],
    ),
    "frozen_normalization": (IMAGE, [conv(), NORMALIZATION | {"trainable": False}, RELU, FLATTEN, HEAD]),
    "shared": (
        VECTOR,
        [{"type": "Dense", "units": 10, "activation": "relu", "name": "d"}, {"use": "d", "name": "again"}, HEAD],
    ),
    "padded_and_pooled": (
        IMAGE,
        [
            {"type": "ZeroPadding2D", "padding": 1},
            conv(padding="valid", activation="relu6"),
            {"type": "AveragePooling2D", "pool_size": 2},
            conv(activation="relu"),
            {"type": "MaxPooling2D"},
            FLATTEN,
            HEAD,
        ],
    ),
    "rescaled": (IMAGE, [{"type": "Rescaling", "scale": 0.5, "offset": 1.0}, conv(strides=2), RELU, FLATTEN, HEAD]),
    "embedding": (
        INDICES,
        [
            {"type": "Embedding", "input_dim": 200, "output_dim": 8},
            {"type": "GlobalAveragePooling1D"},
            {"type": "Dense", "units": 16, "activation": "relu"},
            HEAD,
        ],
    ),
    "attention": (
        STEPS,
        [
            {"type": "MultiHeadAttention", "num_heads": 2, "key_dim": 4, "from": ["x", "x"], "name": "m"},
            {"type": "Add", "from": ["x", "m"]},
            {"type": "LayerNormalization"},
            {"type": "Dense", "units": 16, "activation": "gelu"},
            {"type": "GlobalAveragePooling1D"},
            HEAD,
        ],
    ),
    "sequence": (
        STEPS,
        [
            {"type": "Conv1D", "filters": 6, "kernel_size": 3, "padding": "causal"},
            NORMALIZATION,
            RELU,
            {"type": "GlobalMaxPooling1D"},
            HEAD,
        ],
    ),
    "transposed": (
        IMAGE,
        [
            conv(strides=2, activation="relu"),
            {"type": "Conv2DTranspose", "filters": 16, "kernel_size": 3},
            NORMALIZATION,
            RELU,
            FLATTEN,
            HEAD,
        ],
    ),
    "each_step": (
        {"shape": [2, 8, 8, 3]},
        [
            {"type": "TimeDistributed", "layer": conv()},
            {"type": "TimeDistributed", "layer": NORMALIZATION},
            FLATTEN,
            HEAD,
        ],
    ),
    "recurrent": (STEPS, [{"type": "LSTM", "units": 5}, HEAD]),
}

VARIANTS: dict[str, dict[str, Any]] = {
    "int8": {},
    "signed": {"activations": "int8"},
    "one_scale": {"per_channel": False},
    "four_bits": {"layers": {"*": {"bits": 4}}},
    "float_head": {"layers": {"head": None}},
}


def spec_of(network: str = "mlp", variant: str = "int8", **training: Any) -> dict[str, Any]:
    x, layers = NETWORKS[network]
    keys = {"loss": "mse", "optimizer": "adam", "epochs": 4, "batch_size": BATCH_SIZE, "quantize": variant}
    variants = {"quantization": {variant: VARIANTS[variant]}} if VARIANTS[variant] else {}
    return {"inputs": {"x": x}, "layers": layers, **variants, "training": {**keys, **training}}


def samples(network: str = "mlp") -> tuple[np.ndarray, np.ndarray]:
    rng, x = np.random.default_rng(0), NETWORKS[network][0]
    shape = (SAMPLES, *x["shape"])
    inputs = rng.integers(0, 200, shape).astype(np.int32) if "dtype" in x else rng.normal(size=shape).astype(np.float32)
    return inputs, rng.normal(size=(SAMPLES, 4)).astype(np.float32)


def trained(network: str = "mlp", variant: str = "int8", **training: Any) -> jsonnx.Trainer:
    trainer = jsonnx.Trainer(spec_of(network, variant, **training))
    trainer.fit(*samples(network))
    return trainer


def evaluated(trainer: jsonnx.Trainer, x: np.ndarray) -> np.ndarray:
    """The output of the evaluation graph, node by node as it is written, with constant weights as in a model: products
    with these have another kernel."""
    graph, weights = trainer.plan.predict, trainer.weights()
    parameters = {name: State(name, weight.type, None) for name, weight in graph.parameters.items()}
    replaced = {weight: parameters[name] for name, weight in graph.parameters.items()}
    nodes = [with_replaced_inputs(node, replaced) for node in graph.nodes]
    states = replace(graph.with_nodes(nodes, {}), parameters={}, states={**graph.states, **parameters})
    return next(iter(run(bind_states(states, weights), {"x": x}, optimize=False).values()))


def exported(trainer: jsonnx.Trainer, x: np.ndarray, *, fused: bool = False, floats: bool = False) -> np.ndarray:
    """The output of the compiled model: by kernels of integers if `fused`, with other fusions only if `floats`."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    if not fused and not floats:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    if floats:
        options.add_session_config_entry("session.disable_quant_qdq", "1")
    return onnxruntime.InferenceSession(trainer.model().to_bytes(), options).run(None, {"x": x})[0]


@pytest.mark.costly(6)
@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("network", NETWORKS)
def test_the_exported_model_rounds_as_evaluation_does(network: str, variant: str) -> None:
    if (network, variant) == ("recurrent", "float_head"):
        return  # nothing is quantized
    trainer, (x, _) = trained(network, variant), samples(network)
    expected = evaluated(trainer, x)
    assert np.ptp(expected) > 0
    np.testing.assert_array_equal(exported(trainer, x), expected)
    np.testing.assert_allclose(trainer.predict(x), expected, atol=1e-2 * np.ptp(expected))
    np.testing.assert_allclose(exported(trainer, x, floats=True), expected, atol=1e-2 * np.ptp(expected))


@pytest.mark.parametrize("layer", [conv(activation="relu"), DEPTHWISE, conv(strides=2)])
def test_a_fused_kernel_is_within_one_step(layer: dict[str, Any]) -> None:
    spec = spec_of("normalized_cnn") | {"layers": [layer | {"name": "layer"}]}
    x, _ = samples("normalized_cnn")
    trainer = jsonnx.Trainer(spec)
    trainer.fit(x, np.zeros_like(trainer.predict(x)))
    expected, weights = evaluated(trainer, x), trainer.weights()
    low, high = (weights[f"layer/quantizer/{bound}"] for bound in ("low", "high"))
    step = (high - low) / 255
    assert np.abs(exported(trainer, x, fused=True) - expected).max() <= 1.01 * step


def operators(graph: Graph) -> list[str]:
    return [node.op for node in graph.nodes]


def test_normalizations_are_folded_before_the_weights_are_rounded() -> None:
    trainer = trained("normalized_cnn")
    assert "BatchNormalization" not in operators(trainer.plan.predict)
    weights = trainer.weights()
    kernel = weights["conv2d/kernel"].transpose(3, 2, 0, 1)
    scale = weights["batch_normalization/gamma"] / np.sqrt(weights["batch_normalization/moving_variance"] + 1e-3)
    folded = kernel * scale.reshape(-1, 1, 1, 1)
    steps = np.abs(folded).max(axis=(1, 2, 3)) / np.float32(127)
    integers = next(array for array in constants(trainer) if array.dtype == np.int8 and array.shape == kernel.shape)
    np.testing.assert_array_equal(integers, np.round(folded / steps.reshape(-1, 1, 1, 1)))


def constants(trainer: jsonnx.Trainer) -> list[np.ndarray]:
    from onnx.numpy_helper import to_array

    return [to_array(tensor) for tensor in trainer.model().proto.graph.initializer]


@pytest.mark.parametrize("variant", ["int8", "one_scale"])
def test_training_rounds_weights_on_the_grid_of_the_folded_ones(variant: str) -> None:
    """With statistics of the batch that equal the moving averages, a step computes what evaluation computes."""
    spec = spec_of("normalized_cnn", variant) | {"layers": [conv(name="c"), NORMALIZATION | {"name": "n"}]}
    x = samples("normalized_cnn")[0]
    trainer = jsonnx.Trainer(spec)
    trainer.fit(x, np.zeros_like(trainer.predict(x)))
    weights = trainer.weights()
    weights["n/gamma"] = np.linspace(-1.5, 2, 8).astype(np.float32)
    quantized = quantized_network(check_spec(spec))
    assert quantized is not None
    forward = quantized.training_graph(jsonnx_forward(spec))
    kernels = [node for node in forward.nodes if node.op == "Conv"]
    conv_result = replace(forward, outputs={"y": kernels[0].outputs[0]}, updates={}, losses=(), masks={})
    frozen = {FROZEN_RANGES: np.array(1, np.float32)}
    y = run(conv_result, {"x": x, **weights, **frozen}, optimize=False)["y"]
    factor = weights["n/gamma"] / np.sqrt(weights["n/moving_variance"] + np.float32(1e-3))
    shift = weights["n/beta"] - weights["n/moving_mean"] * factor
    expected = y * factor.reshape(-1, 1, 1) + shift.reshape(-1, 1, 1)
    trainer.set_weights(weights)
    step = (weights["c/quantizer/high"] - weights["c/quantizer/low"]) / 255
    inside = np.clip(expected, weights["c/quantizer/low"], weights["c/quantizer/high"])
    result = evaluated(trainer, x).transpose(0, 3, 1, 2)
    assert np.abs(result - inside).max() <= 1.1 * step


def jsonnx_forward(spec: Any) -> Graph:
    from jsonnx.pipeline.compile.graphs import forward_graph

    return forward_graph(check_spec(spec), training=True)


def rounded(x: np.ndarray, low: float, high: float) -> np.ndarray:
    scale, zero_point = quantization_parameters(low, high)
    return (np.clip(np.round(x / scale), -zero_point, 255 - zero_point) * scale).astype(np.float64)


def rounded_kernel(kernel: np.ndarray) -> np.ndarray:
    scales = weight_scales(kernel, 1, 8)
    return (np.round(kernel / scales) * scales).astype(np.float64)


def test_gradients_of_a_step_are_those_of_a_network_whose_roundings_are_constant_shifts() -> None:
    """The straight-through gradient, by finite differences: rounding adds what it adds at the weights of the step."""
    (x, y), trainer = samples(), jsonnx.Trainer(spec_of(optimizer={"type": "sgd", "learning_rate": 1.0}))
    trainer.step(x, y)
    trainer.set_weights(trainer.weights() | {"dense/quantizer/high": np.float32(0.5)})
    before = trainer.weights()
    trainer.step(x, y)
    after = trainer.weights()
    names = ["dense/kernel", "dense/bias", "head/kernel", "head/bias"]
    kernels = {name: rounded_kernel(before[name]) - before[name] for name in names if "kernel" in name}
    x_rounded = rounded(x, after["x/quantizer/low"], after["x/quantizer/high"])
    high = float(after["dense/quantizer/high"])

    def hidden(weights: dict[str, np.ndarray]) -> np.ndarray:
        return np.maximum(x_rounded @ (weights["dense/kernel"] + kernels["dense/kernel"]) + weights["dense/bias"], 0)

    at_step = {name: before[name].astype(np.float64) for name in names}
    clipped = np.clip(hidden(at_step), 0, high)
    shift = rounded(clipped.astype(np.float32), 0, high) - clipped
    assert (hidden(at_step) > high).any()

    def loss(weights: dict[str, np.ndarray]) -> float:
        h = np.clip(hidden(weights), 0, high) + shift
        return float(np.mean((h @ (weights["head/kernel"] + kernels["head/kernel"]) + weights["head/bias"] - y) ** 2))

    for name in names:
        gradient = before[name] - after[name]
        direction = np.random.default_rng(0).normal(size=gradient.shape)
        ends = (loss(at_step | {name: at_step[name] + sign * 1e-5 * direction}) for sign in (1, -1))
        slope = np.subtract(*ends) / 2e-5
        np.testing.assert_allclose((gradient * direction).sum(), slope, rtol=2e-3, atol=1e-4, err_msg=name)


def test_ranges_begin_with_the_first_batch_and_then_move() -> None:
    trainer = jsonnx.Trainer(spec_of())
    x, y = samples()
    trainer.step(x[:16], y[:16])
    weights = trainer.weights()
    assert (weights["x/quantizer/low"], weights["x/quantizer/high"]) == (x[:16].min(), x[:16].max())
    trainer.step(3 * x[16:32], y[16:32])
    moved = trainer.weights()
    np.testing.assert_allclose(
        moved["x/quantizer/high"], 0.9 * weights["x/quantizer/high"] + 0.1 * 3 * x[16:32].max(), rtol=1e-5
    )
    assert moved["dense/quantizer/low"] == 0


def test_ranges_are_frozen_in_the_last_quarter_of_the_epochs() -> None:
    seen: list[np.ndarray] = []

    class Recorder(jsonnx.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            seen.append(self.model.weights()["dense/quantizer/high"])

    trainer = jsonnx.Trainer(spec_of(epochs=8))
    trainer.fit(*samples(), callbacks=[Recorder()])
    assert len({float(high) for high in seen[:6]}) == 6
    assert seen[5] == seen[6] == seen[7]
    trainer.fit(*samples(), epochs=1)
    assert trainer.weights()["dense/quantizer/high"] != seen[7]


def test_a_resumed_fit_is_the_same_bit_for_bit(tmp_path: Path) -> None:
    x, y = samples("normalized_cnn")
    whole = jsonnx.Trainer(spec_of("normalized_cnn", epochs=8))

    class Saver(jsonnx.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            if self.model.steps in (12, 33):
                self.model.save_checkpoint(tmp_path / f"{self.model.steps}.safetensors")

    whole.fit(x, y, callbacks=[Saver()])
    for step in (12, 33):
        resumed = jsonnx.Trainer(spec_of("normalized_cnn", epochs=8))
        resumed.load_checkpoint(tmp_path / f"{step}.safetensors")
        resumed.fit(x, y)
        for name, array in whole.weights().items():
            np.testing.assert_array_equal(resumed.weights()[name], array, err_msg=name)


def test_a_float_run_starts_a_quantized_training_which_another_continues() -> None:
    x, y = samples()
    floats = jsonnx.Trainer(spec_of(quantize=None))
    floats.fit(x, y)
    begun = jsonnx.Trainer(spec_of(), weights=floats.weights())
    begun.fit(x, y, epochs=1)
    continued = jsonnx.Trainer(spec_of(), weights=begun.weights())
    assert continued.weights()["x/quantizer/high"] == begun.weights()["x/quantizer/high"] > 0
    back = jsonnx.Trainer(spec_of(quantize=None), weights=begun.weights())
    assert not any(is_range_name(name) for name in back.weights())


def test_some_ranges_without_the_others_are_an_error() -> None:
    weights = trained().weights()
    del weights["dense/quantizer/high"]
    with pytest.raises(jsonnx.CompileError, match="'dense/quantizer/high' is missing"):
        jsonnx.compile(spec_of(), weights=weights)


def test_ranges_that_are_not_usable_are_an_error() -> None:
    weights = trained().weights() | {"x/quantizer/low": np.array(100, np.float32)}
    with pytest.raises(jsonnx.CompileError, match=r"'x' cannot be quantized: .* is not a finite range"):
        jsonnx.compile(spec_of(), weights=weights)


def test_an_untrained_model_is_one_in_floating_point() -> None:
    model = jsonnx.compile(spec_of())
    assert "QuantizeLinear" not in {node.op_type for node in model.proto.graph.node}
    trainer = trained()
    model = jsonnx.compile(spec_of(), weights=trainer.weights())
    assert model.to_bytes() == trainer.model().to_bytes()
    metadata = {entry.key: entry.value for entry in model.proto.metadata_props}
    assert '"ranges": "trained"' in metadata["jsonnx.quantization"]


@pytest.mark.parametrize(
    "training",
    [
        {"freeze": ["dense"]},
        {"remat": "full"},
        {"loss_scale": {}},
        {"frozen_dtype": "float16", "freeze": ["dense"]},
        {"restore_best_weights": True, "early_stopping": {"patience": 1}},
        {"optimizer": {"type": "sgd", "gradient_accumulation_steps": 2}},
        {"optimizer": {"type": "adam", "use_ema": True}},
        {"target": {"normalize": True}},
    ],
)
def test_other_keys_of_training_go_together_with_it(training: dict[str, Any]) -> None:
    x, y = samples()
    trainer = jsonnx.Trainer(spec_of(**training))
    trainer.fit(x, y, validation_split=0.2)
    np.testing.assert_array_equal(exported(trainer, x), evaluated(trainer, x))
    assert trainer.weights()["dense/quantizer/high"] > 0


def test_sample_weights_go_together_with_it() -> None:
    x, y = samples()
    trainer = jsonnx.Trainer(spec_of())
    trainer.fit(x, y, sample_weight=np.linspace(0, 1, SAMPLES).astype(np.float32))
    np.testing.assert_array_equal(exported(trainer, x), evaluated(trainer, x))


def test_a_training_without_the_key_has_no_ranges() -> None:
    plan = plan_training(check_spec(spec_of(quantize=None)))
    assert not any(is_range_name(name) for name in plan.train.states)
    assert FROZEN_RANGES not in plan.train.states


def test_a_network_without_products_has_nothing_to_quantize() -> None:
    spec = spec_of() | {"layers": [{"type": "Rescaling", "scale": 2.0}, {"type": "LayerNormalization"}]}
    with pytest.raises(jsonnx.CompileError) as raised:
        jsonnx.Trainer(spec)
    (diagnostic,) = raised.value.diagnostics
    assert (diagnostic.code, diagnostic.path) == ("nothing-to-quantize", "$.training.quantize")


def test_a_resumed_run_has_the_same_variant() -> None:
    spec = spec_of(variant="float_head")
    fixed = fixed_parts(spec)
    assert fixed["training.quantize"] == "float_head"
    assert fixed["quantization.layers"] == {"head": None}
    spec["quantization"]["float_head"] |= {"tolerance": {"loss": 0.1}, "calibration": {"samples": 8}}
    assert fixed_parts(spec) == fixed


def test_a_spec_without_variants_trains() -> None:
    spec = spec_of() | {"quantization": None}
    assert fixed_parts(spec) == fixed_parts(spec_of())
    trainer = jsonnx.Trainer(spec)
    trainer.fit(*samples())
    assert trainer.weights()["dense/quantizer/high"] > 0


def test_a_quantizer_without_counterpart_in_training_is_an_error() -> None:
    quantized, other = quantized_network(check_spec(spec_of())), jsonnx_forward(spec_of("normalized_cnn"))
    assert quantized is not None
    with pytest.raises(NoCounterpart, match="dense"):
        quantized.training_graph(other)


def test_the_plan_is_the_same_with_and_without_weights() -> None:
    trainer = trained("residual")
    quantized = quantized_network(check_spec(spec_of("residual")))
    assert quantized is not None
    weights = trainer.weights()
    bound = quantized.bound(weights)
    assert operators(bound).count("QuantizeLinear") >= len(quantized.plan.activations)
    ranges = quantized.ranges(weights)
    assert ranges.keys() == {each.key for each in quantized.plan.activations}
