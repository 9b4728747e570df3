"""Samples of large networks, written with blocks: their sizes, and training at a small scale."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonnx
import numpy as np
import pytest
from jsonnx.lowering.cost import cost_table
from jsonnx.pipeline.check.check import check_spec
from jsonnx.pipeline.compile.graphs import inference_graph

SAMPLES = Path(__file__).parents[2] / "samples"
MAX_LINES = 80

PARAMETERS = {
    "resnet50": 25_636_712,
    "efficientnet_b0": 5_330_571 - 7,  # Keras counts the mean, the variance and the count of its Normalization
    "mobilenet_v2": 3_538_984,
    "unet": 31_049_474,
    "transformer": 124_439_808,  # as the smallest GPT-2
}

SMALL: dict[str, dict[str, Any]] = {
    "resnet50": {"size": 32, "classes": 3, "width": 4},
    "efficientnet_b0": {"size": 32, "classes": 3},
    "mobilenet_v2": {"size": 32, "classes": 3, "channels": [8, 8]},
    "unet": {"size": 32, "width": 4},
    "transformer": {"vocabulary": 11, "length": 8, "width": 8, "heads": 2, "depth": 12},
}


@pytest.mark.parametrize("name", PARAMETERS)
def test_a_large_network_is_short_and_has_the_published_number_of_parameters(name: str) -> None:
    path = SAMPLES / f"{name}.json"
    checked = check_spec(path)
    assert not checked.diagnostics
    assert len(path.read_text().splitlines()) <= MAX_LINES
    assert sum(row.parameters for row in cost_table(checked.require(), inference_graph(checked))) == PARAMETERS[name]


@pytest.mark.costly(3)
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name == "efficientnet_b0" else name for name in SMALL]
)
def test_a_large_network_trains_at_a_small_scale(name: str) -> None:
    spec = json.loads((SAMPLES / f"{name}.json").read_text())
    spec["parameters"] |= SMALL[name]
    spec.setdefault("training", {"loss": "sparse_categorical_crossentropy", "optimizer": "adam"})
    random, batch = np.random.default_rng(0), 4
    if name == "transformer":
        x: Any = {
            "tokens": random.integers(0, 11, (batch, 8)).astype(np.int32),
            "positions": np.tile(np.arange(8, dtype=np.int32), (batch, 1)),
        }
        y = random.integers(0, 11, (batch, 8)).astype(np.int32)
    else:
        x = random.uniform(0, 1, (batch, 32, 32, 3)).astype(np.float32)
        y = random.integers(0, 2, (batch, 32, 32) if name == "unet" else (batch,)).astype(np.int32)
    trainer = jsonnx.Trainer(spec)
    losses = [trainer.step(x, y)["loss"] for _ in range(8)]
    assert np.isfinite(losses).all()
    assert min(losses[4:]) < losses[0]
