"""Logits by blocks of rows: the same steps, and one block of them at a time."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import jsonnx
import numpy as np
import pytest
from jsonnx.core.reserved_names import LOSS
from jsonnx.core.types import Size
from jsonnx.gradient.training_step import with_loss
from jsonnx.ir import Graph, Value
from jsonnx.lowering.lower import lower
from jsonnx.passes.canonicalize import prune
from jsonnx.passes.training_steps import class_gathers, row_blocks
from jsonnx.pipeline.check.check import check_spec
from jsonnx.pipeline.train.plan_training import plan_training
from jsonnx.runtime.execution import sized_steps
from jsonnx.tuning.cpu.schedule import schedule
from jsonnx.tuning.cpu.target import Target
from support.harness import check_gradients, draw_weights
from support.training_steps import Batch, assert_same_steps, run_steps

Spec = dict[str, Any]
CLASSES, BATCH, TIME, WIDTH = 40, 3, 10, 8
SIZES = {"batch": BATCH, "time": TIME}
SPARSE = "sparse_categorical_crossentropy"


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MIN_LOGITS_BYTES", "MIN_BLOCK_BYTES"):
        monkeypatch.setattr(row_blocks, name, 1)
    monkeypatch.setattr(row_blocks, "MIN_BLOCK_ROWS", 7)
    monkeypatch.setattr(class_gathers, "MIN_SCORES_BYTES", 1)


def head(**attributes: Any) -> list[Spec]:
    return [{"type": "Dense", "units": CLASSES, **attributes}]


SOFTMAX = head(activation="softmax")
TIED = [
    {"type": "ReversibleEmbedding", "name": "table", "input_dim": CLASSES, "output_dim": WIDTH},
    {"type": "Dense", "units": WIDTH, "activation": "tanh"},
    {"use": "table", "name": "scores"},
]
CASES: dict[str, tuple[list[Spec], Spec]] = {
    "softmax": (SOFTMAX, {"loss": SPARSE}),
    "logits": (head(), {"loss": {"type": SPARSE, "from_logits": True}}),
    "no bias": (head(use_bias=False), {"loss": {"type": SPARSE, "from_logits": True}}),
    "metrics": (SOFTMAX, {"loss": SPARSE, "metrics": ["accuracy", "sparse_top_k_categorical_accuracy"]}),
    "ignored class": (SOFTMAX, {"loss": {"type": SPARSE, "ignore_class": 3}}),
    "sum": (SOFTMAX, {"loss": {"type": SPARSE, "reduction": "sum"}}),
    "soft cap": (
        [
            {
                "type": "ReversibleEmbedding",
                "input_dim": CLASSES,
                "output_dim": WIDTH,
                "tie_weights": False,
                "logit_soft_cap": 5.0,
            }
        ],
        {"loss": {"type": SPARSE, "from_logits": True}},
    ),
    "categorical": (SOFTMAX, {"loss": "categorical_crossentropy", "metrics": ["accuracy"]}),
    "smoothed": (SOFTMAX, {"loss": {"type": "categorical_crossentropy", "label_smoothing": 0.1}}),
    "focal": (SOFTMAX, {"loss": "categorical_focal_crossentropy"}),
    "divergence": (SOFTMAX, {"loss": "kl_divergence"}),
    "generalized": (SOFTMAX, {"loss": "categorical_generalized_cross_entropy"}),
    "mixed precision": (SOFTMAX, {"loss": SPARSE, "precision": "mixed_float16"}),
    "penalty": (head(activation="softmax", kernel_regularizer="l2"), {"loss": SPARSE}),
    "masked": ([{"type": "Masking"}, *SOFTMAX], {"loss": SPARSE, "metrics": ["accuracy"]}),
}


def document(layers: list[Spec], training: Spec, shape: Sequence[Any] = (TIME, WIDTH), dtype: str = "float32") -> Spec:
    inputs = {"x": {"shape": list(shape), "dtype": dtype}}
    return {"inputs": inputs, "layers": layers, "training": {"optimizer": "sgd", **training}}


def batches(spec: Spec, lengths: list[int], dtype: str = "float32") -> list[Batch]:
    rng = np.random.default_rng(4)
    result: list[Batch] = []
    for length in lengths:
        shape = (BATCH, length)
        x = rng.standard_normal((*shape, WIDTH), np.float32)
        if dtype != "float32":
            x = rng.integers(0, CLASSES, shape).astype(dtype)
        x[:, -1:] = 0
        y = rng.integers(0, CLASSES, shape)
        loss = spec["training"]["loss"]
        name = loss if isinstance(loss, str) else loss["type"]
        soft = name in ("categorical_crossentropy", "categorical_focal_crossentropy", "kl_divergence")
        result.append((x, rng.dirichlet(np.ones(CLASSES), shape).astype(np.float32) if soft else y))
    return result


def max_live_scores(graph: Graph) -> int:
    """The most values with the axis of classes and a symbolic axis that exist at once, as nodes run in their order."""
    last_use = {x: index for index, node in enumerate(graph.nodes) for x in node.inputs}
    live: set[Value] = set()
    most = 0
    for index, node in enumerate(graph.nodes):
        live.update(y for y in node.outputs if CLASSES in y.shape and not y.type.is_static() and y in last_use)
        most = max(most, len(live))
        live = {x for x in live if last_use[x] > index}
    return most


def whole_scores(graph: Graph) -> list[Value]:
    """The values as large as all logits."""
    shape = (Size.named("batch"), TIME, CLASSES)
    return [y for node in graph.nodes for y in node.outputs if y.shape == shape]


@pytest.mark.parametrize("case", CASES)
def test_blocks_train_as_the_whole_does(case: str) -> None:
    spec = document(*CASES[case])
    plan = plan_training(check_spec(spec))
    assert plan.make_step is not None
    step = plan.make_step(SIZES)
    assert whole_scores(plan.train)
    assert not whole_scores(step)
    expected = run_steps(plan.train, plan, batches(spec, [TIME, TIME]))
    tolerance = 2e-3 if case == "mixed precision" else 2e-5
    assert_same_steps(run_steps(step, plan, batches(spec, [TIME, TIME])), expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("layers", [TIED, head(activation="softmax")], ids=["tied", "untied"])
@pytest.mark.parametrize("blocks_along", ["time", "batch"])
def test_blocks_of_symbolic_axes_train_as_the_whole_does(layers: list[Spec], blocks_along: str) -> None:
    dtype = "int32" if layers is TIED else "float32"
    training = {"loss": {"type": SPARSE, "from_logits": layers is TIED}}
    shape = ["time"] if dtype == "int32" else ["time", WIDTH]
    spec = document(layers, training, shape, dtype)
    plan = plan_training(check_spec(spec))
    assert plan.make_step is not None
    step = plan.make_step({"batch": 40, "time": 2} if blocks_along == "batch" else SIZES)
    lengths = [TIME, 1, 2, TIME - 1]  # fewer rows than blocks, too
    expected = run_steps(plan.train, plan, batches(spec, lengths, dtype))
    assert_same_steps(run_steps(step, plan, batches(spec, lengths, dtype)), expected, rtol=2e-5, atol=2e-6)


def test_samples_without_time_are_rows() -> None:
    spec = document(SOFTMAX, {"loss": SPARSE}, [WIDTH])
    plan = plan_training(check_spec(spec))
    assert plan.make_step is not None
    step = plan.make_step({"batch": 30})
    rng = np.random.default_rng(1)
    data = [(rng.standard_normal((n, WIDTH), np.float32), rng.integers(0, CLASSES, n)) for n in (30, 7, 2)]
    assert sum(node.op == "LogSoftmax" for node in step.nodes) == 4
    assert_same_steps(run_steps(step, plan, data), run_steps(plan.train, plan, data), rtol=2e-5, atol=2e-6)


def test_two_outputs_are_split(monkeypatch: pytest.MonkeyPatch) -> None:
    outputs = ["first", "second"]
    layers: list[Spec] = [{"type": "Dense", "name": "body", "units": WIDTH, "activation": "tanh"}]
    layers += [{**SOFTMAX[0], "name": name, "from": "body"} for name in outputs]
    spec = document(layers, {"loss": {"first": SPARSE, "second": "categorical_crossentropy"}}) | {"outputs": outputs}
    plan = plan_training(check_spec(spec))
    assert plan.make_step is not None
    step = plan.make_step(SIZES)
    assert not whole_scores(step)
    assert sum(node.op == "LogSoftmax" for node in step.nodes) == 8
    rng = np.random.default_rng(6)
    x = rng.standard_normal((BATCH, TIME, WIDTH), np.float32)
    classes, soft = rng.integers(0, CLASSES, (BATCH, TIME)), rng.dirichlet(np.ones(CLASSES), (BATCH, TIME))
    losses = []
    for min_bytes in (1 << 60, 1):  # the second trainer computes by blocks
        monkeypatch.setattr(sized_steps, "MIN_BLOCKED_BYTES", min_bytes)
        trainer = jsonnx.Trainer(spec, seed=1)
        targets = {"first": classes, "second": soft.astype(np.float32)}
        losses.append([trainer.step(x, targets)["loss"] for _ in range(3)])
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-5)


@pytest.mark.parametrize("case", ["softmax", "logits", "metrics", "categorical", "ignored class"])
def test_one_block_exists_at_a_time(case: str) -> None:
    layers, training = CASES[case]
    body = {"type": "Dense", "units": WIDTH, "activation": "tanh"}
    plan = plan_training(check_spec(document([body, *layers], training, [12, WIDTH])))
    assert plan.make_step is not None
    blocks = schedule(plan.make_step({"batch": BATCH, "time": 12}), Target(keeps_order=True))
    assert sum(node.op == "LogSoftmax" for node in blocks.nodes) == 5
    assert max_live_scores(blocks) <= (5 if "categorical" in str(training["loss"]) else 4)


def test_the_gradient_of_a_tied_table_is_not_transposed() -> None:
    spec = document(TIED, {"loss": {"type": SPARSE, "from_logits": True}}, ["time"], "int32")
    plan = plan_training(check_spec(spec))
    assert plan.make_step is not None
    step = plan.make_step(SIZES)
    assert not [node for node in step.nodes if node.op == "Transpose" and node.outputs[0].shape == (CLASSES, WIDTH)]


@pytest.mark.parametrize(
    ("layers", "training"),
    [
        ([*SOFTMAX, {"type": "GlobalAveragePooling1D"}], {"loss": "mse"}),
        ([*SOFTMAX, {"type": "Dense", "units": 2 * CLASSES}, {"type": "Softmax", "axis": 1}], {"loss": "mse"}),
        ([*head(), {"type": "Softmax", "axis": 1}], {"loss": "categorical_crossentropy"}),
        ([*head(), {"type": "BatchNormalization"}], {"loss": {"type": SPARSE, "from_logits": True}}),
    ],
)
def test_rows_that_depend_on_each_other_are_not_split(layers: list[Spec], training: Spec) -> None:
    plan = plan_training(check_spec(document(layers, training)))
    assert plan.make_step is not None
    assert len(plan.make_step(SIZES).outputs) == len(plan.train.outputs)


@pytest.mark.parametrize("target", [-1, CLASSES, CLASSES + 5, -CLASSES - 1])
def test_targets_outside_the_classes_count_as_before(target: int) -> None:
    plan = plan_training(check_spec(document(SOFTMAX, {"loss": SPARSE})))
    assert plan.make_step is not None
    rng = np.random.default_rng(2)
    y = rng.integers(0, CLASSES, (BATCH, TIME))
    y[0, 3] = target
    data: list[Batch] = [(rng.standard_normal((BATCH, TIME, WIDTH), np.float32), y)]
    expected = run_steps(plan.train, plan, data)
    assert_same_steps(run_steps(plan.make_step(SIZES), plan, data), expected, rtol=2e-5, atol=2e-6)


@pytest.mark.skipif(np.__version__ < "2", reason="ONNX' reference Sum broadcasts at most 32 operands with NumPy 1")
@pytest.mark.parametrize("case", ["softmax", "metrics", "ignored class", "categorical", "smoothed", "focal"])
def test_gradients_of_blocks_equal_finite_differences(case: str) -> None:
    layers, training = CASES[case]
    checked = check_spec(document(layers, training, [9, 4]))
    assert checked.objective is not None
    network = lower(checked.require(), training=True, float_dtype="float64")
    target_types = checked.objective.targets.items()
    targets = {name: type.with_dtype(type.dtype.replace("32", "64")) for name, type in target_types}
    scored = with_loss(network, checked.objective._replace(targets=targets))
    sizes = {"batch": 3, "time": 9}
    graph, groups = row_blocks.with_row_blocks(class_gathers.gather_scores(scored, sizes), sizes)
    assert len(groups[0]) == 3
    graph = prune(dataclasses.replace(graph, outputs={LOSS: graph.outputs[LOSS]}))
    rng = np.random.default_rng(7)
    target = next(name for name in graph.inputs if name != "x")
    indices = rng.integers(0, CLASSES, (3, 9))
    soft = rng.dirichlet(np.ones(CLASSES), (3, 9)).astype(graph.inputs[target].dtype)
    feeds = {"x": rng.standard_normal((3, 9, 4)), target: indices if graph.inputs[target].rank == 2 else soft}
    feeds |= draw_weights(graph, rng)
    assert check_gradients(graph, feeds, list(graph.parameters)) < 1e-6
