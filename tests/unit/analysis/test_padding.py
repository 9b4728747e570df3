"""Padding masks: a padded sequence gives what the sequence alone gives, in its results, losses and gradients."""

from __future__ import annotations

from itertools import groupby, product
from typing import Any

import jsonnx
import numpy as np
import pytest
from jsonnx.core.diagnostics import CompileError
from jsonnx.pipeline.check.check import check_spec

Layers = list[dict[str, Any]]

STEPS, FEATURES, CLASSES = 37, 4, 3
LENGTHS = (37, 22, 29)
LABELS = np.array([[1, 1, 2], [2, 0, 0], [1, 2, 0]])
MASK = {"type": "SequenceMask", "name": "mask"}
DENSE = {"type": "Dense", "name": "out", "units": CLASSES}
ATTENTION = {"type": "MultiHeadAttention", "num_heads": 2, "key_dim": 2, "name": "attended"}
CONV = {"type": "Conv1D", "filters": 4, "kernel_size": 3, "activation": "sigmoid"}

SEQUENCES: dict[str, Layers] = {
    "conv": [CONV, {**CONV, "strides": 2}],
    "conv-same": [{**CONV, "padding": "same"}, {**CONV, "padding": "same", "kernel_size": 5}],
    "conv-causal": [{**CONV, "padding": "causal", "dilation_rate": 2}, {**CONV, "padding": "causal", "strides": 2}],
    "conv-1": [{**CONV, "kernel_size": 1, "strides": 3}],
    "depthwise": [
        {"type": "DepthwiseConv1D", "kernel_size": 4},
        {"type": "SeparableConv1D", "filters": 4, "kernel_size": 3},
    ],
    "pooling": [
        {"type": "Dense", "units": 3, "activation": "sigmoid"},
        {"type": "MaxPooling1D", "pool_size": 3, "strides": 2},
        {"type": "AveragePooling1D", "pool_size": 2},
    ],
    "images": [
        {"type": "ops.expand_dims", "axis": -1},
        {"type": "Conv2D", "filters": 2, "kernel_size": 3, "strides": 2, "activation": "sigmoid"},
        {"type": "MaxPooling2D", "pool_size": [2, 1]},
        {"type": "Reshape", "target_shape": [-1, 2]},
    ],
    "recurrent": [{"type": "Bidirectional", "layer": {"type": "GRU", "units": 3, "return_sequences": True}}],
    "attention": [
        {"type": "RMSNormalization", "name": "norm"},
        {"type": "SinePositionEncoding", "name": "positions", "from": "norm"},
        {"type": "Add", "name": "sum", "from": ["norm", "positions"]},
        {**ATTENTION, "relative_position": "shaw", "from": "sum"},
        {"type": "ops.add", "name": "residual", "from": ["attended", "sum"]},
        {**CONV, "padding": "same"},
    ],
    "concatenation": [
        {**CONV, "name": "a", "padding": "same"},
        {"type": "Dense", "name": "b", "units": 3, "from": "mask"},
        {"type": "Concatenate", "name": "joined", "from": ["a", "b"]},
        CONV,
        {"type": "ops.expand_dims", "name": "c", "axis": 2},
        {"type": "Concatenate", "from": ["c", "c"], "axis": 2},
        {"type": "Conv2D", "filters": 2, "kernel_size": [3, 2], "activation": "sigmoid"},
        {"type": "Reshape", "target_shape": [-1, 2]},
    ],
    "operators": [
        {"type": "ops.multiply", "x2": 0.5},
        {"type": "ops.transpose", "axes": [0, 2, 1]},
        {"type": "ops.exp"},
        {"type": "Permute", "dims": [2, 1]},
        CONV,
    ],
}
VECTORS: dict[str, Layers] = {
    "mean": [CONV, {"type": "GlobalAveragePooling1D"}],
    "last-state": [{**CONV, "padding": "same"}, {"type": "LSTM", "units": 3}],
    "attention": [{**ATTENTION, "use_causal_mask": True}, {"type": "GlobalAveragePooling1D"}],
}
SIGNALS: dict[str, Layers] = {
    "stft": [
        {"type": "ops.expand_dims", "axis": -1},
        {"type": "STFTSpectrogram", "frame_length": 8, "frame_step": 3, "mode": "magnitude"},
    ],
    "mel": [
        {
            **{"type": "MelSpectrogram", "fft_length": 8, "sequence_stride": 3, "num_mel_bins": 4},
            **{"sampling_rate": 100, "min_freq": 0, "power_to_db": False},
        },
        {"type": "Permute", "dims": [2, 1]},
    ],
}


MASKED_FRAMES = 2
"""At most: the last frames of a spectrogram, which reach beyond the end."""


def spec(layers: Layers, loss: str, shape: list[Any], lengths: bool = False) -> dict[str, Any]:
    inputs: dict[str, Any] = {"x": {"shape": shape}}
    mask = MASK
    if lengths:
        inputs["lengths"] = {"shape": [], "dtype": "int32"}
        mask = {**MASK, "from": ["x", "lengths"]}
    training = {"loss": loss, "optimizer": {"type": "sgd", "learning_rate": 1.0}}
    return {"inputs": inputs, "layers": [mask, *layers, DENSE], "training": training}


def sequences(*features: int) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.normal(size=(length, *features)).astype(np.float32) for length in LENGTHS]


def padded(parts: list[np.ndarray], value: float = 0.0) -> np.ndarray:
    widths = [((0, STEPS - len(part)), *[(0, 0)] * (part.ndim - 1)) for part in parts]
    return np.stack([np.pad(part, width, constant_values=value) for part, width in zip(parts, widths, strict=True)])


def step(trainer: jsonnx.Trainer, start: dict[str, np.ndarray], x: Any, y: np.ndarray) -> tuple[float, dict[str, Any]]:
    """The loss of a batch, and the gradients of the weights."""
    trainer.set_weights(start)
    loss = trainer.step(x, y)["loss"]
    return loss, {name: start[name] - weight for name, weight in trainer.weights().items()}


CHAINS = [
    *(pytest.param(layers, "ctc", (FEATURES,), id=name) for name, layers in SEQUENCES.items()),
    *(pytest.param(layers, "mse", (FEATURES,), id=f"{name}-vector") for name, layers in VECTORS.items()),
    *(pytest.param(layers, "ctc", (), id=name) for name, layers in SIGNALS.items()),
]


@pytest.mark.parametrize(("layers", "loss", "features"), CHAINS)
def test_padding_changes_no_result_no_loss_and_no_gradient(layers: Layers, loss: str, features: tuple) -> None:
    trainer = jsonnx.Trainer(spec(layers, loss, [None, *features]))
    rng = np.random.default_rng(1)
    start = {name: rng.normal(size=array.shape).astype(np.float32) * 0.5 for name, array in trainer.weights().items()}
    trainer.set_weights(start)
    parts = sequences(*features)
    targets = LABELS if loss == "ctc" else rng.normal(size=(3, CLASSES)).astype(np.float32)
    together = trainer.predict(padded(parts))
    for row, part in zip(together, parts, strict=True):
        alone = trainer.predict(part[None])[0]
        steps = slice(0, len(alone) - MASKED_FRAMES if layers is SIGNALS["mel"] else None)
        np.testing.assert_allclose(row[: len(alone)][steps], alone[steps], atol=2e-5)
    losses, gradients = zip(
        *(step(trainer, start, part[None], targets[[row]]) for row, part in enumerate(parts)), strict=True
    )
    total, gradient = step(trainer, start, padded(parts), targets)
    np.testing.assert_allclose(total, np.mean(losses), rtol=2e-5)
    for name in start:
        expected = sum(each[name] for each in gradients) / len(parts)
        np.testing.assert_allclose(gradient[name], expected, atol=3e-5, err_msg=name)


def ctc_by_enumeration(logits: np.ndarray, labels: list[int]) -> float:
    """The loss of a sequence: minus the log of the probability of all paths that collapse to the labels."""
    probabilities = np.exp(logits - logits.max(-1, keepdims=True))
    probabilities /= probabilities.sum(-1, keepdims=True)
    total = 0.0
    for path in product(range(logits.shape[1]), repeat=len(logits)):
        if [key for key, _ in groupby(path) if key] == labels:
            total += np.prod(probabilities[np.arange(len(path)), path])
    return float(-np.log(total))


def test_ctc_takes_the_steps_before_the_padding() -> None:
    rng = np.random.default_rng(2)
    parts = [rng.normal(size=(length, CLASSES)).astype(np.float32) for length in (6, 4, 5)]
    document = spec([], "ctc", [None, CLASSES])
    document["layers"] = [MASK, {**DENSE, "use_bias": False}]
    trainer = jsonnx.Trainer(document)
    trainer.set_weights({"out/kernel": np.eye(CLASSES, dtype=np.float32)})
    expected = [ctc_by_enumeration(part, [int(n) for n in row if n]) for part, row in zip(parts, LABELS, strict=True)]
    actual = trainer.evaluate(padded_to(parts, 8), LABELS)["loss"]
    np.testing.assert_allclose(actual, np.mean(expected), rtol=1e-5)


def padded_to(parts: list[np.ndarray], steps: int) -> np.ndarray:
    return np.stack([np.pad(part, ((0, steps - len(part)), (0, 0))) for part in parts])


def test_lengths_as_an_input_give_the_same_mask() -> None:
    layers = SEQUENCES["conv"]
    derived, given = (jsonnx.Trainer(spec(layers, "ctc", [None, FEATURES], lengths)) for lengths in (False, True))
    given.set_weights(derived.weights())
    x = padded(sequences(FEATURES))
    noise = np.where(np.arange(STEPS)[:, None] >= np.array(LENGTHS)[:, None, None], 9, x).astype(np.float32)
    results = given.predict({"x": noise, "lengths": np.array(LENGTHS, np.int32)})
    np.testing.assert_allclose(results, derived.predict(x), atol=1e-6)
    with pytest.raises(CompileError, match=r"needs lengths of shape \[batch\], got float32\[batch, 5\]"):
        check_spec({"inputs": {"x": {"shape": [5]}}, "layers": [{**MASK, "from": ["x", "x"]}]}).require()


def test_a_sequence_ends_with_the_last_step_that_differs_from_the_padding() -> None:
    inputs = {"ids": {"shape": ["time"], "dtype": "int32"}}
    layers = [
        {"type": "SequenceMask", "pad_value": -1},
        {"type": "Embedding", "input_dim": 4, "output_dim": 2},
        {"type": "GlobalAveragePooling1D", "name": "mean"},
    ]
    session = jsonnx.compile({"inputs": inputs, "layers": layers}).session()
    mean = session.run(np.int32([[3, 0, -1, 2, -1, -1]]))["mean"]
    alone = session.run(np.int32([[3, 0, -1, 2]]))["mean"]
    np.testing.assert_allclose(mean, alone)


def warnings_of(*layers: dict[str, Any], time: int | str = "time") -> list[str]:
    inputs = {"x": {"shape": [time, 3]}}
    checked = check_spec({"inputs": inputs, "layers": list(layers)})
    return [diagnostic.code for diagnostic in checked.diagnostics if diagnostic.severity == "warning"]


def test_masks_of_keras_end_where_keras_ends_them_and_padding_masks_where_it_has_no_meaning() -> None:
    pool = {"type": "MaxPooling1D"}
    assert warnings_of({"type": "Masking"}, CONV) == ["mask-ends"]
    assert warnings_of({"type": "Masking"}, pool) == ["mask-ends"]
    assert warnings_of(MASK, CONV, pool) == []
    assert warnings_of(MASK, {**pool, "padding": "same"}) == ["mask-ends"]
    assert warnings_of(MASK, {"type": "Reshape", "target_shape": [1, -1]}) == ["mask-ends"]
    permuted = {"type": "Permute", "dims": [2, 1]}
    assert warnings_of(MASK, permuted, {"type": "Dense", "units": 7}, time=5) == ["mask-ends"]


def test_layers_that_read_masks_need_the_steps_on_axis_1() -> None:
    layers = [MASK, {"type": "Permute", "dims": [2, 1]}, {"type": "LSTM", "units": 2}]
    with pytest.raises(CompileError, match="reads the padding of an input whose steps are axis 2"):
        check_spec({"inputs": {"x": {"shape": [5, 3]}}, "layers": layers}).require()
