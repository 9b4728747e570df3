"""TimeDistributed where the generic tests do not reach."""

from __future__ import annotations

import numpy as np
import pytest
from jsonnx import Trainer
from jsonnx.core.diagnostics import CompileError
from jsonnx.core.types import Size
from jsonnx.layers.rnn import time_distributed
from jsonnx.pipeline.check.check import check_spec
from support.harness import draw_weights, lower, one_layer, run

TIME = Size.named("time")


def timed(kind: str, **arguments: object) -> dict:
    return {"type": "TimeDistributed", "layer": {"type": kind, **arguments}}


@pytest.mark.parametrize(
    ("spec", "inputs", "message"),
    [
        (timed("Dense", units=2), [(3,)], "needs a sequence of rank 3 or more"),
        (timed("Add"), [(4, 3)], "wraps a layer of one input, Add needs"),
        (timed("LSTM", units=2, return_state=True), [(2, 4, 3)], "a layer of one output, LSTM has 3 here"),
        (timed("Dense", units=2, activity_regularizer="l2"), [(4, 3)], "has a penalty on the outputs of Dense"),
        (timed("ActivityRegularization", l1=1), [(4, 3)], "has a penalty on the outputs of ActivityRegularization"),
        (timed("Dense", units=2), [(4, TIME)], "needs a fixed size on axis 1"),
    ],
)
def test_invalid_inner_layers_are_errors(spec, inputs, message) -> None:
    with pytest.raises(CompileError) as caught:
        one_layer(spec, *inputs)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("spec", "rest"),
    [
        (timed("Dense", units=2), (3,)),
        (timed("Conv1D", filters=2, kernel_size=2), (4, 3)),
        (timed("LSTM", units=2), (TIME, 3)),
        (timed("BatchNormalization", axis=1), (4, TIME)),
        (timed("BatchNormalization", renorm=True), (3,)),
        (timed("TimeDistributed", layer={"type": "Dense", "units": 2}), (TIME, 3)),
    ],
)
@pytest.mark.parametrize("training", [False, True])
def test_symbolic_length_is_supported(spec, rest, training) -> None:
    graph = lower(one_layer(spec, (TIME, *rest)), training=training)
    rng = np.random.default_rng(0)
    weights = draw_weights(graph, rng)
    for time in (1, 5):
        x = rng.normal(size=(2, time, *(time if size == TIME else size for size in rest))).astype("float32")
        assert run(graph, {"x0": x, **weights})["layer"].shape[:2] == (2, time)


def test_steps_are_merged_into_one_call_if_samples_are_independent() -> None:
    for spec in (timed("Dense", units=2), timed("BatchNormalization"), timed("BatchNormalization", renorm=True)):
        short, long = (lower(one_layer(spec, (time, 3)), training=True) for time in (2, 1000))
        assert len(short.nodes) == len(long.nodes)


@pytest.mark.parametrize("time", [2, TIME])
def test_batch_normalization_updates_its_averages_at_every_step(time) -> None:
    spec = timed("BatchNormalization", momentum=0.5)
    results = run(
        lower(one_layer(spec, (time, 1)), training=True),
        {"x0": np.float32([[[4], [8]], [[4], [8]]])}
        | {f"layer/batch_normalization/{name}": np.float32([1]) for name in ("gamma", "beta", "moving_variance")}
        | {"layer/batch_normalization/moving_mean": np.float32([0])},
    )
    means = [float(value[0]) for name, value in results.items() if "moving_mean" in name]
    assert means == [(0 / 2 + 4 / 2) / 2 + 8 / 2]


CLIPPED = {"renorm": True, "renorm_momentum": 0.7, "renorm_clipping": {"rmax": 1.2, "rmin": 0.8, "dmax": 0.3}}


@pytest.mark.parametrize("arguments", [{}, {"renorm": True}, CLIPPED], ids=["plain", "renorm", "clipped"])
def test_merged_masked_steps_equal_separate_steps(monkeypatch, arguments) -> None:
    spec = {**timed("BatchNormalization", momentum=0.6, **arguments), "name": "layer"}
    layers = [{"type": "Masking", "name": "masking"}, spec]
    typed = check_spec({"inputs": {"x": {"shape": [3, 2]}}, "layers": layers}).require()
    rng = np.random.default_rng(0)
    x = rng.normal(size=(5, 3, 2)).astype("float32") * (rng.random((5, 3, 1)) < 0.6)
    x[:, 1] = 0
    merged = lower(typed, training=True)
    feeds = {"x": x, **draw_weights(merged, rng)}
    results = run(merged, feeds)
    monkeypatch.setattr(time_distributed, "can_merge_steps", lambda _: False)
    expected = run(lower(typed, training=True), feeds)
    assert results.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_allclose(results[name], values, rtol=1e-5, atol=1e-6)


def test_a_frozen_batch_normalization_takes_sequences_of_any_length() -> None:
    layers = [{"type": "TimeDistributed", "layer": {"type": "BatchNormalization"}}, {"type": "Dense", "units": 1}]
    training = {"loss": "mse", "freeze": ["time_distributed"]}
    trainer = Trainer({"inputs": {"x": {"shape": ["time", 2]}}, "layers": layers, "training": training})
    for time in (3, 5):
        assert np.isfinite(trainer.step(np.ones((4, time, 2), np.float32), np.ones((4, time, 1), np.float32))["loss"])
