"""The formulas of losses, metrics, optimizers, schedules and of what weights have, evaluated and compared."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from jsonnx.core.components import Registry
from jsonnx.core.types import BATCH, TensorType
from jsonnx.ir import Builder
from jsonnx.training.losses.losses import LOSSES
from jsonnx.training.metrics.metrics import METRICS, MetricCodec
from jsonnx.training.optimizers.optimizers import OPTIMIZERS
from jsonnx.training.optimizers.schedules import SCHEDULES
from jsonnx.training.weights import distributions
from jsonnx.training.weights.constraints import CONSTRAINTS
from jsonnx.training.weights.initializers import INITIALIZERS, weight_fans
from jsonnx.training.weights.regularizers import REGULARIZERS
from support.formulas import evaluate
from support.harness import run

from . import cases
from .cases import name
from .recorded import array, read, recorded, target_array
from .test_metrics import totals
from .test_optimizers import run_steps, step_graph
from .test_schedules import rates

WITHOUT_FORMULA: dict[Registry, dict[str, str]] = {
    OPTIMIZERS: {"MultiOptimizer": "chooses one of other optimizers for each weight"},
}
"""The components that have none, and why."""


def type_of(spec: Any) -> str:
    return spec if isinstance(spec, str) else spec["type"]


@pytest.mark.parametrize(
    "registry",
    [LOSSES, METRICS, OPTIMIZERS, SCHEDULES, REGULARIZERS, CONSTRAINTS, INITIALIZERS],
    ids=lambda registry: registry.kind,
)
def test_every_component_has_a_formula_or_a_reason(registry: Registry) -> None:
    assert {each.type_name for each in registry if not each.formula} == {*WITHOUT_FORMULA.get(registry, ())}


# -- losses and metrics ------------------------------------------------------------------------------------------------

ROUNDED = ("extreme", "certain")
"""Kinds of outputs whose probabilities float32 rounds to 1, so that their logarithms differ."""

QUANTILE = {"type": "quantile", "quantiles": [0.2, 0.7]}
QUANTILE_CASES = [(QUANTILE, {"target": [[0.1, 2.0]], "output": [[[0, 1], [3, 1]]]})]


def loss_cases() -> Iterator[tuple[Any, dict[str, Any]]]:
    for (spec, pair), said in recorded(cases.LOSSES, "losses"):
        if pair.output not in ROUNDED:
            yield spec, said
    yield from QUANTILE_CASES


@pytest.mark.parametrize(("spec", "said"), [*loss_cases()], ids=[name(spec) for spec, _ in loss_cases()])
def test_the_formula_of_a_loss_gives_its_losses(spec: Any, said: dict[str, Any]) -> None:
    loss, output = read(LOSSES, spec), array(said["output"])
    g = Builder()
    y_pred = g.input("output", TensorType("float32", (BATCH, *output.shape[1:])))
    y_true = g.input("target", loss.target_type(y_pred.type))
    target = target_array(said["target"]).astype(y_true.dtype)
    graph = g.graph({"losses": loss.unreduced_losses(g, y_true, y_pred)})
    expected = run(graph, {"output": output, "target": target})["losses"]
    found = evaluate(loss, y_true=target, y_pred=output.astype(np.float64))["loss"]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


DESCRIBED_OPTIONS = {
    "AUC": ("curve", "summation_method", "thresholds", "multi_label", "label_weights"),
    "Precision": ("top_k", "average"),
    "Recall": ("top_k", "average"),
}
"""Arguments whose descriptions say what they change in a formula, which is that of their defaults."""

Batches = list[tuple[Any, Any]]
METRIC_CASES: list[tuple[Any, str, Batches]] = [
    ({"type": "MeanRelativeError", "normalizer": [2.0, 0.0, 4.0]}, "mse", [([[1, 2, 3]], [[0.5, 1, 5]])]),
    ("interval_coverage", "quantile", [([[0.5, 2.0]], [[[0, 0.4, 1], [3, 4, 5]]])]),
    ("mean_pinball_loss", "quantile", [([[0.5, 2.0]], [[[0, 0.4, 1], [3, 4, 5]]])]),
    ("confusion_matrix", "mse", [([[1, 0, 0], [0, 1, 0]], [[0.5, 0.7, 0.1], [0.2, 0.9, 0.3]])]),
    ({"type": "ConfusionMatrix", "normalize": "true"}, "mse", [(np.eye(3), [[1, 0, 0], [0.2, 0.1, 0.7], [0, 0, 1]])]),
]


def metric_cases() -> Iterator[tuple[Any, str, Batches]]:
    for (spec, loss, _), said in recorded(cases.METRICS, "metrics"):
        kind = METRICS.by_name[type_of(spec)].__name__
        if isinstance(spec, str) or not any(option in spec for option in DESCRIBED_OPTIONS.get(kind, ())):
            yield spec, loss, said["batches"]
    yield from METRIC_CASES


@pytest.mark.parametrize(
    ("spec", "loss", "batches"), [*metric_cases()], ids=[name(spec) for spec, _, _ in metric_cases()]
)
def test_the_formula_of_a_metric_gives_its_value(spec: Any, loss: str, batches: Batches) -> None:
    suited = read(LOSSES, loss)
    output = TensorType("float32", (BATCH, *np.shape(batches[0][1])[1:]))
    given = MetricCodec().read(spec)
    metric = given.resolve(suited, output)
    target = suited.target_type(output)
    expected = metric.result(totals(metric, target, output, batches))
    y_true, y_pred = (
        np.concatenate([np.asarray(batch[index], dtype) for batch in batches])
        for index, dtype in ((0, target.dtype), (1, "float64"))
    )
    found = evaluate(metric if metric.formula else given, given.formula, **metric_names(metric, y_true, y_pred))
    np.testing.assert_allclose(np.squeeze(found["metric"]), np.squeeze(expected), rtol=1e-5, atol=1e-5)


def metric_names(metric: Any, y_true: np.ndarray, y_pred: np.ndarray) -> dict[str, Any]:
    """Targets and outputs, only of the class `class_id` if the metric has one, and the list of thresholds."""
    names: dict[str, Any] = {}
    if hasattr(metric, "cuts") and y_true.ndim < y_pred.ndim:
        y_true = np.equal(y_true[..., None], np.arange(y_pred.shape[-1]))
    if getattr(metric, "class_id", None) is not None:
        y_true, y_pred = y_true[..., metric.class_id], y_pred[..., metric.class_id]
    if hasattr(metric, "_thresholds"):
        names["thresholds"] = metric._thresholds
    return {"y_true": y_true, "y_pred": y_pred, **names}


@pytest.mark.parametrize(
    ("registry", "evaluated"),
    [
        (LOSSES, [spec for spec, _ in loss_cases()]),
        (METRICS, [spec for spec, _, _ in metric_cases()]),
    ],
    ids=["loss", "metric"],
)
def test_every_formula_is_evaluated(registry: Registry, evaluated: list[Any]) -> None:
    assert {registry.by_name[type_of(spec)] for spec in evaluated} == {each for each in registry if each.formula}


# -- optimizers and schedules ------------------------------------------------------------------------------------------

OPTIONS_OF_ALL = (
    "clipnorm",
    "clipvalue",
    "global_clipnorm",
    "exclude_from_weight_decay",
    "use_ema",
    "gradient_accumulation_steps",
    "exclude_layers",
)
"""Arguments that change gradients or weights in the same way for all optimizers."""
DECAYING = ("AdamW", "Muon", "ScheduleFreeAdamW")
"""Optimizers whose formula has the weight decay, which others only have if they are given one."""


def has_plain_step(spec: Any) -> bool:
    options = spec if isinstance(spec, dict) else {}
    is_plain = not any(option in options for option in OPTIONS_OF_ALL) and type_of(spec) != "MultiOptimizer"
    return is_plain and isinstance(options.get("learning_rate", 0.1), float)


OPTIMIZER_CASES = [spec for spec in cases.OPTIMIZERS if has_plain_step(spec)]
STEPS = 8


@pytest.mark.costly(4)
@pytest.mark.parametrize("spec", OPTIMIZER_CASES, ids=name)
def test_the_formula_of_an_optimizer_gives_its_steps(spec: Any) -> None:
    optimizer = read(OPTIMIZERS, spec)
    expected = run_steps(step_graph(spec), optimizer.learning_rate, STEPS)[-1]
    for weight, w in cases.first_weights().items():
        if optimizer.type_name == "Muon" and w.ndim != 2:
            continue
        names = {"w": w.astype(np.float64)}
        for t, gradients in enumerate(cases.gradients()[:STEPS], 1):
            if optimizer.weight_decay and optimizer.type_name not in DECAYING:
                names = {**decayed(optimizer, t, names)}
            names = evaluate(optimizer, **{**names, "g": gradients[weight].astype(np.float64), "t": t})
        np.testing.assert_allclose(names["w"], expected[weight], rtol=1e-5, atol=1e-5)


def decayed(optimizer: Any, t: int, names: dict[str, Any]) -> dict[str, Any]:
    return names | {"w": names["w"] * (1 - optimizer.learning_rate * optimizer.weight_decay)}


def test_every_formula_of_an_optimizer_is_evaluated() -> None:
    assert {OPTIMIZERS.by_name[type_of(spec)] for spec in OPTIMIZER_CASES} == {o for o in OPTIMIZERS if o.formula}


CYCLE = {"type": "OneCycle", "max_learning_rate": 0.5, "total_steps": 20}
SCHEDULE_CASES = [
    *cases.SCHEDULES,
    CYCLE,
    {**CYCLE, "three_phase": True, "anneal_strategy": "linear", "div_factor": 10.0},
    {**CYCLE, "pct_start": 0.5, "final_div_factor": 100.0},
]


@pytest.mark.parametrize("spec", SCHEDULE_CASES, ids=name)
def test_the_formula_of_a_schedule_gives_its_rates(spec: Any) -> None:
    steps = [0, 1, 3, 5, 6, 9, 10, 13, 19, 20, 33]
    found = [evaluate(read(SCHEDULES, spec), t=t)["learning_rate"] for t in steps]
    np.testing.assert_allclose(found, rates(spec, steps), rtol=1e-5, atol=1e-7)


# -- weights -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("spec", cases.REGULARIZERS, ids=name)
def test_the_formula_of_a_regularizer_gives_its_penalty(spec: Any) -> None:
    x = np.random.default_rng(0).normal(size=(3, 4)).astype("float32")
    g, regularizer = Builder(), read(REGULARIZERS, spec)
    graph = g.graph({"penalty": regularizer.penalty(g, g.input("x", TensorType("float32", x.shape)))})
    np.testing.assert_allclose(evaluate(regularizer, x=x)["penalty"], run(graph, {"x": x})["penalty"], rtol=1e-5)


@pytest.mark.parametrize("spec", cases.CONSTRAINTS, ids=name)
def test_the_formula_of_a_constraint_gives_its_weight(spec: Any) -> None:
    w = np.random.default_rng(0).normal(size=(3, 4)).astype("float32")
    g, constraint = Builder(), read(CONSTRAINTS, spec)
    graph = g.graph({"projected": constraint.project(g, g.input("w", TensorType("float32", w.shape)))})
    np.testing.assert_allclose(evaluate(constraint, w=w)["w"], run(graph, {"w": w})["projected"], rtol=1e-5)


INITIALIZER_CASES = [
    *((spec, (3, 5)) for spec in INITIALIZERS.members if spec != "stft"),
    *(
        ({"type": "VarianceScaling", "scale": 2.0, "mode": mode, "distribution": distribution}, (2, 3, 5))
        for mode in ("fan_in", "fan_out", "fan_avg")
        for distribution in ("uniform", "truncated_normal", "untruncated_normal")
    ),
    ("orthogonal", (5, 3)),
    ("stft", (8, 1, 5)),
    ({"type": "STFT", "side": "imag", "scaling": "spectrum", "periodic": True}, (8, 1, 5)),
    ({"type": "STFT", "window": "hamming", "scaling": None}, (8, 1, 5)),
]

DRAWS: dict[str, Callable[[float, float], distributions.Distribution]] = {
    "uniform": distributions.Uniform,
    "normal": distributions.Normal,
    "truncated_normal": distributions.TruncatedNormal,
}


@pytest.mark.parametrize(("spec", "shape"), INITIALIZER_CASES, ids=lambda value: name(value))
def test_the_formula_of_an_initializer_gives_its_weights(spec: Any, shape: tuple[int, ...]) -> None:
    initializer, rng = read(INITIALIZERS, spec), np.random.default_rng(3)
    expected = np.broadcast_to(initializer.sample(shape, np.random.default_rng(3)), shape)

    def drawn(kind: str) -> Callable[..., np.ndarray]:
        def draw(first: float, second: float, shape: tuple[int, ...]) -> np.ndarray:
            numbers = np.empty(shape)
            DRAWS[kind](first, second).fill(numbers.reshape(-1), rng)
            return numbers

        return draw

    fan_in, fan_out = weight_fans(shape, None, None)
    draws = {kind: drawn(kind) for kind in DRAWS}
    found = evaluate(initializer, shape=shape, fan_in=fan_in, fan_out=fan_out, **draws)["w"]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
