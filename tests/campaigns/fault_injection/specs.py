"""The specs that are trained, each with a function that writes its data. Together they have every feature with a state.

A run has three epochs of 8 or 16 steps, and is resumed bit for bit wherever it is interrupted.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

EPOCHS = 3


class Case(NamedTuple):
    """A spec, and what writes its data into a folder."""

    spec: dict[str, Any]
    write_data: Callable[[Path], None]


# -- data --------------------------------------------------------------------------------------------------------------


def write_images(folder: Path) -> None:
    rng = np.random.default_rng(0)
    for name, count in (("train", 256), ("validation", 64)):
        images = rng.normal(size=(count, 8, 8, 1)).astype(np.float32)
        np.savez(folder / f"{name}.npz", image=images, label=(images.sum((1, 2, 3)) > 0).astype(np.int64))


def write_table(folder: Path) -> None:
    """Tables with four numbers, a word, a number and a class to predict, and a weight for each row."""
    rng = np.random.default_rng(1)
    for name, count in (("train", 128), ("validation", 40)):
        numbers = rng.normal(size=(count, 4))
        words = rng.choice(["red", "green", "blue"], size=count)
        prices = 100 + 20 * numbers.sum(1) + 5 * (words == "red")
        rows = zip(
            *numbers.round(3).T,
            words,
            prices.round(2),
            (numbers[:, 0] > 0.4).astype(int),
            rng.uniform(0.5, 2, size=count).round(2),
            strict=True,
        )
        write_csv(folder / f"{name}.csv", ("a", "b", "c", "d", "color", "price", "is_large", "weight"), rows)


def write_series(folder: Path) -> None:
    """Two time series with a number per step."""
    rng = np.random.default_rng(2)
    for name, count in (("train", 70), ("validation", 20)):
        rows = [
            (series, step, round(float(np.sin(step / 4 + series) + 0.1 * rng.normal()), 4))
            for series in range(2)
            for step in range(count)
        ]
        write_csv(folder / f"{name}.csv", ("series", "step", "level"), rows)


def write_sentences(folder: Path) -> None:
    """Lists of one to twelve tokens, and whether they contain the token 7."""
    rng = np.random.default_rng(3)
    for name, count in (("train", 128), ("validation", 40)):
        sentences = [rng.integers(1, 50, size=rng.integers(1, 13)).tolist() for _ in range(count)]
        lines = [json.dumps({"tokens": tokens, "label": int(7 in tokens or 8 in tokens)}) for tokens in sentences]
        (folder / f"{name}.jsonl").write_text("\n".join(lines) + "\n")


def write_csv(path: Path, names: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    with open(path, "w", newline="") as file:
        csv.writer(file).writerows([names, *rows])


# -- specs -------------------------------------------------------------------------------------------------------------

IMAGES: dict[str, Any] = {
    "inputs": {"image": {"shape": [8, 8, 1]}},
    "layers": [
        {"type": "RandomFlip"},
        {"type": "Flatten"},
        {"type": "Dense", "units": 8},
        {"type": "BatchNormalization"},
        {"type": "Dropout", "rate": 0.3},
        {"type": "Dense", "name": "label", "units": 3, "activation": "softmax"},
    ],
    "training": {
        "data": {"train": "train.npz", "validation": "validation.npz", "x": "image", "y": "label"},
        "loss": "sparse_categorical_crossentropy",
        "optimizer": "adam",
        "metrics": ["accuracy"],
        "epochs": EPOCHS,
        "batch_size": 8,
        "restore_best_weights": True,
        "early_stopping": {"patience": 100},
    },
}

AUGMENTED_IMAGES: dict[str, Any] = {
    "inputs": {"image": {"shape": [8, 8, 1]}},
    "layers": [
        {"type": "RandomRotation", "factor": 0.1},
        {"type": "RandomTranslation", "height_factor": 0.1, "width_factor": 0.1},
        {"type": "GaussianNoise", "stddev": 0.1},
        {"type": "Conv2D", "filters": 4, "kernel_size": 3, "activation": "relu"},
        {"type": "BatchNormalization"},
        {"type": "SpatialDropout2D", "rate": 0.2},
        {"type": "Flatten"},
        {"type": "Dense", "name": "label", "units": 2, "kernel_regularizer": {"type": "l2"}, "activation": "softmax"},
    ],
    "training": {
        "data": {"train": "train.npz", "validation": "validation.npz", "x": "image", "y": "label"},
        "loss": "sparse_categorical_crossentropy",
        "class_weight": {"1": 2.0},
        "optimizer": {
            "type": "adamw",
            "use_ema": True,
            "ema_momentum": 0.9,
            "ema_overwrite_frequency": 5,
            "gradient_accumulation_steps": 3,
            "global_clipnorm": 1.0,
            "learning_rate": {"type": "OneCycle", "max_learning_rate": 0.01, "total_steps": 64},
        },
        "metrics": ["accuracy", "confusion_matrix", {"type": "AUC", "num_thresholds": None, "multi_label": True}],
        "epochs": EPOCHS,
        "batch_size": 16,
        "restore_best_weights": True,
        "early_stopping": {"monitor": "val_accuracy", "patience": 1},
        "checkpoint": {"every_steps": 5, "monitor": "val_accuracy", "keep": 3},
    },
}

REGRESSION: dict[str, Any] = {
    "inputs": {"numbers": {"shape": [4]}, "color": {"shape": [1], "dtype": "string"}},
    "layers": [
        {"type": "Normalization", "name": "scale", "from": "numbers"},
        {
            "type": "StringLookup",
            "name": "index",
            "from": "color",
            "max_tokens": 5,
            "pad_to_max_tokens": True,
            "output_mode": "one_hot",
        },
        {"type": "Concatenate", "name": "both", "from": ["scale", "index"]},
        {"type": "Dense", "units": 8, "activation": "relu"},
        {"type": "Dropout", "rate": 0.2},
        {"type": "Dense", "name": "price", "units": 1},
    ],
    "outputs": ["price"],
    "training": {
        "data": {
            "train": "train.csv",
            "validation": "validation.csv",
            "x": {"numbers": ["a", "b", "c", "d"], "color": "color"},
            "sample_weight": "weight",
        },
        "loss": "huber",
        "target": {"normalize": True},
        "optimizer": {
            "type": "nadam",
            "use_ema": True,
            "ema_momentum": 0.8,
            "gradient_accumulation_steps": 4,
            "weight_decay": 0.01,
            "learning_rate": {
                "type": "CosineDecay",
                "initial_learning_rate": 0.0,
                "warmup_target": 0.01,
                "warmup_steps": 8,
                "decay_steps": 24,
            },
        },
        "metrics": ["mae", "r2_score"],
        "weighted_metrics": ["mse"],
        "epochs": EPOCHS,
        "batch_size": 16,
        "early_stopping": {"monitor": "val_mae", "patience": 1, "min_delta": 0.01},
        "csv_log": True,
        "checkpoint": {"every_steps": 3},
    },
}

CLASSIFICATION: dict[str, Any] = {
    "inputs": {"numbers": {"shape": [4]}},
    "layers": [
        {"type": "Normalization", "name": "scale"},
        {"type": "Dense", "units": 8, "activation": "relu"},
        {"type": "AlphaDropout", "rate": 0.1},
        {"type": "Dense", "name": "is_large", "units": 1, "activation": "sigmoid"},
    ],
    "training": {
        "data": {
            "train": "train.csv",
            "x": {"numbers": ["a", "b", "c", "d"]},
            "sample_weight": "weight",
            "split": {"validation": 0.25, "stratify": "is_large"},
        },
        "loss": "binary_crossentropy",
        "class_weight": "balanced",
        "optimizer": {"type": "adam", "amsgrad": True, "gradient_accumulation_steps": 2},
        "learning_rates": {"is_large": 0.5},
        "metrics": ["accuracy", "f1_score"],
        "epochs": EPOCHS,
        "batch_size": 8,
        "restore_best_weights": True,
        "reduce_on_plateau": {"patience": 0, "factor": 0.5, "min_delta": 0.05, "cooldown": 1},
        "threshold": {"maximize": "f1"},
        "calibration": "temperature",
        "checkpoint": {"every_steps": 7, "every_epochs": 1},
    },
}

WINDOWS: dict[str, Any] = {
    "inputs": {"level": {"shape": [8, 1]}},
    "layers": [
        {"type": "LSTM", "units": 4, "dropout": 0.1, "recurrent_dropout": 0.1},
        {"type": "LayerNormalization"},
        {"type": "Dense", "name": "next", "units": 1},
    ],
    "training": {
        "data": {
            "train": "train.csv",
            "validation": "validation.csv",
            "x": {"level": ["level"]},
            "y": {"next": "level"},
            "windows": {"length": 8, "by": "series", "time": "step"},
        },
        "loss": "mse",
        "target": {"normalize": True},
        "optimizer": {"type": "sgd", "momentum": 0.9, "nesterov": True, "learning_rate": 0.05},
        "metrics": ["mae"],
        "epochs": EPOCHS,
        "batch_size": 16,
        "reduce_on_plateau": {"monitor": "loss", "patience": 0, "factor": 0.3, "min_delta": 0.2},
        "early_stopping": {"monitor": "val_loss", "patience": 0, "start_from_epoch": 1},
        "restore_best_weights": True,
        "checkpoint": {"every_steps": 4},
    },
}

SEQUENCES: dict[str, Any] = {
    "inputs": {"tokens": {"shape": ["length"], "dtype": "int32"}},
    "layers": [
        {"type": "Embedding", "input_dim": 50, "output_dim": 4, "mask_zero": True},
        {"type": "Dropout", "rate": 0.2},
        {"type": "GRU", "units": 4},
        {"type": "Dense", "name": "label", "units": 1, "activation": "sigmoid"},
    ],
    "training": {
        "data": {
            "train": "train.jsonl",
            "validation": "validation.jsonl",
            "sequences": {"bucket_by_length": True},
        },
        "loss": "binary_crossentropy",
        "optimizer": {"type": "ftrl", "learning_rate": 0.1},
        "metrics": ["accuracy"],
        "epochs": EPOCHS,
        "batch_size": 16,
        "csv_log": True,
        "checkpoint": {"every_steps": 3, "monitor": "val_loss"},
    },
}

STREAM: dict[str, Any] = {
    "inputs": {"numbers": {"shape": [4]}},
    "layers": [
        {"type": "Normalization", "name": "scale"},
        {"type": "Dense", "name": "hidden", "units": 16, "activation": "gelu"},
        {"type": "GaussianDropout", "rate": 0.1},
        {"type": "Dense", "name": "is_large", "units": 1, "activation": "sigmoid"},
    ],
    "training": {
        "data": {
            "train": "train.csv",
            "validation": "validation.csv",
            "memory": "stream",
            "shuffle_buffer": 24,
            "x": {"numbers": ["a", "b", "c", "d"]},
            "sample_weight": "weight",
        },
        "loss": "binary_crossentropy",
        "optimizer": {
            "type": "MultiOptimizer",
            "optimizer_map": {"hidden/*": {"type": "Muon", "learning_rate": 0.02}},
            "default_optimizer": {"type": "ScheduleFreeAdamW", "learning_rate": 0.01, "warmup_steps": 4},
            "gradient_accumulation_steps": 2,
        },
        "reduce_on_plateau": {"patience": 0, "factor": 0.5, "min_delta": 0.05},
        "metrics": ["accuracy"],
        "epochs": EPOCHS,
        "batch_size": 16,
        "restore_best_weights": True,
        "checkpoint": {"every_steps": 3},
    },
}

CASES: dict[str, Case] = {
    "images": Case(IMAGES, write_images),
    "augmented images": Case(AUGMENTED_IMAGES, write_images),
    "regression": Case(REGRESSION, write_table),
    "classification": Case(CLASSIFICATION, write_table),
    "windows": Case(WINDOWS, write_series),
    "stream": Case(STREAM, write_table),
    "sequences": Case(SEQUENCES, write_sentences),
}
