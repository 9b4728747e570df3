"""Losses and metrics that are Python functions."""

from __future__ import annotations

import json
from typing import Any

import jsonnx
import numpy as np
import pytest
from jsonnx import ops
from jsonnx.functions.python_function import PythonFunction
from jsonnx.pipeline.run.trained_model import TrainedModel

RANDOM = np.random.default_rng(3)
X = RANDOM.normal(size=(60, 4)).astype("float32")
Y = RANDOM.normal(size=(60, 3)).astype("float32")
LABELS = RANDOM.integers(0, 3, 60)
LOSS_PATH = "$.training.loss"


def spec(loss: Any = "mse", activation: str = "linear", **training: Any) -> dict[str, Any]:
    layers = [{"type": "Dense", "units": 6, "activation": "tanh"}]
    output = {"type": "Dense", "name": "y", "units": 3, "activation": activation}
    return {
        "inputs": {"x": {"shape": [4]}},
        "layers": [*layers, output],
        "training": {"loss": loss, "optimizer": "adam", "epochs": 3, "batch_size": 16, **training},
    }


def identity_spec(shape: list[int], **training: Any) -> dict[str, Any]:
    """A network that returns its input, beside a weight that is trained."""
    layers = [{"type": "Dense", "name": "dense", "units": shape[-1], "kernel_initializer": "identity"}]
    return {"inputs": {"x": {"shape": shape}}, "layers": layers, "training": {"optimizer": "sgd", **training}}


def squared(y_true: Any, y_pred: Any) -> Any:
    return ops.mean(ops.square(y_true - y_pred), axis=-1)


def crossentropy(y_true: Any, y_pred: Any) -> Any:
    chosen = ops.take_along_axis(y_pred, ops.expand_dims(y_true, -1), axis=-1)
    return -ops.log(ops.squeeze(chosen, -1))


def one_minus_correlation(y_true: Any, y_pred: Any) -> Any:
    a, b = y_true - ops.mean(y_true), y_pred - ops.mean(y_pred)
    return 1 - ops.sum(a * b) / ops.sqrt(ops.sum(a * a) * ops.sum(b * b))


def trained_history(loss: Any, targets: np.ndarray, activation: str = "linear", **fit: Any) -> dict[str, list[float]]:
    trainer = jsonnx.Trainer(spec(loss, activation), seed=5)
    history: dict[str, list[float]] = trainer.fit(X, targets, **fit).history
    return history


@pytest.mark.parametrize(
    ("function", "name", "targets", "activation"),
    [
        (jsonnx.loss(squared), "mse", Y, "linear"),
        (jsonnx.loss(crossentropy, classes=True), "sparse_categorical_crossentropy", LABELS, "softmax"),
        (
            jsonnx.loss(lambda t, p: ops.sparse_categorical_crossentropy(t, p, from_logits=True), classes=True),
            {"type": "sparse_categorical_crossentropy", "from_logits": True},
            LABELS,
            "linear",
        ),
        (
            jsonnx.loss(lambda t, p: ops.mean(ops.binary_crossentropy(t, p), axis=-1)),
            "binary_crossentropy",
            (Y > 0).astype("float32"),
            "sigmoid",
        ),
        (
            jsonnx.loss(lambda t, p: ops.categorical_crossentropy(t, p)),
            "categorical_crossentropy",
            np.eye(3)[LABELS],
            "softmax",
        ),
        (jsonnx.loss(squared, reduction="sum"), {"type": "mse", "reduction": "sum"}, Y, "linear"),
    ],
    ids=["mse", "crossentropy", "sparse", "binary", "categorical", "sum"],
)
@pytest.mark.parametrize("weighted", [False, True])
def test_a_function_trains_as_the_loss_that_it_computes(
    function: Any, name: Any, targets: np.ndarray, activation: str, weighted: bool
) -> None:
    fit = {"sample_weight": np.linspace(0, 2, 60)} if weighted else {}
    own = trained_history(function, targets, activation, **fit)
    assert own["loss"] == pytest.approx(trained_history(name, targets, activation, **fit)["loss"], rel=1e-4)
    assert own["loss"][-1] < own["loss"][0]


def test_a_loss_of_the_whole_batch_and_its_gradients() -> None:
    trainer = jsonnx.Trainer(spec(jsonnx.loss(one_minus_correlation)), seed=5)
    predicted = trainer.predict(X)
    expected = 1 - np.corrcoef(Y.ravel(), predicted.ravel())[0, 1]
    assert trainer.evaluate(X, Y, batch_size=60)["loss"] == pytest.approx(expected, rel=1e-4)
    gradient = trainer.gradients(X, Y)["y/kernel"]
    weights, step = trainer.weights(), 1e-2
    for index in [(0, 0), (3, 2)]:
        losses = []
        for sign in (1, -1):
            moved = {name: array.copy() for name, array in weights.items()}
            moved["y/kernel"][index] += sign * step
            trainer.set_weights(moved)
            losses.append(trainer.evaluate(X, Y, batch_size=60)["loss"])
        assert gradient[index] == pytest.approx((losses[0] - losses[1]) / (2 * step), rel=0.02, abs=1e-4)


CASES = {
    "abs": (lambda t, p: abs(t - p), lambda t, p: np.abs(t - p)),
    "arithmetic": (lambda t, p: (2 - t) / (p * p + 1) - -t % 0.7, lambda t, p: (2 - t) / (p * p + 1) - -t % 0.7),
    "power": (lambda t, p: (t * t) ** 1.5 + 2.0**p, lambda t, p: (t * t) ** 1.5 + 2.0**p),
    "where": (lambda t, p: ops.where((t > 0) & ~(p > 0), t, 0.5), lambda t, p: np.where((t > 0) & ~(p > 0), t, 0.5)),
    "array": (lambda t, p: np.array([1, 2, 3.5]) * p + t, lambda t, p: np.array([1, 2, 3.5]) * p + t),
    "numpy": (lambda t, p: np.exp(p) + np.maximum(t, 0.25), lambda t, p: np.exp(p) + np.maximum(t, 0.25)),
    "index": (lambda t, p: t[:, 1:] * p[..., :-1], lambda t, p: t[:, 1:] * p[..., :-1]),
    "stack": (lambda t, p: ops.concatenate([t, p[:, :1]], axis=1), lambda t, p: np.concatenate([t, p[:, :1]], axis=1)),
    "einsum": (lambda t, p: ops.einsum("bi,bj->bij", t, p)[:, 0, :], lambda t, p: np.einsum("bi,bj->bij", t, p)[:, 0]),
    "clip": (lambda t, p: ops.clip(p, -0.5, 0.5) - t, lambda t, p: np.clip(p, -0.5, 0.5) - t),
    "cast": (lambda t, p: ops.cast(t > p, "float32"), lambda t, p: (t > p).astype(float)),
    "batch": (lambda t, p: ops.std(p) + 0 * t, lambda t, p: np.std(p) + 0 * t),
}


@pytest.mark.parametrize("name", CASES)
def test_operators_are_those_of_numpy(name: str) -> None:
    computed, expected = CASES[name]
    metric = jsonnx.metric(lambda y_true, y_pred: ops.mean(computed(y_true, y_pred), axis=-1), name="value")
    trainer = jsonnx.Trainer(identity_spec([3]), loss="mse", metrics=[metric])
    x = RANDOM.normal(size=(20, 3)).astype("float32")
    figures = trainer.evaluate(x, Y[:20], batch_size=20)
    assert figures["value"] == pytest.approx(float(np.mean(expected(Y[:20], x))), rel=1e-4, abs=1e-5)


def test_a_metric_of_the_batch_is_averaged_by_the_sizes_of_batches() -> None:
    metric = jsonnx.metric(lambda y_true, y_pred: ops.max(y_pred), name="greatest")
    trainer = jsonnx.Trainer(identity_spec([3]), loss="mse", metrics={"dense": [metric]})
    expected = np.average([X[:40, :3].max(), X[40:, :3].max()], weights=[40, 20])
    assert trainer.evaluate(X[:, :3], Y, batch_size=40)["greatest"] == pytest.approx(expected)


def test_masked_positions_do_not_count() -> None:
    layers: list[dict[str, Any]] = [{"type": "Masking"}, {"type": "Dense", "name": "y", "units": 1}]
    document = {"inputs": {"x": {"shape": [5, 2]}}, "layers": layers, "training": {"optimizer": "sgd"}}
    x, y = RANDOM.normal(size=(8, 5, 2)).astype("float32"), RANDOM.normal(size=(8, 5, 1)).astype("float32")
    x[:, 3:] = 0
    figures = []
    for loss, metric in ((jsonnx.loss(squared), jsonnx.metric(squared, name="mse")), ("mse", "mse")):
        figures.append(jsonnx.Trainer(document, loss=loss, metrics=[metric], seed=2).evaluate(x, y))
    assert figures[0] == pytest.approx(figures[1])
    per_sample = jsonnx.loss(lambda y_true, y_pred: ops.mean(y_pred, axis=[1, 2]))
    with pytest.raises(jsonnx.CompileError, match="mask"):
        jsonnx.Trainer(document, loss=per_sample)


def test_a_function_may_call_another() -> None:
    base = jsonnx.loss(squared)
    doubled = jsonnx.loss(lambda y_true, y_pred: 2 * base(y_true, y_pred))
    losses = [jsonnx.Trainer(spec(loss), seed=5).evaluate(X, Y)["loss"] for loss in (base, doubled)]
    assert losses[1] == pytest.approx(2 * losses[0])


def test_decorators_and_names() -> None:
    @jsonnx.loss
    def first(y_true: Any, y_pred: Any) -> Any:
        return squared(y_true, y_pred)

    @jsonnx.metric(name="second", higher_is_better=True)
    def other(y_true: Any, y_pred: Any) -> Any:
        return -squared(y_true, y_pred)

    assert (first.name, other.name, other.higher_is_better) == ("first", "second", True)
    trainer = jsonnx.Trainer(spec(first, metrics=[other], early_stopping={"monitor": "val_second"}))
    history = trainer.fit(X, Y, validation_split=0.5).history
    assert history["val_second"] == pytest.approx([-value for value in history["val_loss"]])


def test_several_outputs() -> None:
    document = spec(loss={"y": jsonnx.loss(squared), "z": "mse"}, metrics={"y": [jsonnx.metric(squared)]})
    document["layers"].append({"type": "Dense", "name": "z", "units": 1})
    document["outputs"] = ["y", "z"]
    figures = jsonnx.Trainer(document).evaluate(X, {"y": Y, "z": Y[:, :1]})
    assert figures["y_loss"] == pytest.approx(figures["y_squared"], rel=1e-5)


# -- what cannot be compiled -------------------------------------------------------------------------------------------


def truth(y_true: Any, y_pred: Any) -> Any:
    return y_pred if y_true > 0 else y_true


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda t, p: 3.0, "returns float"),
        (truth, r"no truth value.*ops\.where"),
        (lambda t, p: float(p), "no number yet"),
        (lambda t, p: np.mean(p), "NumPy cannot compute"),
        (lambda t, p: np.isclose(t, p), "cannot compute with a tensor"),
        (lambda t, p: list(p), r"ops\.unstack"),
        (lambda t, p: ops.mean(p, axis="last"), "does not take axis='last'"),
        (lambda t, p: ops.mean(p, axes=1), r"it is ops\.mean\(x, axis=None, keepdims=False\)"),
        (lambda t, p: ops.exp(2.0), "needs a tensor"),
        (lambda t, p: ops.concatenate([p, 1.0]), "takes tensors, got float"),
        (lambda t, p: ops.reshape(p, t), "which is a constant"),
        (lambda t, p: ops.binary_crossentropy(1.0, p), "are tensors, got float"),
    ],
)
def test_a_function_that_cannot_be_compiled(function: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        jsonnx.Trainer(spec(), loss=jsonnx.loss(function))


def test_unknown_functions() -> None:
    with pytest.raises(AttributeError, match="did you mean 'mean'"):
        _ = ops.meen
    with pytest.raises(AttributeError, match="NumPy's arrays"):
        _ = ops.zeros
    assert {"mean", "where", "one_hot"} <= set(dir(ops))


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda t, p: ops.mean(p, axis=4), r"in line \d+: ops\.mean has axis 4"),
        (lambda t, p: t > p, "no real numbers"),
        (lambda t, p: ops.transpose(p), "whose axes are not the first ones"),
        (lambda t, p: ops.matmul(t, p), "ops.matmul"),
    ],
)
def test_a_result_that_does_not_fit_is_a_diagnostic(function: Any, message: str) -> None:
    for loss, metrics, code in ((jsonnx.loss(function), [], "loss"), ("mse", [jsonnx.metric(function)], "metric")):
        with pytest.raises(jsonnx.CompileError, match=message) as error:
            jsonnx.Trainer(spec(), loss=loss, metrics=metrics)
        assert error.value.diagnostics[0].code == f"{code}-mismatch"


def test_class_targets_need_classes() -> None:
    document = spec(jsonnx.loss(crossentropy, classes=True))
    document["layers"] = [{"type": "Dense", "units": 1}, {"type": "Reshape", "target_shape": []}]
    with pytest.raises(jsonnx.CompileError, match="an axis of classes"):
        jsonnx.Trainer(document)


def test_a_bare_function_in_a_spec_gets_a_short_error() -> None:
    for training, names in (({"loss": squared}, ("jsonnx.loss", "AddLoss")), ({"metrics": [squared]}, "jsonnx.metric")):
        with pytest.raises(jsonnx.CompileError) as error:
            jsonnx.Trainer(spec(**training))
        assert len(error.traceback) < 8
        assert all(name in str(error.value.diagnostics[0].help) for name in (names if len(names) == 2 else [names]))


# -- the entry in a spec -----------------------------------------------------------------------------------------------


def written_spec() -> dict[str, Any]:
    """A spec with functions, as a RUN folder has it."""
    trainer = jsonnx.Trainer(spec(), loss=jsonnx.loss(squared), metrics=["mae", jsonnx.metric(squared)])
    document: dict[str, Any] = json.loads(json.dumps(trainer._checked.source.value))
    return document


def test_the_entry_of_a_function_is_refused() -> None:
    errors = jsonnx.validate(written_spec())
    assert [(error.code, error.path) for error in errors] == [
        ("python-function", LOSS_PATH),
        ("python-function", "$.training.metrics[1]"),
    ]
    assert "AddLoss" in str(errors[0].help)


def test_a_changed_entry_is_refused_likewise() -> None:
    for entry in ({"type": "python"}, {"type": "python", "name": 3, "sha256": []}):
        assert [error.code for error in jsonnx.validate(spec(entry))] == ["python-function"]


def test_a_model_is_evaluated_without_its_functions(tmp_path: Any) -> None:
    trainer = jsonnx.Trainer(spec(), loss=jsonnx.loss(squared), metrics=["mae", jsonnx.metric(squared)])
    trainer.model().save(tmp_path / "model.onnx")
    np.savez(tmp_path / "data.npz", x=X, y=Y)
    warnings: list[Any] = []
    model = TrainedModel.open(tmp_path / "model.onnx")
    figures = model.evaluate(str(tmp_path / "data.npz"), warnings.extend).metrics
    assert figures == {"mae": pytest.approx(trainer.evaluate(X, Y)["mae"])}
    assert ["'loss' and 'squared'" in warning.message for warning in warnings] == [True]


def test_the_digest_tells_what_a_function_reads() -> None:
    def scaled(factor: float, weights: Any = None) -> Any:
        def function(y_true: Any, y_pred: Any) -> Any:
            return factor * squared(y_true, y_pred) if weights is None else squared(y_true, y_pred) * weights

        return function

    digests = [
        PythonFunction(function).sha256
        for function in (
            squared,
            scaled(1),
            scaled(2),
            scaled(1, np.ones(2)),
            scaled(1, np.zeros(2)),
            lambda y_true, y_pred: squared(y_true, y_pred),
        )
    ]
    assert len(set(digests)) == len(digests)
    assert PythonFunction(scaled(2)).sha256 == digests[2]
