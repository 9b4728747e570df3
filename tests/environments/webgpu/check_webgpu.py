"""Compares training on WebGPU with training on the CPU: losses, weights and predictions, in device memory.

Run by `run.sh` in an environment that has onnxruntime-webgpu; the ordinary suite does not collect it.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx
import pytest
from click.testing import CliRunner, Result
from jsonnx import Trainer
from jsonnx.backend import serialize, to_model_proto
from jsonnx.cli import main
from jsonnx.core.diagnostics import UsageError
from jsonnx.core.types import TensorType
from jsonnx.data.samples.dataset import Dataset
from jsonnx.ir import Builder, with_vocabularies
from jsonnx.pipeline.train.run_data import part_of_spec
from jsonnx.runtime.execution.device_runner import DeviceRunner
from jsonnx.runtime.execution.device_variables import DeviceVariables
from jsonnx.runtime.execution.runner import OPTIMIZATION_LEVEL
from jsonnx.runtime.providers import webgpu_exclusions
from jsonnx.runtime.providers.providers import load_runtime, resolve_provider
from jsonnx.training.weights.initializers import Zeros
from unit.layers.cases import all_cases
from unit.layers.provider_agreement import disagreement

SAMPLES = Path(__file__).parents[3] / "samples"
FALLBACK_NODES = {
    "mnist_mlp": 6,
    "mnist_cnn": 6,
    "vowels_lstm": 8,
    "diabetes": 7,
    "digits_residual": 36,
    "digits_contrastive": 5,
    "digits_transfer": 7,
    "penguins": 11,
}
"""By sample: the nodes of its training step that onnxruntime 1.27 assigns to the CPU. They compute with sizes, such as
the number of samples for a mean, and with the texts of `penguins`."""
NAMES = tuple(FALLBACK_NODES)
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
    samples = part_of_spec(trainer.plan, "train")
    trainer.plan_trainer.engine.adapt(samples)
    starts = range(0, STEPS * BATCH, BATCH)
    sizes = [*[BATCH] * (STEPS - 1), LAST_BATCH]
    losses = [trainer.step(*batch_of(samples, start, size))["loss"] for start, size in zip(starts, sizes, strict=True)]
    x, y = batch_of(samples, 0, EVALUATED_SAMPLES)
    predicted = trainer.predict(x)
    predicted = predicted if isinstance(predicted, dict) else {"": predicted}
    return TrainingResults(trainer, losses, trainer.weights(), predicted, trainer.evaluate(x, y, batch_size=BATCH))


def batch_of(
    samples: Dataset | None, start: int, size: int
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray] | None]:
    """Returns inputs and targets of consecutive samples, from the first again after the last; None for the targets of a
    network that has none."""
    assert samples is not None
    rows = np.arange(start, start + size) % len(samples)
    x, y = ({name: array[rows] for name, array in of.items()} for of in (samples.inputs, samples.targets))
    return x, y or None


@pytest.fixture(params=NAMES)
def both(request: pytest.FixtureRequest) -> tuple[TrainingResults, TrainingResults]:
    return train_sample(request.param, "cpu"), train_sample(request.param, "webgpu")


def test_trainers_use_the_requested_provider(both):
    assert [each.trainer.provider for each in both] == ["cpu", "webgpu"]


def test_losses_agree(both):
    cpu, gpu = both
    np.testing.assert_allclose(gpu.losses, cpu.losses, rtol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_the_nodes_on_the_cpu_read_nothing_from_the_device(name, tmp_path):
    trainer = train_sample(name, "webgpu").trainer
    model = serialize(to_model_proto(with_vocabularies(trainer.plan.train, trainer.weights())))
    assigned, optimized = assigned_nodes(model, tmp_path / "optimized.onnx")
    assert [node.name for node in optimized.graph.node if node.op_type == "MemcpyToHost"] == []
    assert len(assigned.get("CPUExecutionProvider", [])) <= FALLBACK_NODES[name], assigned["CPUExecutionProvider"]


def assigned_nodes(model: bytes, file: Path) -> tuple[dict[str, list[str]], onnx.ModelProto]:
    """The operators by the provider that onnxruntime assigns them to, and the model as it runs, with copies between
    memories as nodes."""
    runtime = load_runtime()
    options = runtime.SessionOptions()
    options.log_severity_level = 3
    options.optimized_model_filepath = str(file)
    options.graph_optimization_level = getattr(runtime.GraphOptimizationLevel, OPTIMIZATION_LEVEL)
    entries = {**webgpu_exclusions.session_entries(model), "session.record_ep_graph_assignment_info": "1"}
    for key, entry in entries.items():
        options.add_session_config_entry(key, entry)
    session = runtime.InferenceSession(model, options, providers=resolve_provider("webgpu").ort_providers)
    assigned: dict[str, list[str]] = {}
    for part in session.get_provider_graph_assignment_info():
        assigned.setdefault(part.ep_name, []).extend(f"{node.op_type} {node.name}" for node in part.get_nodes())
    return assigned, onnx.load(file)


def test_weights_agree(both):
    cpu, gpu = both
    assert list(cpu.weights) == list(gpu.weights)
    for name, expected in cpu.weights.items():
        is_text = expected.dtype.kind in "OU"
        assert np.array_equal(gpu.weights[name], expected) if is_text else close(gpu.weights[name], expected, 1e-3), (
            name
        )


def test_predictions_agree(both):
    cpu, gpu = both
    for name, expected in cpu.predicted.items():
        assert close(gpu.predicted[name], expected, 1e-4), name


def test_evaluations_agree(both):
    cpu, gpu = both
    assert list(cpu.measured) == list(gpu.measured)
    np.testing.assert_allclose(list(gpu.measured.values()), list(cpu.measured.values()), rtol=1e-4)


def close(actual: np.ndarray, expected: np.ndarray, tolerance: float) -> bool:
    """Whether all errors are within the tolerance, relative to the greatest element; names of classes must be equal."""
    if expected.dtype.kind in "OU":
        return bool((actual == expected).all())
    return bool(np.abs(actual - expected).max() <= tolerance * np.abs(expected).max())


def test_weights_and_optimizer_states_stay_on_the_device():
    trainer = Trainer(SAMPLES / "diabetes.json", "webgpu")
    samples = part_of_spec(trainer.plan, "train")
    variables = trainer.plan_trainer.engine._variables
    assert set(variables.sets[0]) == {*trainer.plan.train.parameters, *trainer.plan.train.states}
    before = [{name: value.data_ptr() for name, value in one.items()} for one in variables.sets]
    for step in range(4):
        trainer.step(*batch_of(samples, step * BATCH, BATCH))
        assert all(value.device_name() != "cpu" for one in variables.sets for value in one.values())
    assert before == [{name: value.data_ptr() for name, value in one.items()} for one in variables.sets]


@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_a_fit_copies_batches_to_the_device_and_nothing_else(dropout):
    """Losses agree with the CPU, and variables keep their addresses."""
    spec = {
        "inputs": {"x": {"shape": [6]}},
        "layers": [
            {"type": "Dense", "units": 8, "activation": "tanh"},
            {"type": "Dropout", "rate": dropout},
            {"type": "Dense", "units": 2},
        ],
        "training": {"loss": "mse", "optimizer": "adam"},
    }
    rng = np.random.default_rng(0)
    x, y = (rng.normal(size=(100, size)).astype(np.float32) for size in (6, 2))
    cpu, gpu = (Trainer(spec, provider) for provider in ("cpu", "webgpu"))
    variables = gpu.plan_trainer.engine._variables
    before = [{name: value.data_ptr() for name, value in one.items()} for one in variables.sets]
    histories = [trainer.fit(x, y, batch_size=8, epochs=4).history["loss"] for trainer in (cpu, gpu)]
    np.testing.assert_allclose(histories[1], histories[0], rtol=1e-4)
    assert before == [{name: value.data_ptr() for name, value in one.items()} for one in variables.sets]
    assert gpu.plan_trainer.engine.step_runners.runner.keeps_bindings


def test_a_step_whose_nodes_all_run_on_the_device_is_captured_and_replayed():
    g = Builder()
    vector = TensorType("float32", (4,))
    x, w = g.input("x", vector), g.param("w", (4,), Zeros())
    g.updates[w.name] = g.Add(w, x)
    graph = g.graph({"loss": g.ReduceSum(g.Add(w, x), keepdims=0)})
    provider = resolve_provider("webgpu", {"enableGraphCapture": 1})
    variables = DeviceVariables(graph, {w.name: np.zeros(4, np.float32)}, [w.name], provider)
    runner = DeviceRunner(graph, ["loss"], variables, provider, 1, captures=True)
    assert runner.captures
    feeds, results = {"x": np.zeros(4, np.float32)}, {"loss": np.zeros((), np.float32)}
    run = runner.bind(feeds, results)
    for step in range(12):
        feeds["x"][...] = step
        run({})
        assert run.results["loss"] == 4 * sum(range(step + 1))
        variables.confirm()
    assert variables.read()[w.name].tolist() == [sum(range(12))] * 4


@pytest.mark.parametrize("name", ["dense", "convolutions"])
def test_training_in_mixed_precision_agrees_with_float32(name):
    layers = {
        "dense": [{"type": "Reshape", "target_shape": [64]}, {"type": "Dense", "units": 8, "activation": "relu"}],
        "convolutions": [
            {"type": "Conv2D", "filters": 4, "kernel_size": 3, "activation": "relu"},
            {"type": "BatchNormalization"},
            {"type": "MaxPooling2D"},
            {"type": "Flatten"},
        ],
    }[name]
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(64, 8, 8, 1)).astype(np.float32), rng.integers(3, size=64)
    losses = []
    for provider, precision in (("cpu", "float32"), ("webgpu", "mixed_float16")):
        training = {"loss": "sparse_categorical_crossentropy", "optimizer": "adam", "precision": precision}
        last = {"type": "Dense", "units": 3, "activation": "softmax"}
        trainer = Trainer(
            {"inputs": {"x": {"shape": [8, 8, 1]}}, "layers": [*layers, last], "training": training}, provider
        )
        losses.append(trainer.fit(x, y, batch_size=16, epochs=3).history["loss"])
    np.testing.assert_allclose(losses[1], losses[0], rtol=5e-3)
    assert losses[1] != losses[0]
    assert trainer.plan_trainer.engine.variables()["optimizer/loss_scale"] == 2**15
    on_host = {value for value in trainer.plan_trainer.engine.step_runners.runner._host_names if "target" not in value}
    assert on_host <= {"optimizer/iterations", "next/optimizer/iterations", "optimizer/loss_scale"}


def test_a_requested_capture_of_a_step_with_nodes_on_the_cpu_is_an_error():
    with pytest.raises(UsageError, match="graph capture"):
        Trainer(SAMPLES / "diabetes.json", "webgpu", provider_options={"enableGraphCapture": 1})


def test_a_run_resumed_from_a_checkpoint_equals_an_uninterrupted_run(tmp_path):
    uninterrupted = Trainer(SAMPLES / "mnist_cnn.json", "webgpu")
    samples = part_of_spec(uninterrupted.plan, "train")
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
    samples = part_of_spec(Trainer(SAMPLES / "digits_residual.json", "webgpu").plan, "train")
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
    assert not disagreement(case, "webgpu")


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
    assert gpu.pop("data") == cpu.pop("data")
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
