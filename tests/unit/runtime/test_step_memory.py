"""The estimate of a training step's memory: against the memory of processes, and its parts."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from jsonnx.core.diagnostics import UsageError
from jsonnx.pipeline.check.check import check_spec
from jsonnx.pipeline.train.estimate_memory import estimate_training
from jsonnx.runtime.execution.step_memory import StepMemory
from jsonnx.runtime.execution.variables import SET_COUNT
from support.commands import jsonnx

Spec = dict[str, Any]
MB = 1 << 20
CONVOLUTIONS: list[Spec] = [
    layer
    for filters in (32, 64, 64)
    for layer in (
        {"type": "Conv2D", "filters": filters, "kernel_size": 3, "padding": "same", "activation": "relu"},
        {"type": "BatchNormalization"},
    )
]


def spec(layers: list[Spec], shape: list[int | None], batch: int, **training: Any) -> Spec:
    section = {"loss": "mse", "optimizer": "adam", "batch_size": batch, **training}
    return {"inputs": {"x": {"shape": shape}}, "layers": layers, "training": section}


def dense_stack(depth: int, width: int, batch: int, **training: Any) -> Spec:
    layers = [{"type": "Dense", "units": width, "activation": "gelu"} for _ in range(depth)]
    return spec([*layers, {"type": "Dense", "units": 3}], [width], batch, **training)


NETWORKS = {
    "dense": dense_stack(30, 256, 4096),
    "dense, rematerialized": dense_stack(30, 256, 4096, remat="full"),
    "large layers": dense_stack(6, 2048, 64),
    "convolutions": spec(
        [*CONVOLUTIONS, {"type": "GlobalAveragePooling2D"}, {"type": "Dense", "units": 3}], [64, 64, 3], 32
    ),
    "lstm": spec([{"type": "LSTM", "units": 256}, {"type": "Dense", "units": 3}], [50, 64], 128),
    "attention": spec(
        [
            *({"type": "MultiHeadAttention", "num_heads": 4, "key_dim": 32, "dropout": 0.1} for _ in range(3)),
            {"type": "GlobalAveragePooling1D"},
            {"type": "Dense", "units": 3},
        ],
        [128, 128],
        32,
    ),
}

TRAIN = """
import json, sys
import numpy as np
import jsonnx
document = json.loads(sys.argv[1])
trainer = jsonnx.Trainer(document, threads=1)
samples = document["training"]["batch_size"]
x = np.ones((samples, *document["inputs"]["x"]["shape"]), np.float32)
for _ in range(3):
    trainer.step(x, np.ones((samples, 3), np.float32))
print(next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


def estimate(document: Spec, **options: Any) -> StepMemory:
    return estimate_training(check_spec(document), threads=1, **options).memory


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="other systems count memory in other ways")
@pytest.mark.parametrize("name", NETWORKS)
def test_the_estimate_is_near_the_memory_of_a_process(name: str, tmp_path: Path) -> None:
    arguments = [sys.executable, "-c", TRAIN, json.dumps(NETWORKS[name])]
    process = subprocess.run(arguments, capture_output=True, text=True, cwd=tmp_path, check=True)
    measured = int(process.stdout) << 10
    assert 0.85 * measured < estimate(NETWORKS[name]).total < 1.15 * measured


def test_small_weights_have_several_copies_and_large_ones_one() -> None:
    small = estimate(dense_stack(2, 100, 1))
    elements = 2 * (100 * 100 + 100) + 3 * 100 + 3
    assert small.weights - SET_COUNT * 4 * elements < 100
    assert small.slots - SET_COUNT * 2 * 4 * elements < 100
    large = estimate(dense_stack(6, 2048, 1))
    assert large.weights == pytest.approx(6 * 2048 * 2049 * 4, rel=0.01)
    assert large.slots == pytest.approx(2 * large.weights, rel=0.01)


def test_activations_grow_with_the_batch_and_shrink_with_rematerialization() -> None:
    document = dense_stack(30, 64, 1)
    at_1000, at_2000 = (estimate(document, batch_size=samples).activations for samples in (1000, 2000))
    assert at_2000 == pytest.approx(2 * at_1000, rel=0.2)
    remat = {**document, "training": {**document["training"], "remat": "full"}}
    assert estimate(remat, batch_size=1000).activations < 0.7 * at_1000


def test_symbolic_sizes_have_to_be_given() -> None:
    document = spec([{"type": "LSTM", "units": 8}, {"type": "Dense", "units": 3}], ["time", 4], 16)  # type: ignore[list-item]
    assert estimate(document, sizes={"time": 100}).activations > estimate(document, sizes={"time": 10}).activations
    assert estimate({**document, "budget": {"sizes": {"time": 100}}}).activations
    with pytest.raises(UsageError, match="depends on the size 'time'"):
        estimate(document)
    with pytest.raises(UsageError, match="no input has a size 'tme'"):
        estimate(document, sizes={"tme": 100})


def test_vocabularies_that_are_not_learned_count_as_small() -> None:
    layers = [{"type": "StringLookup", "max_tokens": 10}, {"type": "Embedding", "input_dim": 10, "output_dim": 4}]
    document = spec([*layers, {"type": "Dense", "units": 3}], [], 16)
    document["inputs"] = {"x": {"shape": [], "dtype": "string"}}
    assert estimate(document).total < 200 * MB


def test_the_summary_shows_the_estimate(tmp_path: Path) -> None:
    document = spec([{"type": "LSTM", "units": 8}, {"type": "Dense", "units": 3}], ["time", 4], 16)  # type: ignore[list-item]
    file = tmp_path / "spec.json"
    file.write_text(json.dumps(document))
    expected = estimate(document, batch_size=7, sizes={"time": 5})
    options = ("--training", "--batch-size", "7", "--size", "time=5")
    entry = json.loads(jsonnx("summary", str(file), *options, "--format", "json").stdout)["training_memory"]
    assert entry["sizes"] == {"batch": 7, "time": 5}
    assert entry["total_bytes"] == sum(entry["bytes"].values()) == pytest.approx(expected.total, rel=0.1)
    text = jsonnx("summary", str(file), *options).stdout
    assert "training with batch=7, time=5" in text
    assert "activations" in text
    assert "bad-option" in jsonnx("summary", str(file), "--training", status=2).stderr
    assert "add --training" in jsonnx("summary", str(file), "--size", "time=5", status=2).stderr
    assert "such as time=128" in jsonnx("summary", str(file), "--training", "--size", "time", status=2).stderr
