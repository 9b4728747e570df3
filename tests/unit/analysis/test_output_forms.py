"""Every loss and every metric, under every activation: which outputs have the form that it takes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from jsonnx.analysis.check_activations import fits
from jsonnx.layers.activations import ACTIVATIONS, activation_class
from jsonnx.lowering.lower import lower
from jsonnx.pipeline.check.check import check_spec
from jsonnx.training.losses.losses import LOSSES
from jsonnx.training.metrics.metrics import METRICS
from jsonnx.training.output_form import OutputForm
from support.harness import one_layer, run

ANY = {"linear", "sigmoid", "softmax", "tanh", "relu", "softplus"}
CLASSES = {"softmax", "softplus"}
FROM_0_TO_1 = {"sigmoid", "softmax"}

LOSS_ACTIVATIONS: dict[str, set[str]] = {
    "sparse_categorical_crossentropy": CLASSES,
    "categorical_crossentropy": CLASSES,
    "categorical_focal_crossentropy": CLASSES,
    "categorical_generalized_cross_entropy": {"softmax"},
    "binary_crossentropy": {"sigmoid"},
    "binary_focal_crossentropy": {"sigmoid"},
    "kl_divergence": {"softmax"},
    "poisson": ANY - {"linear", "tanh"},
    "hinge": {"linear", "tanh"},
    "squared_hinge": {"linear", "tanh"},
    "dice": FROM_0_TO_1,
    "tversky": FROM_0_TO_1,
    "circle": set(),
    "ctc": ANY - {"sigmoid", "softmax", "tanh"},
    **dict.fromkeys(
        [
            *("mean_squared_error", "mean_absolute_error", "mean_absolute_percentage_error", "huber", "log_cosh"),
            *("mean_squared_logarithmic_error", "cosine_similarity", "categorical_hinge", "quantile"),
        ],
        ANY,
    ),
}
"""The activations under which a loss has no finding."""

METRIC_ACTIVATIONS: list[tuple[dict[str, Any], set[str]]] = [
    ({"type": "sparse_categorical_accuracy"}, ANY),
    ({"type": "categorical_accuracy"}, ANY),
    ({"type": "sparse_top_k_categorical_accuracy", "k": 2}, ANY),
    ({"type": "sparse_top_k_categorical_accuracy", "k": 3}, set()),
    ({"type": "top_k_categorical_accuracy", "k": 2}, ANY),
    ({"type": "top_k_categorical_accuracy"}, set()),
    ({"type": "accuracy"}, ANY),
    ({"type": "binary_accuracy"}, FROM_0_TO_1),
    ({"type": "binary_accuracy", "threshold": 0}, ANY),
    ({"type": "binary_crossentropy"}, {"sigmoid"}),
    ({"type": "binary_crossentropy", "from_logits": True}, ANY - {"sigmoid", "softmax", "tanh"}),
    ({"type": "categorical_crossentropy"}, CLASSES),
    ({"type": "sparse_categorical_crossentropy"}, CLASSES),
    ({"type": "kl_divergence"}, {"softmax"}),
    ({"type": "poisson"}, ANY - {"linear", "tanh"}),
    ({"type": "hinge"}, {"linear", "tanh"}),
    ({"type": "squared_hinge"}, {"linear", "tanh"}),
    ({"type": "fbeta_score"}, ANY),
    ({"type": "f1_score"}, ANY),
    ({"type": "f1_score", "threshold": 0.5}, FROM_0_TO_1),
    (
        {"type": "io_u", "num_classes": 3, "target_class_ids": [0], "sparse_y_true": False, "sparse_y_pred": False},
        ANY,
    ),
    ({"type": "mean_io_u", "num_classes": 3, "sparse_y_true": False, "sparse_y_pred": False}, ANY),
    ({"type": "one_hot_io_u", "num_classes": 3, "target_class_ids": [0]}, ANY),
    ({"type": "one_hot_mean_io_u", "num_classes": 3}, ANY),
    ({"type": "binary_io_u"}, FROM_0_TO_1),
    ({"type": "binary_io_u", "threshold": 0}, ANY),
    ({"type": "confusion_matrix"}, ANY),
    *(
        ({"type": kind}, FROM_0_TO_1)
        for kind in ("true_positives", "false_positives", "true_negatives", "false_negatives", "precision", "recall")
    ),
    ({"type": "precision", "top_k": 1}, ANY),
    ({"type": "sensitivity_at_specificity", "specificity": 0.5}, FROM_0_TO_1),
    ({"type": "specificity_at_sensitivity", "sensitivity": 0.5}, FROM_0_TO_1),
    ({"type": "precision_at_recall", "recall": 0.5}, FROM_0_TO_1),
    ({"type": "recall_at_precision", "precision": 0.5}, FROM_0_TO_1),
    ({"type": "auc"}, FROM_0_TO_1),
    ({"type": "auc", "from_logits": True}, ANY - {"sigmoid", "softmax", "tanh"}),
    ({"type": "auc", "num_thresholds": None}, ANY),
    *(
        ({"type": kind}, ANY)
        for kind in (
            *("root_mean_squared_error", "mean_squared_error", "mean_absolute_error", "logcosh", "categorical_hinge"),
            *("mean_absolute_percentage_error", "mean_squared_logarithmic_error", "cosine_similarity", "r2_score"),
            *("pearson_correlation", "concordance_correlation"),
        )
    ),
    ({"type": "mean_relative_error", "normalizer": 1.0}, ANY),
    ({"type": "interval_coverage"}, ANY),
    ({"type": "mean_pinball_loss"}, ANY),
]
"""The activations of three units under which a metric has no finding."""

OF_QUANTILES = ("interval_coverage", "mean_pinball_loss")
SPARSE = ("sparse_categorical_accuracy", "sparse_top_k_categorical_accuracy", "sparse_categorical_crossentropy")
ELEMENTWISE = [name for name in ACTIVATIONS.members if name not in ("glu", "softmax", "log_softmax", "sparsemax")]


def findings(activation: str, units: int, shape: list[int], **training: Any) -> list[tuple[str, str]]:
    """The codes and help texts of a layer's losses and metrics."""
    layer = {"type": "Dense", "units": units, "activation": activation}
    spec = {"inputs": {"x": {"shape": shape}}, "layers": [layer], "training": training}
    diagnostics = check_spec(spec).diagnostics
    assert all(item.severity == "warning" for item in diagnostics), diagnostics
    assert all(item.help for item in diagnostics)
    return [(item.code, item.help or "") for item in diagnostics]


def test_the_tables_have_all_losses_and_metrics() -> None:
    assert set(LOSS_ACTIVATIONS) == set(LOSSES.members)
    assert {metric["type"] for metric, _ in METRIC_ACTIVATIONS} == set(METRICS.members)


@pytest.mark.parametrize("loss", LOSS_ACTIVATIONS)
def test_a_loss_of_an_output_of_another_form_is_a_finding(loss: str) -> None:
    shape = [5, 4] if loss == "ctc" else [4]
    silent = {activation for activation in ANY if not findings(activation, 3, shape, loss=loss)}
    assert silent == LOSS_ACTIVATIONS[loss]
    for activation in ANY - silent:
        assert [code for code, _ in findings(activation, 3, shape, loss=loss)] == ["loss-activation"]


@pytest.mark.parametrize(("metric", "suitable"), METRIC_ACTIVATIONS, ids=[str(item[0]) for item in METRIC_ACTIVATIONS])
def test_a_metric_of_an_output_of_another_form_is_a_finding(metric: dict[str, Any], suitable: set[str]) -> None:
    """The losses take numbers of any form, with targets of class indices or of a number for each class."""
    for activation in ANY:
        loss: Any = "categorical_hinge"
        if metric["type"] in SPARSE:
            loss = {"type": "sparse_categorical_crossentropy", "from_logits": activation not in CLASSES}
        loss = "quantile" if metric["type"] in OF_QUANTILES else loss
        found = [code for code, _ in findings(activation, 3, [4], loss=loss, metrics=[metric])]
        if "loss-activation" not in found:
            assert found == ([] if activation in suitable else ["metric-activation"]), activation


@pytest.mark.parametrize(
    ("metric", "units", "help"),
    [
        ("accuracy", 1, '{"type": "binary_accuracy", "threshold": 0}'),
        ("auc", 1, '{"type": "auc", "from_logits": true}'),
        ("confusion_matrix", 1, '"threshold": 0'),
        ("precision", 1, '"activation": "sigmoid"'),
        ({"type": "mean_io_u", "num_classes": 2}, 1, '"binary_io_u"'),
        ({"type": "io_u", "num_classes": 2, "target_class_ids": [1]}, 1, '"sparse_y_pred": false'),
    ],
)
def test_the_help_for_logits_says_what_to_write(metric: Any, units: int, help: str) -> None:
    loss = {"type": "binary_crossentropy", "from_logits": True}
    ((code, text),) = findings("linear", units, [4], loss=loss, metrics=[metric])
    assert code == "metric-activation"
    assert help in text


@pytest.mark.parametrize("name", [*ELEMENTWISE, "softmax", "log_softmax", "sparsemax"])
def test_the_values_of_an_activation_are_within_its_bounds_and_come_close_to_them(name: str) -> None:
    arguments = {"threshold": 0.5, "default_value": -5.0} if name == "threshold" else {}
    typed = one_layer({"type": "Activation", "activation": {"type": name, **arguments}}, (1001,))
    x = np.linspace(-30, 30, 1001, dtype="float32")
    rows = np.stack([x, x / 10, x[::-1] / 100])
    (values,) = run(lower(typed), {"x0": rows}).values()
    function = activation_class(name)
    assert function is not None
    lower_bound, upper_bound = function.bounds
    assert (values.min() < -2) if lower_bound is None else abs(values.min() - lower_bound) < 0.04
    if upper_bound is not None:
        assert values.max() <= upper_bound + 1e-6
    elif not function.weights_classes:
        assert values.max() > 2
    assert function.is_positive <= (values.min() > 0 or name == "exponential")


def test_every_form_but_two_has_an_activation() -> None:
    functions = [activation_class(name) for name in ACTIVATIONS.members]
    without = {form for form in OutputForm if not any(fits(form, item) for item in functions if item is not None)}
    assert without == {OutputForm.UNIT_VECTORS, OutputForm.CLASS_INDICES}
