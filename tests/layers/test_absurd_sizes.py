"""Sizes that nothing could hold are refused before anything is allocated, whatever argument they stand in."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import jsonnx
import pytest
from jsonnx.core.diagnostics import CompileError

ROOT = Path(__file__).parents[2]


def test_an_absurd_size_gives_a_diagnostic_in_every_argument_of_every_layer() -> None:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT / "compiler"), str(ROOT / "tests")])}
    command = [sys.executable, "-m", "layers.absurd_sizes"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=600, check=False)
    *faults, count = done.stdout.splitlines() or [""]
    assert (done.returncode, faults) == (0, []), done.stderr[-2000:]
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
@pytest.mark.parametrize("times", [1, 2])
def test_what_no_file_can_hold_is_too_large(layer: dict, times: int) -> None:
    """Also where the layer is shared, whose weights are looked at earlier."""
    shape = [4] if layer["type"] == "MelSpectrogram" else [4, 3]
    calls = [{**layer, "name": "a", "from": ["x"] * (2 if "Attention" in layer["type"] else 1)}]
    calls += [{"use": "a", "name": "b", "from": calls[0]["from"]}] * (times - 1)
    with pytest.raises(CompileError) as caught:
        jsonnx.compile({"inputs": {"x": {"shape": shape}}, "layers": calls, "outputs": ["a", "b"][:times]})
    assert {d.code for d in caught.value.diagnostics} <= {"too-large", "out-of-range"}
    assert caught.value.diagnostics[0].path.startswith("$.layers[0]")
