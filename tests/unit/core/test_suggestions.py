"""Suggestions for misspelled words: of similar ones only, since a misleading suggestion is worse than a list."""

from __future__ import annotations

import pytest
from jsonnx.core.diagnostics import suggestion
from jsonnx.core.spelling import edit_distance

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


@pytest.mark.parametrize(
    ("misspelled", "known"),
    [
        ("AUC", ["acc"]),
        ("Precision", ["poisson"]),
        ("class_weight", ["loss_weights"]),
        ("RotaryEmbedding", ["Embedding"]),
        ("GELU", ["ELU"]),
        ("ops.arange", ["ops.average"]),
        ("ops.shape", ["ops.reshape"]),
        ("built", ["seats_missing"]),
        ("seats_missing", ["built_missing"]),
        ("MaxUnpool2d", ["MaxPool2D"]),
        ("unfreeze", ["freeze"]),
    ],
)
def test_a_word_of_few_common_letters_is_not_suggested(misspelled: str, known: list[str]) -> None:
    assert suggestion(misspelled, known) is None


def test_a_word_in_another_case_may_lack_a_letter_of_another_word() -> None:
    assert suggestion("eLU", ["ELU", "ReLU"]) == "did you mean 'ELU' or 'ReLU'?"
    assert suggestion("elu", ["ELU", "ReLU"]) == "did you mean 'ELU'?"


def test_words_that_are_as_similar_are_suggested_together() -> None:
    assert suggestion("Conv4D", ["Conv1D", "Conv2D"]) == "did you mean 'Conv1D' or 'Conv2D'?"
    assert suggestion("conv2d", ["Conv1D", "Conv2D"]) == "did you mean 'Conv2D'?"


@pytest.mark.parametrize(
    ("left", "right", "distance"),
    [("", "", 0), ("abc", "abc", 0), ("abc", "acb", 1), ("abc", "ab", 1), ("abc", "xabc", 1), ("kitten", "sitting", 3)],
)
def test_edit_distance(left: str, right: str, distance: int) -> None:
    assert edit_distance(left, right, 3) == edit_distance(right, left, 3) == distance
    assert edit_distance(left, right, 2) == min(distance, 3)
