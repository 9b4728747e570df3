"""Position layers and the options of attention layers, against NumPy, KerasHub's formulas and explicit compositions."""

from __future__ import annotations

from typing import Any

import jsonnx
import numpy as np
import pytest
from jsonnx.core.diagnostics import CompileError
from jsonnx.core.types import ShapeError, Size
from support.harness import lower, one_layer, run

RNG = np.random.default_rng(3)


def result(layer: dict[str, Any], x: np.ndarray, *more: np.ndarray, symbolic: bool = False) -> np.ndarray:
    """The result of a layer without weights, with the length of the sequence as a number or as a symbol."""
    time: Any = Size.named("time") if symbolic else x.shape[1]
    shapes = [(time, *array.shape[2:]) for array in (x, *more)]
    graph = lower(one_layer(layer, *shapes))
    (y,) = run(graph, {f"x{index}": array for index, array in enumerate((x, *more))}).values()
    return y


def sines(positions: np.ndarray, features: int, max_wavelength: float = 10000) -> np.ndarray:
    pair = np.arange(features) // 2
    angles = positions[..., None] / max_wavelength ** (2 * pair / features)
    return np.where(np.arange(features) % 2, np.cos(angles), np.sin(angles))


def rotated(
    x: np.ndarray, positions: np.ndarray, max_wavelength: float = 10000, scaling_factor: float = 1
) -> np.ndarray:
    """Rotates each pair of features as a complex number; x is [batch, time, features]."""
    half = x.shape[-1] // 2
    angles = positions[..., None] / scaling_factor / max_wavelength ** (np.arange(half) / half)
    turned = (x[..., :half] + 1j * x[..., half:]) * np.exp(1j * angles)
    return np.concatenate([turned.real, turned.imag], axis=-1)


@pytest.mark.parametrize("symbolic", [False, True])
def test_sines_and_cosines_follow_the_formula(symbolic: bool) -> None:
    x = np.zeros((2, 6, 5), np.float32)
    expected = np.broadcast_to(sines(np.arange(6) + 2, 5, 50), x.shape)
    layer = {"type": "SinePositionEncoding", "max_wavelength": 50, "start_index": 2}
    np.testing.assert_allclose(result(layer, x, symbolic=symbolic), expected, atol=2e-6)
    positions = np.float32([[0, 1, 2, 3, 4, 5], [7, 0, 1, 40, 0, 2]])
    np.testing.assert_allclose(
        result({"type": "SinePositionEncoding"}, x, positions, symbolic=symbolic), sines(positions, 5), atol=1e-5
    )


@pytest.mark.parametrize("symbolic", [False, True])
def test_rotary_embedding_rotates_pairs_of_features(symbolic: bool) -> None:
    x = RNG.normal(size=(2, 7, 6)).astype(np.float32)
    expected = rotated(x, np.arange(7) + 3, 100, 2)
    layer = {"type": "RotaryEmbedding", "max_wavelength": 100, "scaling_factor": 2, "start_index": 3}
    np.testing.assert_allclose(result(layer, x, symbolic=symbolic), expected, atol=3e-6)
    positions = np.float32([[0, 1, 2, 3, 4, 5, 6], [3, 0, 9, 1, 1, 2, 30]])
    actual = result({"type": "RotaryEmbedding"}, x, positions, symbolic=symbolic)
    np.testing.assert_allclose(actual, rotated(x, positions), atol=1e-5)


@pytest.mark.parametrize("time", [4, 5])
def test_longrope_divides_by_long_factors_behind_the_original_length(time: int) -> None:
    """Of a sequence of unknown length, the model finds this out when it runs."""
    layer = {"type": "RotaryEmbedding", "rope_type": "longrope", "original_max_position_embeddings": 4}
    layer |= {"short_factor": [1.0, 1.5, 2.0], "long_factor": [2.0, 3.0, 5.0], "attention_factor": 1.25}
    x = RNG.normal(size=(2, time, 6)).astype(np.float32)
    factors = np.array(layer["long_factor"] if time > 4 else layer["short_factor"])
    angles = np.arange(time)[:, None] / factors / 10000 ** (np.arange(3) / 3)
    turned = 1.25 * (x[..., :3] + 1j * x[..., 3:]) * np.exp(1j * angles)
    expected = np.concatenate([turned.real, turned.imag], axis=-1)
    for symbolic in (False, True):
        np.testing.assert_allclose(result(layer, x, symbolic=symbolic), expected, atol=3e-6)


@pytest.mark.parametrize("axes", [(1, 3), (2, 1), (3, -2)])
def test_rotary_embedding_finds_its_axes(axes: tuple[int, int]) -> None:
    x = RNG.normal(size=(2, 4, 6, 8)).astype(np.float32)
    sequence, feature = axes[0], axes[1] % 4
    (other,) = {1, 2, 3} - {sequence, feature}
    moved = np.moveaxis(x, (other, sequence, feature), (1, 2, 3))
    expected = np.moveaxis(rotated(moved, np.arange(x.shape[sequence])), (1, 2, 3), (other, sequence, feature))
    layer = {"type": "RotaryEmbedding", "sequence_axis": axes[0], "feature_axis": axes[1]}
    np.testing.assert_allclose(result(layer, x), expected, atol=3e-6)


def test_position_embedding_takes_the_first_vectors_or_those_of_given_positions() -> None:
    table = RNG.normal(size=(6, 3)).astype(np.float32)
    x = np.zeros((2, 4, 3), np.float32)
    for time in (4, Size.named("time")):
        graph = lower(one_layer({"type": "PositionEmbedding", "sequence_length": 6, "start_index": 1}, (time, 3)))
        (y,) = run(graph, {"x0": x, "layer/embeddings": table}).values()
        np.testing.assert_array_equal(y, np.broadcast_to(table[1:5], x.shape))
    graph = lower(one_layer({"type": "PositionEmbedding", "sequence_length": 6}, (4, 3), (4,)))
    positions = np.float32([[5, 0, 0, 2], [1, 2, 3, 4]])
    (y,) = run(graph, {"x0": x, "x1": positions, "layer/embeddings": table}).values()
    np.testing.assert_array_equal(y, table[positions.astype(int)])


LLAMA3, LONGROPE = ({"type": "RotaryEmbedding", "rope_type": kind} for kind in ("llama3", "longrope"))


@pytest.mark.parametrize(
    ("layer", "shapes", "message"),
    [
        ({"type": "PositionEmbedding", "sequence_length": 4}, [(5, 3)], "has vectors for 4 positions, and needs 5"),
        ({"type": "PositionEmbedding", "sequence_length": 4, "start_index": 4}, [(None, 3)], "needs at least 5"),
        ({"type": "PositionEmbedding", "sequence_length": 4}, [(5,)], "needs a sequence of vectors"),
        ({"type": "SinePositionEncoding"}, [(5, 3), (4,)], "needs positions of shape"),
        ({"type": "RotaryEmbedding"}, [(5, 3)], "needs an even number of them, got 3"),
        ({"type": "RotaryEmbedding", "sequence_axis": 2}, [(5, 4)], "needs an axis of the sequence"),
        ({"type": "RotaryEmbedding", "rope_type": "yarn", "max_wavelength": 1}, [(5, 4)], "YaRN divides"),
        ({**LLAMA3, "low_freq_factor": 4, "high_freq_factor": 4}, [(5, 4)], "less than its high_freq_factor"),
        (LONGROPE, [(5, 4)], "a short_factor of 2 numbers, one for each pair of features, got 0"),
        ({**LONGROPE, "short_factor": [1, 1], "long_factor": [1]}, [(5, 4)], "a long_factor of 2 numbers"),
        ({**LONGROPE, "original_max_position_embeddings": 1}, [(5, 4)], "of 2 or more, for their logarithm"),
        ({"type": "MultiHeadAttention", "num_heads": 2, "key_dim": 3, "rotary": True}, [(5, 4)], "even number"),
        ({"type": "MultiHeadAttention", "num_heads": 2, "key_dim": 4, "rotary": True}, [(5, 4, 3)], "a single axis"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(layer: dict[str, Any], shapes: list[Any], message: str) -> None:
    with pytest.raises((CompileError, ShapeError), match=message):
        one_layer(layer, *shapes)


def heads(name: str, count: int) -> list[dict[str, Any]]:
    """A projection of `x` into heads, normalized and rotated, as single layers."""
    return [
        {"type": "Dense", "units": 8 * count, "name": name, "from": "x", "use_bias": name == "q"},
        {"type": "Reshape", "target_shape": [-1, count, 8]},
        {"type": "RMSNormalization", "name": f"{name}_norm", "epsilon": 1e-5},
        {"type": "RotaryEmbedding", "name": f"{name}_rotated", "max_wavelength": 1000},
    ]


COMPOSITION: list[dict[str, Any]] = [
    *heads("q", 4),
    *heads("k", 2),
    {"type": "Dense", "units": 16, "name": "v", "from": "x", "use_bias": False},
    {"type": "Reshape", "target_shape": [-1, 2, 8], "name": "values"},
    {"type": "ops.dot_product_attention", "from": ["q_rotated", "k_rotated", "values"], "is_causal": True},
    {"type": "Reshape", "target_shape": [-1, 32]},
    {"type": "Dense", "units": 12, "name": "out"},
]
ATTENTION = {
    **{
        "type": "GroupQueryAttention",
        "head_dim": 8,
        "num_query_heads": 4,
        "num_key_value_heads": 2,
        "name": "attention",
    },
    **{"use_causal_mask": True, "rotary": {"max_wavelength": 1000}, "use_query_key_norm": True},
    **{"layer_norm_epsilon": 1e-5, "use_key_bias": False, "use_value_bias": False},
}
WEIGHT_NAMES = {
    "q/kernel": "query/kernel",
    "q/bias": "query/bias",
    "q_norm/scale": "query_norm/scale",
    "k/kernel": "key/kernel",
    "k_norm/scale": "key_norm/scale",
    "v/kernel": "value/kernel",
    "out/kernel": "attention_output/kernel",
    "out/bias": "attention_output/bias",
}


@pytest.mark.parametrize("time", [6, None])
def test_attention_with_options_equals_the_same_layers_one_by_one(time: int | None) -> None:
    training = {"loss": "mse", "optimizer": {"type": "sgd", "learning_rate": 0.1}}
    inputs = {"x": {"shape": [time, 12]}}
    single = jsonnx.Trainer({"inputs": inputs, "layers": [ATTENTION], "training": training})
    several = jsonnx.Trainer({"inputs": inputs, "layers": COMPOSITION, "training": training})
    shapes = {name: array.shape for name, array in single.weights().items()}
    assert shapes.keys() == {f"attention/{name}" for name in WEIGHT_NAMES.values()}
    drawn = {name: RNG.normal(size=array.shape) * 0.3 for name, array in several.weights().items()}
    several.set_weights(drawn)
    single.set_weights(
        {f"attention/{n}": drawn[name].reshape(shapes[f"attention/{n}"]) for name, n in WEIGHT_NAMES.items()}
    )
    x, y = RNG.normal(size=(2, 3, 6, 12)).astype(np.float32)
    np.testing.assert_allclose(single.predict(x), several.predict(x), atol=2e-6)
    for _ in range(2):
        single.step(x, y), several.step(x, y)
    trained = single.weights()
    for name, inner_name in WEIGHT_NAMES.items():
        array = several.weights()[name]
        np.testing.assert_allclose(trained[f"attention/{inner_name}"].reshape(array.shape), array, atol=2e-5)


def test_equal_tables_of_several_layers_are_one_constant() -> None:
    attention = {"type": "MultiHeadAttention", "num_heads": 2, "key_dim": 16, "rotary": True}
    spec = {"inputs": {"x": {"shape": [2048, 8]}}, "layers": [{**attention, "repeat": 2}]}
    assert 2 * 2048 * 16 * 4 < len(jsonnx.compile(spec).to_bytes()) < 2.2 * 2048 * 16 * 4  # cosines and sines


@pytest.mark.parametrize(
    "option",
    [
        *({"rotary": True}, {"use_query_key_norm": True}, {"use_output_bias": False}, {"score_scale": 0.5}),
        {"score_soft_cap": 30.0},
    ],
)
def test_options_that_keras_lacks_are_not_exported(option: dict[str, Any]) -> None:
    layer = {"type": "MultiHeadAttention", "num_heads": 1, "key_dim": 2, **option}
    with pytest.raises(CompileError, match=f"its '{next(iter(option))}' has no counterpart in Keras"):
        jsonnx.to_keras({"inputs": {"x": {"shape": [3, 2]}}, "layers": [layer]})
