"""The cases whose results in Keras are recorded in `fixtures/`."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

Spec = str | dict[str, Any]


class Pair(NamedTuple):
    """How a target and an output are drawn: their kinds, and the shape of the output, batch included."""

    target: str
    output: str
    shape: tuple[int, ...] = (4, 3)


NUMBERS = Pair("real", "real")
COUNTS = Pair("positive", "positive")
CLASSES = Pair("classes", "probabilities")
LOGITS = Pair("classes", "real")
SHARES = Pair("probabilities", "probabilities")
ONE_HOT = Pair("one hot", "real")
BINARY = Pair("binary", "unit")
BINARY_LOGITS = Pair("binary", "real")
SEQUENCE = (2, 5, 3)

LOSSES: list[tuple[Spec, Pair]] = [
    ("sparse_categorical_crossentropy", CLASSES),
    ("sparse_categorical_crossentropy", Pair("classes", "certain")),
    ("sparse_categorical_crossentropy", Pair("classes", "positive")),
    ("SparseCategoricalCrossentropy", Pair("classes", "probabilities", SEQUENCE)),
    ({"type": "SparseCategoricalCrossentropy", "from_logits": True}, LOGITS),
    ({"type": "SparseCategoricalCrossentropy", "from_logits": True}, Pair("classes", "extreme")),
    (
        {"type": "SparseCategoricalCrossentropy", "from_logits": True, "reduction": "sum"},
        Pair("classes", "real", SEQUENCE),
    ),
    ({"type": "SparseCategoricalCrossentropy", "from_logits": True, "axis": 1}, LOGITS),
    ({"type": "SparseCategoricalCrossentropy", "ignore_class": 1}, Pair("classes", "probabilities", SEQUENCE)),
    (
        {"type": "SparseCategoricalCrossentropy", "ignore_class": -1, "from_logits": True},
        Pair("holes", "real", SEQUENCE),
    ),
    (
        {"type": "SparseCategoricalCrossentropy", "ignore_class": 255, "from_logits": True},
        Pair("255", "real", SEQUENCE),
    ),
    ({"type": "SparseCategoricalCrossentropy", "ignore_class": 0, "from_logits": True}, Pair("zeros", "real")),
    ({"type": "SparseCategoricalCrossentropy", "ignore_class": 1, "reduction": "sum"}, CLASSES),
    (
        {"type": "SparseCategoricalCrossentropy", "ignore_class": 1, "reduction": "mean_with_sample_weight"},
        Pair("classes", "probabilities", SEQUENCE),
    ),
    ("categorical_crossentropy", SHARES),
    ("categorical_crossentropy", Pair("one hot", "certain")),
    ({"type": "CategoricalCrossentropy", "from_logits": True}, ONE_HOT),
    ({"type": "CategoricalCrossentropy", "from_logits": True, "label_smoothing": 0.1}, ONE_HOT),
    ({"type": "CategoricalCrossentropy", "label_smoothing": 0.3, "axis": 1}, Pair("binary", "positive", (2, 4, 3))),
    (
        {"type": "CategoricalCrossentropy", "from_logits": True, "reduction": "sum", "axis": 1},
        Pair("binary", "real", (2, 4, 3)),
    ),
    ("binary_crossentropy", BINARY),
    ("bce", Pair("unit", "certain")),
    ("BCE", Pair("binary", "unit", (5, 1))),
    ({"type": "BinaryCrossentropy", "from_logits": True}, BINARY_LOGITS),
    ({"type": "BinaryCrossentropy", "from_logits": True}, Pair("unit", "extreme")),
    ({"type": "BinaryCrossentropy", "from_logits": True, "label_smoothing": 0.2}, BINARY_LOGITS),
    ({"type": "BinaryCrossentropy", "label_smoothing": 1}, BINARY),
    ({"type": "BinaryCrossentropy", "axis": 1, "reduction": "sum"}, Pair("binary", "unit", SEQUENCE)),
    ("binary_focal_crossentropy", BINARY),
    (
        {"type": "BinaryFocalCrossentropy", "from_logits": True, "apply_class_balancing": True, "alpha": 0.4},
        BINARY_LOGITS,
    ),
    (
        {"type": "BinaryFocalCrossentropy", "label_smoothing": 0.1, "gamma": 1.5, "axis": 1},
        Pair("binary", "unit", SEQUENCE),
    ),
    ("categorical_focal_crossentropy", Pair("one hot", "probabilities")),
    ({"type": "CategoricalFocalCrossentropy", "from_logits": True, "alpha": 0.5, "gamma": 3}, ONE_HOT),
    (
        {"type": "CategoricalFocalCrossentropy", "label_smoothing": 0.1, "axis": 1},
        Pair("binary", "positive", (2, 4, 3)),
    ),
    ("kl_divergence", SHARES),
    ("kld", Pair("one hot", "unit")),
    ("KLDivergence", Pair("probabilities", "probabilities", SEQUENCE)),
    ("poisson", COUNTS),
    ("mean_squared_error", NUMBERS),
    ("mse", Pair("real", "real", (5, 1))),
    ({"type": "MeanSquaredError", "reduction": "sum"}, NUMBERS),
    ({"type": "MeanSquaredError", "reduction": "mean"}, Pair("real", "real", SEQUENCE)),
    ("mae", NUMBERS),
    ({"type": "MeanAbsoluteError", "reduction": "sum"}, NUMBERS),
    ("mape", NUMBERS),
    ("MAPE", Pair("zeros and ones", "positive")),
    ("msle", NUMBERS),
    ("huber", Pair("real", "wide")),
    ({"type": "Huber", "delta": 0.5}, Pair("half off", "real")),
    ({"type": "Huber", "delta": 2, "reduction": "sum"}, Pair("real", "wide", SEQUENCE)),
    ("log_cosh", Pair("real", "wide")),
    ("LogCosh", Pair("real", "extreme")),
    ("cosine_similarity", NUMBERS),
    ({"type": "CosineSimilarity", "axis": 1}, Pair("real", "real", SEQUENCE)),
    ("CosineSimilarity", Pair("zeros and ones", "real")),
    ("hinge", Pair("signs", "real")),
    ("hinge", Pair("binary", "real")),
    ("Hinge", NUMBERS),
    ("squared_hinge", Pair("signs", "real")),
    ({"type": "SquaredHinge", "reduction": "sum"}, Pair("binary", "real", SEQUENCE)),
    ("categorical_hinge", ONE_HOT),
    ("dice", BINARY),
    ({"type": "Dice", "axis": [1, 2]}, Pair("binary", "unit", SEQUENCE)),
    ({"type": "Dice", "axis": 1, "reduction": "sum"}, Pair("binary", "unit", SEQUENCE)),
    ("tversky", BINARY),
    ({"type": "Tversky", "alpha": 0.3, "beta": 0.7, "axis": [1, 2]}, Pair("binary", "unit", SEQUENCE)),
    ({"type": "CategoricalGeneralizedCrossEntropy"}, CLASSES),
    ({"type": "CategoricalGeneralizedCrossEntropy", "q": 0.8, "reduction": "sum"}, CLASSES),
    ("circle", Pair("groups", "unit vectors", (5, 3))),
    ({"type": "Circle", "gamma": 5, "margin": 0.2, "remove_diagonal": False}, Pair("groups", "unit vectors", (6, 3))),
    ({"type": "Circle", "gamma": 16, "reduction": "sum"}, Pair("groups", "unit vectors", (5, 4))),
    ("ctc", Pair("labels", "real", (4, 7, 5))),
    ({"type": "CTC", "reduction": "sum"}, Pair("labels", "wide", (3, 4, 3))),
]

ACTIVATED: list[tuple[Spec, Pair, str]] = [
    ("sparse_categorical_crossentropy", LOGITS, "softmax"),
    ("categorical_crossentropy", Pair("probabilities", "real", SEQUENCE), "softmax"),
    ({"type": "CategoricalCrossentropy", "label_smoothing": 0.1}, ONE_HOT, "softmax"),
    ("bce", BINARY_LOGITS, "sigmoid"),
    ({"type": "BinaryCrossentropy", "label_smoothing": 0.1}, BINARY_LOGITS, "sigmoid"),
    ("mse", NUMBERS, "sigmoid"),
    ("kld", Pair("probabilities", "real"), "softmax"),
]
"""Losses of an activation's output; the gradient is the activation's input's."""

OPTIMIZERS_KERAS_LACKS: tuple[str, ...] = ()
"""Optimizers with tests of their own instead of recorded results."""

METRICS: list[tuple[Spec, str, Pair]] = [
    ("accuracy", "sparse_categorical_crossentropy", CLASSES),
    ("acc", "sparse_categorical_crossentropy", Pair("classes", "probabilities", SEQUENCE)),
    ("accuracy", "categorical_crossentropy", Pair("one hot", "probabilities")),
    ("Accuracy", "bce", Pair("binary", "unit", (5, 1))),
    ("accuracy", "bce", BINARY),
    ("accuracy", "mse", Pair("binary", "unit", (5, 1))),
    ("binary_accuracy", "bce", BINARY),
    ({"type": "BinaryAccuracy", "threshold": 0.8}, "bce", Pair("binary", "unit", SEQUENCE)),
    ({"type": "BinaryAccuracy", "threshold": 0.0, "name": "sign"}, "hinge", Pair("binary", "real")),
    ("categorical_accuracy", "categorical_crossentropy", SHARES),
    ("CategoricalAccuracy", "mse", Pair("probabilities", "real", SEQUENCE)),
    ("sparse_categorical_accuracy", "sparse_categorical_crossentropy", CLASSES),
    ({"type": "SparseCategoricalAccuracy"}, "sparse_categorical_crossentropy", CLASSES),
    ({"type": "TopKCategoricalAccuracy", "k": 2}, "categorical_crossentropy", SHARES),
    (
        {"type": "SparseTopKCategoricalAccuracy", "k": 2},
        "sparse_categorical_crossentropy",
        Pair("classes", "real", SEQUENCE),
    ),
    ("top_k_categorical_accuracy", "categorical_crossentropy", Pair("one hot", "real", (4, 8))),
    ("mae", "mse", NUMBERS),
    ("MAE", "mse", NUMBERS),
    ("mean_absolute_error", "mse", Pair("real", "real", SEQUENCE)),
    ({"type": "MeanAbsoluteError"}, "mse", NUMBERS),
    ("mse", "mae", Pair("real", "real", (5, 1))),
    ("mape", "mae", COUNTS),
    ("msle", "mae", COUNTS),
    ("root_mean_squared_error", "mae", Pair("real", "real", SEQUENCE)),
    ({"type": "RootMeanSquaredError", "name": "rmse"}, "mae", NUMBERS),
    ("cosine_similarity", "mae", NUMBERS),
    ({"type": "CosineSimilarity", "axis": 1}, "mae", Pair("real", "real", SEQUENCE)),
    ({"type": "LogCoshError"}, "mae", NUMBERS),
    ("binary_crossentropy", "bce", BINARY),
    ("bce", "bce", Pair("binary", "unit", (5, 1))),
    ({"type": "BinaryCrossentropy", "from_logits": True, "label_smoothing": 0.1}, "bce", BINARY_LOGITS),
    ("categorical_crossentropy", "categorical_crossentropy", SHARES),
    ({"type": "CategoricalCrossentropy", "from_logits": True, "label_smoothing": 0.1}, "mse", ONE_HOT),
    ("sparse_categorical_crossentropy", "sparse_categorical_crossentropy", CLASSES),
    (
        {"type": "SparseCategoricalCrossentropy", "ignore_class": 1, "from_logits": True},
        "sparse_categorical_crossentropy",
        Pair("classes", "real", SEQUENCE),
    ),
    ("kl_divergence", "kld", SHARES),
    ("poisson", "poisson", COUNTS),
    ("hinge", "hinge", Pair("signs", "real")),
    ("squared_hinge", "hinge", Pair("signs", "real")),
    ("categorical_hinge", "categorical_hinge", ONE_HOT),
    ("true_positives", "bce", BINARY),
    ({"type": "TruePositives", "thresholds": [0.7, 0.2]}, "bce", BINARY),
    ({"type": "FalsePositives", "thresholds": 0.3}, "bce", BINARY),
    ({"type": "TrueNegatives", "thresholds": [0, 0.5, 1]}, "bce", BINARY),
    ({"type": "FalseNegatives"}, "bce", Pair("binary", "unit", SEQUENCE)),
    ("precision", "bce", BINARY),
    ("Precision", "bce", Pair("binary", "unit", (5, 1))),
    ({"type": "Precision", "thresholds": [0.9, 0.1, 0.4]}, "bce", BINARY),
    ({"type": "Precision", "top_k": 2}, "categorical_crossentropy", Pair("one hot", "probabilities", (4, 5))),
    ({"type": "Precision", "class_id": 1, "name": "middle"}, "bce", BINARY),
    ("recall", "bce", BINARY),
    ({"type": "Recall", "thresholds": 0.0}, "bce", BINARY),
    ({"type": "Recall", "top_k": 1}, "categorical_crossentropy", Pair("one hot", "probabilities")),
    ({"type": "Recall", "top_k": 2, "class_id": 0}, "categorical_crossentropy", Pair("one hot", "probabilities")),
    ({"type": "SensitivityAtSpecificity", "specificity": 0.6}, "bce", BINARY),
    ({"type": "SensitivityAtSpecificity", "specificity": 0.5, "num_thresholds": 1}, "bce", BINARY),
    ({"type": "SpecificityAtSensitivity", "sensitivity": 0.7, "num_thresholds": 2}, "bce", BINARY),
    ({"type": "SpecificityAtSensitivity", "sensitivity": 0.4, "class_id": 2}, "bce", BINARY),
    ({"type": "PrecisionAtRecall", "recall": 0.8}, "bce", BINARY),
    ({"type": "RecallAtPrecision", "precision": 0.6, "num_thresholds": 30}, "bce", BINARY),
    ({"type": "RecallAtPrecision", "precision": 1.0}, "bce", BINARY),
    ("auc", "bce", BINARY),
    ("AUC", "bce", Pair("binary", "unit", SEQUENCE)),
    ({"type": "AUC", "num_thresholds": 2}, "bce", BINARY),
    ({"type": "AUC", "num_thresholds": 7, "summation_method": "minoring"}, "bce", BINARY),
    ({"type": "AUC", "num_thresholds": 7, "summation_method": "majoring"}, "bce", BINARY),
    ({"type": "AUC", "curve": "PR"}, "bce", BINARY),
    ({"type": "AUC", "curve": "pr", "summation_method": "majoring"}, "bce", BINARY),
    ({"type": "AUC", "curve": "PRGAIN"}, "bce", BINARY),
    ({"type": "AUC", "thresholds": [0.8, 0.1, 0.35]}, "bce", BINARY),
    ({"type": "AUC", "thresholds": [0.5, 0.25, 0.75]}, "bce", Pair("binary", "quarters", (4, 3))),
    ({"type": "AUC", "from_logits": True}, "bce", BINARY_LOGITS),
    ({"type": "AUC", "multi_label": True, "num_labels": 3}, "bce", BINARY),
    ({"type": "AUC", "multi_label": True, "curve": "PR", "label_weights": [0.5, 2.0, 1.0]}, "bce", BINARY),
    ({"type": "AUC", "label_weights": [0.5, 2.0, 1.0]}, "bce", BINARY),
    ({"type": "F1Score"}, "categorical_crossentropy", Pair("one hot", "probabilities")),
    ({"type": "F1Score", "average": "macro"}, "categorical_crossentropy", Pair("one hot", "probabilities", (4, 5))),
    ({"type": "F1Score", "average": "weighted", "threshold": 0.4}, "bce", BINARY),
    ({"type": "F1Score", "average": "micro", "threshold": 0.5}, "bce", BINARY),
    ({"type": "FBetaScore", "beta": 2.0, "average": "macro"}, "categorical_crossentropy", Pair("one hot", "real")),
    ({"type": "FBetaScore", "beta": 0.5, "threshold": 0.3}, "bce", BINARY),
    (
        {"type": "IoU", "num_classes": 3, "target_class_ids": [0, 2], "sparse_y_pred": False},
        "sparse_categorical_crossentropy",
        CLASSES,
    ),
    (
        {"type": "MeanIoU", "num_classes": 3, "sparse_y_pred": False, "ignore_class": 1},
        "sparse_categorical_crossentropy",
        LOGITS,
    ),
    ({"type": "MeanIoU", "num_classes": 4}, "mse", Pair("ids", "ids", (4, 6))),
    (
        {"type": "MeanIoU", "num_classes": 3, "sparse_y_pred": False},
        "sparse_categorical_crossentropy",
        Pair("classes", "probabilities", (2, 4, 4, 3)),
    ),
    ({"type": "OneHotIoU", "num_classes": 3, "target_class_ids": [1]}, "categorical_crossentropy", ONE_HOT),
    ({"type": "OneHotMeanIoU", "num_classes": 3}, "categorical_crossentropy", Pair("one hot", "real", SEQUENCE)),
    ({"type": "BinaryIoU", "target_class_ids": [1], "threshold": 0.4}, "bce", BINARY),
    ({"type": "BinaryIoU"}, "bce", Pair("binary", "unit", (2, 4, 4, 1))),
    ("r2_score", "mse", NUMBERS),
    ({"type": "R2Score", "class_aggregation": None}, "mse", NUMBERS),
    ({"type": "R2Score", "class_aggregation": "variance_weighted_average", "num_regressors": 2}, "mse", NUMBERS),
    ("pearson_correlation", "mse", NUMBERS),
    ({"type": "PearsonCorrelation", "axis": 1}, "mse", Pair("real", "real", SEQUENCE)),
    ("concordance_correlation", "mse", NUMBERS),
]

WARMUP = {"warmup_target": 0.1, "warmup_steps": 5}

STEPS = 20
"""Number of steps of an optimizer."""

RECORDED_STEPS = (1, 2, 3, 4, 5, 12, 20)
"""The numbers of steps after which the weights are recorded."""

WEIGHT_SHAPES = {"matrix": (3, 2), "vector": (2,)}

OPTIMIZERS: list[Spec] = [
    "sgd",
    {"type": "SGD", "learning_rate": 0.1, "momentum": 0.9},
    {"type": "SGD", "learning_rate": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.05},
    {"type": "SGD", "learning_rate": 0.1, "clipvalue": 0.3},
    {"type": "SGD", "learning_rate": 0.1, "clipnorm": 0.5, "weight_decay": 0.1},
    {"type": "SGD", "learning_rate": 0.1, "clipnorm": 50.0},
    {"type": "SGD", "learning_rate": 0.1, "global_clipnorm": 1.0},
    {"type": "SGD", "learning_rate": 0.1, "global_clipnorm": 100.0},
    "rmsprop",
    {"type": "RMSprop", "learning_rate": 0.02, "rho": 0.8, "momentum": 0.5, "epsilon": 1e-3},
    {"type": "RMSprop", "learning_rate": 0.02, "centered": True, "momentum": 0.3, "weight_decay": 0.1},
    "adam",
    {"type": "Adam", "learning_rate": 0.1, "beta_1": 0.8, "beta_2": 0.9, "epsilon": 1e-2},
    {"type": "Adam", "learning_rate": 0.1, "amsgrad": True, "beta_2": 0.5, "global_clipnorm": 0.1},
    {"type": "Adam", "learning_rate": 0.1, "weight_decay": 0.2, "clipnorm": 0.4},
    "adamw",
    {"type": "AdamW", "learning_rate": 0.1, "weight_decay": 0.1, "amsgrad": True},
    {"type": "Nadam", "learning_rate": 0.1, "epsilon": 1e-3},
    {"type": "Adamax", "learning_rate": 0.1, "epsilon": 1e-3},
    {"type": "Adagrad", "learning_rate": 0.1, "epsilon": 1e-3},
    {"type": "Adadelta", "learning_rate": 1.0, "epsilon": 1e-3},
    {"type": "Lion", "learning_rate": 0.01, "weight_decay": 0.1},
    {"type": "Lion", "learning_rate": 0.01, "beta_1": 0.5, "beta_2": 0.6},
    {"type": "Ftrl", "learning_rate": 0.1},
    {
        "type": "Ftrl",
        "learning_rate": 0.1,
        "learning_rate_power": -0.7,
        "l1_regularization_strength": 0.2,
        "l2_regularization_strength": 0.1,
        "l2_shrinkage_regularization_strength": 0.3,
        "beta": 0.1,
    },
    {"type": "Lamb", "learning_rate": 0.1, "weight_decay": 0.1, "epsilon": 1e-3},
    "adafactor",
    {"type": "Adafactor", "learning_rate": 0.3, "beta_2_decay": -0.5, "clip_threshold": 0.5, "weight_decay": 0.1},
    {"type": "Adafactor", "learning_rate": 0.1, "epsilon_1": 1e-2, "epsilon_2": 2.0, "relative_step": False},
    {"type": "Muon"},
    {"type": "Muon", "learning_rate": 0.05, "nesterov": False, "ns_steps": 3, "rms_rate": None, "momentum": 0.8},
    {
        "type": "Muon",
        "learning_rate": 0.05,
        "exclude_layers": ["mat.*"],
        "adam_lr_ratio": 0.5,
        "adam_weight_decay": 0.2,
        "adam_beta_1": 0.8,
        "epsilon": 1e-3,
    },
    {"type": "Muon", "learning_rate": 0.1, "exclude_from_weight_decay": ["matrix"], "weight_decay": 0.3},
    {"type": "ScheduleFreeAdamW", "epsilon": 1e-3},
    {"type": "ScheduleFreeAdamW", "learning_rate": 0.05, "warmup_steps": 4, "weight_decay": 0.1, "epsilon": 1e-3},
    {"type": "AdamW", "learning_rate": 0.1, "weight_decay": 0.1, "exclude_from_weight_decay": ["vector"]},
    {"type": "SGD", "learning_rate": 0.1, "use_ema": True, "ema_momentum": 0.8, "ema_overwrite_frequency": 3},
    {"type": "Adam", "learning_rate": 0.1, "use_ema": True, "ema_overwrite_frequency": 1, "epsilon": 1e-2},
    {"type": "SGD", "learning_rate": 0.1, "momentum": 0.9, "gradient_accumulation_steps": 3},
    {"type": "Nadam", "learning_rate": 0.1, "epsilon": 1e-3, "gradient_accumulation_steps": 2},
    {"type": "Adafactor", "learning_rate": 0.1, "gradient_accumulation_steps": 4},
    {
        "type": "ScheduleFreeAdamW",
        "learning_rate": 0.05,
        "weight_decay": 0.1,
        "epsilon": 1e-3,
        "gradient_accumulation_steps": 3,
    },
    {
        "type": "Adam",
        "learning_rate": 0.1,
        "epsilon": 1e-2,
        "weight_decay": 0.1,
        "clipnorm": 0.4,
        "gradient_accumulation_steps": 2,
        "use_ema": True,
        "ema_momentum": 0.7,
        "ema_overwrite_frequency": 3,
    },
    {
        "type": "Adam",
        "learning_rate": {"type": "CosineDecay", "initial_learning_rate": 0.0, "decay_steps": 12, **WARMUP},
        "epsilon": 1e-2,
        "weight_decay": 0.1,
    },
    {
        "type": "SGD",
        "learning_rate": {
            "type": "ExponentialDecay",
            "initial_learning_rate": 0.2,
            "decay_steps": 5,
            "decay_rate": 0.5,
        },
        "momentum": 0.9,
        "gradient_accumulation_steps": 2,
    },
    {
        "type": "MultiOptimizer",
        "default_optimizer": {"type": "Adam", "learning_rate": 0.1, "epsilon": 1e-2, "global_clipnorm": 0.4},
        "optimizer_map": {"matrix": {"type": "SGD", "learning_rate": 0.03, "momentum": 0.9, "global_clipnorm": 0.4}},
    },
    {
        "type": "MultiOptimizer",
        "default_optimizer": {"type": "Nadam", "learning_rate": 0.1, "epsilon": 1e-3},
        "optimizer_map": {"vector": {"type": "Nadam", "learning_rate": 0.05, "beta_1": 0.7, "epsilon": 1e-2}},
    },
    {
        "type": "MultiOptimizer",
        "default_optimizer": {
            "type": "RMSprop",
            "learning_rate": {"type": "CosineDecay", "initial_learning_rate": 0.1, "decay_steps": 12},
        },
        "optimizer_map": {"vector": {"type": "AdamW", "learning_rate": 0.05, "weight_decay": 0.1, "epsilon": 1e-2}},
    },
    {
        "type": "MultiOptimizer",
        "default_optimizer": {"type": "SGD", "learning_rate": 0.1},
        "optimizer_map": {
            "vector": {
                "type": "SGD",
                "learning_rate": {"type": "PolynomialDecay", "initial_learning_rate": 0.1, "decay_steps": 20},
                "momentum": 0.5,
            },
        },
    },
]


def for_dense_layers(optimizer: Spec) -> Spec:
    """The optimizer of a case for a network of Dense layers, whose weights have other names."""
    if isinstance(optimizer, dict) and "exclude_from_weight_decay" in optimizer:
        return {**optimizer, "exclude_from_weight_decay": ["bias"]}
    if isinstance(optimizer, dict) and "optimizer_map" in optimizer:
        return {**optimizer, "optimizer_map": {"bias": next(iter(optimizer["optimizer_map"].values()))}}
    return optimizer


SCHEDULES: list[dict[str, Any]] = [
    {"type": "ExponentialDecay", "initial_learning_rate": 0.1, "decay_steps": 10, "decay_rate": 0.5},
    {
        "type": "ExponentialDecay",
        "initial_learning_rate": 0.1,
        "decay_steps": 7,
        "decay_rate": 0.9,
        "staircase": True,
    },
    {"type": "InverseTimeDecay", "initial_learning_rate": 0.1, "decay_steps": 10, "decay_rate": 0.5},
    {"type": "InverseTimeDecay", "initial_learning_rate": 1, "decay_steps": 4, "decay_rate": 2, "staircase": True},
    {"type": "PolynomialDecay", "initial_learning_rate": 0.1, "decay_steps": 20},
    {
        "type": "PolynomialDecay",
        "initial_learning_rate": 0.1,
        "decay_steps": 10,
        "end_learning_rate": 0.01,
        "power": 2,
        "cycle": True,
    },
    {"type": "PiecewiseConstantDecay", "boundaries": [5, 20], "values": [0.1, 0.01, 0.001]},
    {"type": "PiecewiseConstantDecay", "boundaries": [10], "values": [0.0, 0.5]},
    {"type": "CosineDecay", "initial_learning_rate": 0.1, "decay_steps": 20},
    {"type": "CosineDecay", "initial_learning_rate": 0.1, "decay_steps": 20, "alpha": 0.1, "warmup_target": 0.5},
    {"type": "CosineDecay", "initial_learning_rate": 0.0, "decay_steps": 20, "alpha": 0.2, **WARMUP},
    {"type": "CosineDecayRestarts", "initial_learning_rate": 0.1, "first_decay_steps": 10},
    {
        "type": "CosineDecayRestarts",
        "initial_learning_rate": 0.1,
        "first_decay_steps": 7,
        "t_mul": 1,
        "m_mul": 0.5,
        "alpha": 0.1,
    },
    {
        "type": "CosineDecayRestarts",
        "initial_learning_rate": 0.1,
        "first_decay_steps": 6,
        "t_mul": 1.5,
        "m_mul": 0.9,
        "alpha": 0.05,
    },
]

SCHEDULE_STEPS = (0, 1, 2, 3, 5, 6, 9, 10, 11, 15, 19, 20, 21, 25, 26, 30, 31, 45, 100)
"""The numbers of steps done, before the steps whose learning rates are recorded."""

REGULARIZERS: list[Spec] = [
    "l1",
    "L2",
    "l1l2",
    {"type": "L1", "l1": 0.3},
    {"type": "L2", "l2": 0.2},
    {"type": "L1L2", "l1": 0.1, "l2": 0.2},
    {"type": "L1L2", "l2": 0.2},
    "orthogonal_regularizer",
    {"type": "OrthogonalRegularizer", "factor": 0.5, "mode": "columns"},
]

CONSTRAINTS: list[Spec] = [
    "non_neg",
    "UnitNorm",
    {"type": "UnitNorm", "axis": [0, 1]},
    "max_norm",
    {"type": "MaxNorm", "max_value": 0.7, "axis": 1},
    {"type": "MinMaxNorm", "min_value": 0.5, "max_value": 0.9, "rate": 0.25},
]


def gradients() -> list[dict[str, np.ndarray]]:
    """The gradients of two weights in all steps: one element is always zero, and a whole gradient in one step."""
    rng = np.random.default_rng(1)
    drawn = [{name: rng.normal(size=shape) for name, shape in WEIGHT_SHAPES.items()} for _ in range(STEPS)]
    for step in drawn:
        step["matrix"][0, 0] = 0
    drawn[2]["vector"][:] = 0
    return [{name: array.astype("float32") for name, array in step.items()} for step in drawn]


def first_weights() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {name: rng.normal(size=shape).astype("float32") for name, shape in WEIGHT_SHAPES.items()}


def draw(kind: str, shape: tuple[int, ...], rng: np.random.Generator, output: np.ndarray | None = None) -> np.ndarray:
    """An array of a kind; targets may depend on the output, whose shape is then given."""
    unit = rng.random(shape)
    share = np.exp(unit * 3) / np.exp(unit * 3).sum(-1, keepdims=True)
    corners = rng.permutation(np.resize([0.0, 1.0, 0.5, 1e-9], unit.size)).reshape(shape)
    classes = rng.integers(0, shape[-1], shape[:-1])
    drawn = {
        "real": lambda: rng.normal(size=shape),
        "wide": lambda: 3 * rng.normal(size=shape),
        "extreme": lambda: rng.permutation(np.resize([-90.0, 90.0, 0.0, 30.0], unit.size)).reshape(shape),
        "positive": lambda: unit + 0.1,
        "unit": lambda: 0.1 + 0.8 * unit,
        "quarters": lambda: np.floor(unit * 5) / 4,
        "ids": lambda: rng.integers(0, 4, shape),
        "probabilities": lambda: share,
        "unit vectors": lambda: unit_vectors(rng.normal(size=shape)),
        "certain": lambda: corners,
        "binary": lambda: rng.integers(0, 2, shape),
        "signs": lambda: rng.integers(0, 2, shape) * 2 - 1,
        "zeros and ones": lambda: np.resize([0.0, 0.0, 0.0, 1.0], shape),
        "one hot": lambda: np.eye(shape[-1])[classes],
        "half off": lambda: np.float32(output) + np.float32(0.5) * rng.integers(-1, 2, shape),
        "classes": lambda: classes,
        "holes": lambda: np.where(rng.random(classes.shape) > 0.5, classes, -1),
        "255": lambda: np.where(rng.random(classes.shape) > 0.5, classes, 255),
        "zeros": lambda: classes * 0,
        "groups": lambda: np.arange(len(unit)) // 2,
        "labels": lambda: labels(shape, rng),
    }[kind]()
    return np.asarray(drawn, np.int64 if kind in INTEGERS else np.float32)


INTEGERS = ("classes", "holes", "255", "zeros", "groups", "labels")
"""The kinds of targets that are integers."""


def unit_vectors(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def labels(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Class indices for an output [batch, steps, classes], of every length from 0 to half the steps, padded with 0."""
    drawn = rng.integers(1, shape[2], (shape[0], shape[1] // 2))
    lengths = np.arange(shape[0])[:, None] % (drawn.shape[1] + 1)
    return np.where(np.arange(drawn.shape[1]) < lengths, drawn, 0)


def name(spec: Any) -> str:
    """A case as the name of a test."""
    if isinstance(spec, dict):
        return "-".join(str(item) if key == "type" else f"{key}={item}" for key, item in spec.items())
    return str(spec)
