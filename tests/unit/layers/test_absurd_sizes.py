"""Sizes that exceed any memory are rejected before anything is allocated, in every argument of every layer."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import jsonnx
import pytest
from jsonnx.core.diagnostics import CompileError

ROOT = Path(__file__).parents[3]


@pytest.mark.slow
def test_huge_sizes_give_diagnostics_in_all_arguments_of_all_layers() -> None:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT / "compiler"), str(ROOT / "tests")])}
    command = [sys.executable, "-m", "unit.layers.absurd_sizes"]
    process = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=600, check=False)
    *errors, count = process.stdout.splitlines() or [""]
    assert (process.returncode, errors) == (0, []), process.stderr[-2000:]
    assert int(count.split()[0]) > 1000


@pytest.mark.parametrize(
    "layer",
    [
        {"type": "MultiHeadAttention", "num_heads": 2, "key_dim": 2**62},
        {"type": "LSTM", "units": 10**18},
        {"type": "Dense", "units": 10**9},
        {"type": "MelSpectrogram", "fft_length": 2**20},
    ],
)
@pytest.mark.parametrize("calls", [1, 2])
def test_weights_that_exceed_the_limit_are_too_large(layer: dict, calls: int) -> None:
    """With two calls the layer is shared, and its weights are checked earlier."""
    shape = [4] if layer["type"] == "MelSpectrogram" else [4, 3]
    layers = [{**layer, "name": "a", "from": ["x"] * (2 if "Attention" in layer["type"] else 1)}]
    layers += [{"use": "a", "name": "b", "from": layers[0]["from"]}] * (calls - 1)
    with pytest.raises(CompileError) as caught:
        jsonnx.compile({"inputs": {"x": {"shape": shape}}, "layers": layers, "outputs": ["a", "b"][:calls]})
    assert {d.code for d in caught.value.diagnostics} <= {"too-large", "out-of-range"}
    assert caught.value.diagnostics[0].path.startswith("$.layers[0]")
