"""What tests share: networks from layers, graphs run in onnxruntime or in float64, finite differences."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from jsonnx import Trainer
from jsonnx.analysis.shape_inference import TypedNetwork, infer_shapes
from jsonnx.backend import serialize, to_model_proto
from jsonnx.core.callback import Callback
from jsonnx.core.diagnostics import Report
from jsonnx.core.types import BATCH, Dim, TensorType, evaluate_size
from jsonnx.frontend.network import Call, Network
from jsonnx.gradient import GradientBuilder, GradientTuning, gradients
from jsonnx.ir import Graph
from jsonnx.layers import LAYERS, Layer
from jsonnx.lowering.lower import lower as lower
from jsonnx.passes.canonicalize import prune
from jsonnx.runtime.execution import runner
from jsonnx.runtime.providers import providers
from jsonnx.tuning.cpu.gradient import CPU_GRADIENTS
from onnx.reference import ReferenceEvaluator
from support.elementwise_reference import ELEMENTWISE
from support.normalization_reference import NORMALIZATIONS
from support.recurrent_reference import RECURRENT
from support.scan_reference import SCAN
from support.window_reference import WINDOWS


def make_layer(spec: Mapping) -> Layer:
    return LAYERS.by_name[spec["type"]](**{key: value for key, value in spec.items() if key != "type"})


def one_layer(spec: Mapping, *inputs: tuple, dtype: str = "float32", batch=BATCH) -> TypedNetwork:
    """A network of a single layer, called `layer`, with inputs `x0`, `x1`, ... of these shapes without batch."""
    types = {f"x{index}": TensorType(dtype, (batch, *shape)) for index, shape in enumerate(inputs)}
    layer = make_layer(spec)
    call = Call("layer", layer, tuple(types), ("layers", 0), "layer")
    network = Network("test", types, (call,), call.results, paths=dict.fromkeys(types, ()))
    report = Report()
    typed = infer_shapes(network, report)
    report.raise_errors()
    return typed


def draw_weights(graph: Graph, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Arbitrary weights: not the initial ones, so that biases and gains are tested too."""
    return {
        name: np.asarray(
            rng.uniform(0.5, 1.5, value.shape)
            if "variance" in name or "stddev" in name
            else rng.normal(size=value.shape) * 0.5,
            value.dtype,
        )
        for name, value in [*graph.parameters.items(), *graph.states.items()]
    }


def run(graph: Graph, feeds: Mapping[str, np.ndarray], *, optimize: bool = True) -> dict[str, np.ndarray]:
    """The graph's results in onnxruntime on CPU; weights are fed like inputs."""
    model = to_model_proto(graph)
    onnx.checker.check_model(model, full_check=True)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    if not optimize:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(serialize(model), options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    used = {value.name for value in session.get_inputs()}
    return dict(zip(names, session.run(None, {k: np.asarray(v) for k, v in feeds.items() if k in used}), strict=True))


@lru_cache(maxsize=4)
def evaluator(graph: Graph) -> ReferenceEvaluator:
    """ONNX' reference implementation of a graph, made once for all evaluations of it."""
    return ReferenceEvaluator(
        to_model_proto(graph), new_ops=[*RECURRENT, *SCAN, *WINDOWS, *ELEMENTWISE, *NORMALIZATIONS]
    )


def reference(graph: Graph, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The graph's results by ONNX' reference implementation, in whatever precision the graph has."""
    reference_evaluator = evaluator(graph)
    input_names = set(reference_evaluator.input_names)
    used_feeds = {name: array for name, array in feeds.items() if name in input_names}
    return dict(zip(reference_evaluator.output_names, reference_evaluator.run(None, used_feeds), strict=True))


def with_gradients(
    graph: Graph, wrt: list[str], samples: int | None = None, tuning: GradientTuning = CPU_GRADIENTS
) -> Graph:
    """The graph with `loss`, a fixed weighted sum of its real outputs, and with `d/NAME` for each input or weight in
    `wrt`, by the formulas for a batch size and a runtime."""
    g = GradientBuilder.extending(graph, float_dtype="float64", tuning=tuning, expected_batch=samples)
    terms = []
    for index, value in enumerate(graph.outputs.values()):
        if value.dtype.startswith("float"):
            shape = tuple(size_of_three(size, graph) for size in value.shape)
            weights = np.random.default_rng(index).normal(size=shape)
            terms.append(g.ReduceSum(g.Mul(value, weights), keepdims=0))
    loss = g.Sum(*terms) if len(terms) > 1 else terms[0]
    values = {**graph.inputs, **graph.parameters}
    by_value = gradients(g, g.graph({"loss": loss}), {loss: g.const(1.0, loss.dtype)}, [values[name] for name in wrt])
    results = {f"d/{name}": by_value[values[name]] for name in wrt if values[name] in by_value}
    return g.graph({"loss": loss, **results})


def size_of_three(size: Dim, graph: Graph) -> int:
    """The value of a size if all symbolic sizes of inputs are 3; 3 for a data-dependent size."""
    sizes = [each for value in graph.inputs.values() for each in value.shape if not isinstance(each, int)]
    try:
        return evaluate_size(size, {symbol: 3 for each in sizes for symbol, _ in each.terms})
    except ValueError:
        return 3


def check_gradients(
    graph: Graph,
    feeds: Mapping[str, np.ndarray],
    wrt: list[str],
    *,
    evaluate=reference,
    samples: int | None = None,
    tuning: GradientTuning = CPU_GRADIENTS,
) -> float:
    """Compares the gradients of a float64 graph with central differences; returns the worst relative error.

    Each tensor is moved along a few of its elements, which show where a gradient is wrong, and along directions of
    random signs, which reach every element. Batch must be fixed, or fed as 3.
    """
    with_loss = with_gradients(graph, wrt, samples, tuning)
    results = evaluate(with_loss, feeds)
    only_loss = Graph(
        with_loss.inputs,
        {"loss": with_loss.outputs["loss"]},
        loss_nodes(with_loss),
        with_loss.parameters,
        with_loss.states,
        with_loss.randoms,
    )
    worst = 0.0
    for name in wrt:
        assert f"d/{name}" in results, f"{name} has no gradient"
        analytic = results[f"d/{name}"]
        assert analytic.shape == feeds[name].shape, (name, analytic.shape, feeds[name].shape)
        for direction in directions(analytic.size):
            shift = DIFFERENCE_STEP * direction.reshape(analytic.shape)
            above, below = (
                float(evaluate(only_loss, {**feeds, name: shifted})["loss"])
                for shifted in (feeds[name] + shift, feeds[name] - shift)
            )
            error = abs((above - below) / (2 * DIFFERENCE_STEP) - direction @ analytic.ravel())
            worst = max(worst, error / max(1.0, np.abs(analytic).max()))
    return worst


DIFFERENCE_STEP = 1e-6
"""How far central differences move an element."""


def directions(size: int, max_elements: int = 6, random_signs: int = 3) -> Iterator[np.ndarray]:
    """The directions in which a tensor of so many elements is moved."""
    rng = np.random.default_rng(0)
    for element in rng.permutation(size)[:max_elements]:
        direction = np.zeros(size)
        direction[element] = 1
        yield direction
    if size > max_elements:
        for _ in range(random_signs):
            yield rng.choice([-1.0, 1.0], size)


def loss_nodes(graph: Graph) -> tuple:
    """The nodes that the loss depends on."""
    return prune(Graph(graph.inputs, {"loss": graph.outputs["loss"]}, graph.nodes)).nodes


def assert_same_run(spec: dict[str, Any], batches: Sequence[tuple[np.ndarray, np.ndarray]]) -> None:
    """Asserts that steps give the same losses and weights with and without the rewrites for this machine."""
    runs = []
    for fast in (True, False):
        trainer = Trainer(spec, seed=2, fast=fast)
        runs.append(([trainer.step(x, y)["loss"] for x, y in batches], trainer.weights()))
    (losses, weights), (expected_losses, expected_weights) = runs
    np.testing.assert_allclose(losses, expected_losses, rtol=1e-6)
    for name, array in expected_weights.items():
        np.testing.assert_allclose(weights[name], array, atol=1e-6, err_msg=name)


def assert_same_fit(
    spec: dict[str, Any], x: np.ndarray, y: np.ndarray, batch_size: int, before: int, threads: int | None = None
) -> None:
    """Asserts that a fit is the same, bit for bit, after a step of `before` samples, which had another runner."""
    fitted_weights = []
    for samples in (0, before):
        trainer = Trainer(spec, seed=1, threads=threads)
        initial_weights = trainer.weights()
        if samples:
            trainer.step(x[:samples], y[:samples])
            trainer.set_weights(initial_weights)
            trainer.plan_trainer.engine.steps = 0
        trainer.fit(x, y, epochs=2, batch_size=batch_size)
        fitted_weights.append(trainer.weights())
    for name, array in fitted_weights[0].items():
        np.testing.assert_array_equal(fitted_weights[1][name], array, err_msg=name)


def assert_same_steps(spec: dict[str, Any], x: np.ndarray | dict[str, np.ndarray], y: np.ndarray) -> None:
    """Asserts that three steps on one batch are the same with and without the rewrites for this machine."""
    results = []
    for fast in (False, True):
        trainer = Trainer(spec, seed=1, fast=fast)
        losses = [trainer.step(x, y)["loss"] for _ in range(3)]
        results.append({**trainer.weights(), "losses": np.array(losses), "outputs": trainer.predict(x)})
    for name, expected in results[0].items():
        scale = np.abs(expected).max() + 1e-3
        np.testing.assert_allclose(results[1][name] / scale, expected / scale, atol=5e-6, err_msg=name)


def record_session_configs(monkeypatch: pytest.MonkeyPatch) -> list[providers.SessionConfig]:
    """A list to which every runner that is built from now on adds the configuration of its session."""
    configs: list[providers.SessionConfig] = []
    create = runner.create_session

    def record(model: bytes, provider: Any, threads: Any, config: providers.SessionConfig, **more: Any) -> Any:
        configs.append(config)
        return create(model, provider, threads, config, **more)

    monkeypatch.setattr(runner, "create_session", record)
    return configs


class SaveAt(Callback):
    """A callback that saves a checkpoint after a step, and asks to stop there."""

    def __init__(self, trainer: Trainer, path: Path, step: int) -> None:
        super().__init__()
        self.trainer, self.path, self.step = trainer, path, step

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if self.trainer.steps == self.step:
            self.trainer.save_checkpoint(self.path)
            signal.raise_signal(signal.SIGTERM)
