"""Compares training on WebGPU with training on the CPU: losses, weights and predictions, in device memory.

Run by `run.sh` in an environment that has onnxruntime-webgpu; the ordinary suite does not collect it.
"""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from click.testing import CliRunner, Result
from harness import draw_weights, lower, with_gradients
from jsonnx import Trainer
from jsonnx.backend import serialize, to_model_proto
from jsonnx.cli import main
from jsonnx.passes.canonicalize import canonicalize
from jsonnx.passes.layout import propagate_transposes
from jsonnx.runtime.dataset import Dataset, from_spec
from jsonnx.runtime.providers import create_session, resolve_provider
from jsonnx.runtime.runner import OPTIMIZATION_LEVEL
from layers.cases import all_cases
from layers.test_layers import draws_of, feeds_of, network

SAMPLES = Path(__file__).parents[2] / "samples"
NAMES = ("mnist_mlp", "mnist_cnn", "vowels_lstm", "diabetes", "digits_residual")
STEPS, BATCH, LAST_BATCH = 10, 16, 5
EVALUATED_SAMPLES = 40


class TrainingResults(NamedTuple):
    """The results of some training steps of a sample, the last one on a smaller batch."""

    trainer: Trainer
    losses: list[float]
    weights: dict[str, np.ndarray]
    predicted: dict[str, np.ndarray]
    measured: dict[str, float]


@cache
def train_sample(name: str, provider: str) -> TrainingResults:
    trainer = Trainer(SAMPLES / f"{name}.json", provider)
    samples = from_spec(trainer.plan, "train")
    starts = range(0, STEPS * BATCH, BATCH)
    sizes = [*[BATCH] * (STEPS - 1), LAST_BATCH]
    losses = [trainer.step(*batch_of(samples, start, size))["loss"] for start, size in zip(starts, sizes, strict=True)]
    x, y = batch_of(samples, 0, EVALUATED_SAMPLES)
    predicted = trainer.predict(x)
    predicted = predicted if isinstance(predicted, dict) else {"": predicted}
    return TrainingResults(trainer, losses, trainer.weights(), predicted, trainer.evaluate(x, y, batch_size=BATCH))


def batch_of(samples: Dataset | None, start: int, size: int) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Returns inputs and targets of consecutive samples."""
    assert samples is not None
    rows = slice(start, start + size)
    x, y = ({name: array[rows] for name, array in of.items()} for of in (samples.inputs, samples.targets))
    return x, y


@pytest.fixture(params=NAMES)
def both(request: pytest.FixtureRequest) -> tuple[TrainingResults, TrainingResults]:
    return train_sample(request.param, "cpu"), train_sample(request.param, "webgpu")


def test_trainers_use_the_requested_provider(both):
    assert [each.trainer.provider for each in both] == ["cpu", "webgpu"]


def test_losses_agree(both):
    cpu, gpu = both
    np.testing.assert_allclose(gpu.losses, cpu.losses, rtol=1e-4)


def test_weights_agree(both):
    cpu, gpu = both
    assert list(cpu.weights) == list(gpu.weights)
    for name, expected in cpu.weights.items():
        assert close(gpu.weights[name], expected, 1e-3), name


def test_predictions_agree(both):
    cpu, gpu = both
    for name, expected in cpu.predicted.items():
        assert close(gpu.predicted[name], expected, 1e-4), name


def test_evaluations_agree(both):
    cpu, gpu = both
    assert list(cpu.measured) == list(gpu.measured)
    np.testing.assert_allclose(list(gpu.measured.values()), list(cpu.measured.values()), rtol=1e-4)


def close(actual: np.ndarray, expected: np.ndarray, tolerance: float) -> bool:
    """Whether all errors are within the tolerance, relative to the greatest element."""
    return bool(np.abs(actual - expected).max() <= tolerance * np.abs(expected).max())


def test_weights_and_optimizer_states_stay_on_the_device():
    trainer = Trainer(SAMPLES / "diabetes.json", "webgpu")
    samples = from_spec(trainer.plan, "train")
    variables = trainer._engine._variables
    assert set(variables.sets[0]) == {*trainer.plan.train.parameters, *trainer.plan.train.states}
    before = [{name: value.data_ptr() for name, value in one.items()} for one in variables.sets]
    for step in range(4):
        trainer.step(*batch_of(samples, step * BATCH, BATCH))
        assert all(value.device_name() != "cpu" for one in variables.sets for value in one.values())
    assert before == [{name: value.data_ptr() for name, value in one.items()} for one in variables.sets]


def test_a_run_resumed_from_a_checkpoint_equals_an_uninterrupted_run(tmp_path):
    uninterrupted = Trainer(SAMPLES / "mnist_cnn.json", "webgpu")
    samples = from_spec(uninterrupted.plan, "train")
    for step in range(2):
        uninterrupted.step(*batch_of(samples, step * BATCH, BATCH))
    uninterrupted.save_checkpoint(tmp_path / "checkpoint")
    resumed = Trainer(SAMPLES / "mnist_cnn.json", "webgpu")
    assert resumed.load_checkpoint(tmp_path / "checkpoint") == []
    batch = batch_of(samples, 2 * BATCH, BATCH)
    assert uninterrupted.step(*batch) == resumed.step(*batch)
    after = resumed.weights()
    assert all(np.array_equal(array, after[name]) for name, array in uninterrupted.weights().items())


@pytest.mark.parametrize("mode", ["full", "activations"])
def test_a_step_with_rematerialization_gives_the_same_losses(mode):
    document = json.loads((SAMPLES / "digits_residual.json").read_text())
    samples = from_spec(Trainer(SAMPLES / "digits_residual.json", "webgpu").plan, "train")
    batches = [batch_of(samples, step * BATCH, BATCH) for step in range(3)]
    losses = []
    for more in ({}, {"remat": mode}):
        training = {key: value for key, value in document["training"].items() if key != "data"}
        trainer = Trainer({**document, "training": {**training, **more}}, "webgpu")
        losses.append([trainer.step(*batch)["loss"] for batch in batches])
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-5)


def conv(type: str, **attributes: object) -> dict[str, object]:
    return {"type": type, "kernel_size": 3, **attributes}


CONVOLUTIONS = {
    "6 channels in, 8 out": [conv("Conv2D", filters=6), conv("Conv2D", filters=8)],
    "groups of 5": [conv("Conv2D", filters=20, groups=4)],
    "5 a channel": [conv("DepthwiseConv2D", depth_multiplier=5)],
    "back to 1 a group": [conv("Conv2DTranspose", filters=4), conv("Conv2D", filters=4, groups=2)],
    "one axis": [{"type": "Reshape", "target_shape": [64, 6]}, conv("Conv1D", filters=4)],
}
"""Convolutions that onnxruntime computes incorrectly in its default layout."""


@pytest.mark.parametrize("layers", CONVOLUTIONS.values(), ids=CONVOLUTIONS)
def test_convolutions_agree(layers):
    spec = {
        "inputs": {"x": {"shape": [8, 12, 4]}},
        "layers": [*layers, {"type": "Flatten"}, {"type": "Dense", "units": 3}],
        "training": {"loss": "mse", "optimizer": "sgd"},
    }
    rng = np.random.default_rng(0)
    x, y = (rng.normal(size=shape).astype(np.float32) for shape in ((4, 8, 12, 4), (4, 3)))
    trainers = [Trainer(spec, provider) for provider in ("cpu", "webgpu")]
    cpu, gpu = ([trainer.step(x, y)["loss"] for _ in range(3)] for trainer in trainers)
    np.testing.assert_allclose(gpu, cpu, rtol=1e-5)


# -- every layer -------------------------------------------------------------------------------------------------------

INEXACT = "the function of WGSL has an error of about 1e-4"
KNOWN = {
    "group-norm-instance": "a Mul fails in onnxruntime 1.27 for shapes that are not known statically",
    "ops-arcsin": INEXACT,
    "ops-arccos": INEXACT,
}

CASES = [
    pytest.param(case, id=case.id, marks=[pytest.mark.xfail(reason=KNOWN[case.id])] if case.id in KNOWN else [])
    for case in all_cases()
]


@pytest.mark.parametrize("case", CASES)
def test_a_layer_and_its_gradients_agree(case):
    assert_layer_agrees(case, "webgpu")


def assert_layer_agrees(case, name):
    """Compares the outputs and gradients of a layer on a provider and on the CPU."""
    rng = np.random.default_rng(0)
    typed = network(case)
    graph = propagate_transposes(lower(typed, training=True))
    feeds = feeds_of(case, 3, rng, "float32") | draw_weights(graph, rng)
    feeds |= draws_of(graph, 3, rng, "float32")
    masks = {f"x{index}" for index in case.masks}
    inputs = [name for name, type in typed.inputs.items() if type.dtype == "float32" and name not in masks]
    real = any(value.dtype == "float32" for value in graph.outputs.values())
    with_gradients_graph = with_gradients(graph, [*inputs, *graph.parameters]) if real else graph
    model = serialize(
        to_model_proto(
            canonicalize(replace(with_gradients_graph, outputs={**graph.outputs, **with_gradients_graph.outputs}))
        )
    )
    cpu, other = (computed(model, provider, feeds) for provider in ("cpu", name))
    for output, expected in cpu.items():
        if expected.dtype.kind != "f":
            np.testing.assert_array_equal(other[output], expected)
            continue
        np.testing.assert_array_equal(np.isfinite(other[output]), np.isfinite(expected))
        finite = expected[np.isfinite(expected)]
        bound = 1e-4 * np.abs(finite).max(initial=0.0) + 1e-6
        assert np.abs(other[output][np.isfinite(expected)] - finite).max(initial=0.0) <= bound, output


def computed(model: bytes, provider: str, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    session = create_session(model, resolve_provider(provider), optimization=OPTIMIZATION_LEVEL)
    inputs = {value.name: feeds[value.name] for value in session.get_inputs()}
    names = [value.name for value in session.get_outputs()]
    return dict(zip(names, session.run(names, inputs), strict=True))


# -- the command line --------------------------------------------------------------------------------------------------


def jsonnx(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A RUN folder that was trained on WebGPU."""
    folder = tmp_path_factory.mktemp("webgpu") / "run"
    done = jsonnx(
        "train",
        SAMPLES / "diabetes.json",
        "--provider",
        "webgpu",
        "--set",
        "training.epochs=3",
        "-o",
        folder,
        "--quiet",
    )
    assert done.exit_code == 0, done.output
    return folder


def test_train_records_the_provider(run):
    assert json.loads((run / "run.json").read_text())["provider"] == "webgpu"
    assert len((run / "metrics.jsonl").read_text().splitlines()) == 3


def test_evaluate_agrees(run):
    cpu, gpu = (jsonnx("evaluate", run, "--provider", provider, "--format", "json") for provider in ("cpu", "webgpu"))
    assert gpu.exit_code == 0, gpu.output
    cpu, gpu = (json.loads(each.stdout) for each in (cpu, gpu))
    assert gpu == pytest.approx(cpu, rel=1e-4)


@pytest.mark.parametrize("model", ["", "model.onnx"], ids=["run", "model"])
def test_predict_agrees(run, tmp_path, model):
    predictions = {}
    for provider in ("cpu", "webgpu"):
        out = tmp_path / f"{provider}.npz"
        result = jsonnx(
            "predict", run / model, "--data", SAMPLES / "data" / "diabetes_test.csv", "--provider", provider, "-o", out
        )
        assert result.exit_code == 0, result.output
        predictions[provider] = np.load(out)["progression"]
    np.testing.assert_allclose(predictions["webgpu"], predictions["cpu"], rtol=1e-4)


def test_providers_lists_webgpu_as_available():
    rows = {row["name"]: row for row in json.loads(jsonnx("providers", "--format", "json").stdout)}
    assert rows["webgpu"]["available"]
    assert rows["cpu"]["available"]
    assert not rows["cuda"]["available"]
    assert "webgpu" in jsonnx("providers").stdout


def test_auto_selects_webgpu():
    assert Trainer(SAMPLES / "diabetes.json", "auto").provider == "webgpu"


def test_an_unavailable_provider_is_reported_with_its_installation_command(tmp_path):
    done = jsonnx("train", SAMPLES / "diabetes.json", "--provider", "cuda", "-o", tmp_path / "run")
    assert done.exit_code == 2
    assert "provider-unavailable" in done.stderr
    assert "pip uninstall -y onnxruntime-webgpu && pip install " in done.stderr
    assert not (tmp_path / "run").exists()
