"""Suggestions for misspelled words: of similar ones only, since a misleading suggestion is worse than a list."""

from __future__ import annotations

import pytest
from jsonnx.core.diagnostics import suggestion

WORDS = [
    "Dense",
    "LayerNormalization",
    "MaxPooling2D",
    "Embedding",
    "batch_size",
    "epochs",
    "early_stopping",
    "optimizer",
    "units",
    "seed",
    "remat",
    "accuracy",
    "acc",
    "mse",
    "mae",
    "root_mean_squared_error",
    "poisson",
    "dice",
    "keras-call",
    "built_missing",
    "loss_weights",
    "float32",
    "relu",
]


@pytest.mark.parametrize(
    ("misspelled", "word"),
    [
        ("Dens", "Dense"),
        ("dense", "Dense"),
        ("unit", "units"),
        ("nits", "units"),
        ("sed", "seed"),
        ("mes", "mse"),
        ("ralu", "relu"),
        ("bachsize", "batch_size"),
        ("optimiser", "optimizer"),
        ("earlystopping", "early_stopping"),
        ("Embeding", "Embedding"),
        ("MaxPool2D", "MaxPooling2D"),
        ("rmse", "root_mean_squared_error"),
        ("Normalization", "LayerNormalization"),
    ],
)
def test_a_similar_word_is_suggested(misspelled: str, word: str) -> None:
    assert suggestion(misspelled, WORDS) == f"did you mean {word!r}?"


@pytest.mark.parametrize(
    "word",
    ["AUC", "Precision", "Recall", "Circle", "ema", "seats_missing", "class_weight", "float16", "Linear", "", "x"],
)
def test_a_word_of_another_meaning_gets_no_suggestion(word: str) -> None:
    assert suggestion(word, WORDS) is None
