"""MelSpectrogram of signals of symbolic length."""

from __future__ import annotations

import numpy as np
import pytest
from jsonnx.core.types import Size
from jsonnx.gradient import GradientBuilder, gradients
from support.harness import lower, one_layer, run

MEL = {"type": "MelSpectrogram", "sequence_stride": 4, "num_mel_bins": 3, "min_freq": 500, "power_to_db": False}


@pytest.mark.parametrize("transform", [16, 15])
@pytest.mark.parametrize("samples", [1, 2, 5, 8, 9, 40])
def test_short_signals_are_reflected_repeatedly(samples: int, transform: int) -> None:
    x = np.random.default_rng(0).normal(size=(2, samples)).astype("float32")
    half = transform // 2
    padded = np.pad(x, [(0, 0), (half, half)], mode="reflect")
    layer = {**MEL, "fft_length": transform}
    fixed = run(lower(one_layer(layer, (samples,))), {"x0": x})["layer"]
    symbolic = run(lower(one_layer(layer, (Size.named("samples"),))), {"x0": x})["layer"]
    np.testing.assert_allclose(symbolic, fixed, rtol=1e-5)
    inside = run(lower(one_layer(layer, (samples + 2 * half,))), {"x0": padded})["layer"]
    first = half // 4  # index of the first frame inside the padded signal
    if half % 4 == 0:
        np.testing.assert_allclose(inside[:, :, first : first + fixed.shape[2]], fixed, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("exponent", [0.5, 1, 2])
def test_the_gradient_at_silence_is_zero(exponent: float) -> None:
    graph = lower(one_layer({**MEL, "fft_length": 16, "mag_exp": exponent}, (20,)), training=True)
    g = GradientBuilder.extending(graph, training=True)
    total = g.ReduceSum(graph.outputs["layer"], keepdims=0)
    (x,) = graph.inputs.values()
    gradient = gradients(g, g.graph({"total": total}), {total: g.const(1.0)}, [x])[x]
    assert not run(g.graph({"gradient": gradient}), {"x0": np.zeros((2, 20), "float32")})["gradient"].any()
