"""Batches of a cached layout: a fast path with the same checks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from jsonnx.data.samples.data_errors import FeedError
from jsonnx.pipeline.train.trainer import Trainer

RNG = np.random.default_rng(0)
X, Y = RNG.standard_normal((6, 4, 5)).astype(np.float32), RNG.integers(0, 3, (6, 4), np.int32)


def spec(**more: Any) -> dict[str, Any]:
    return {
        "inputs": {"x": {"shape": [5]}},
        "layers": [{"type": "Dense", "units": 3, "activation": "softmax"}],
        "training": {"loss": "sparse_categorical_crossentropy", "optimizer": "adam", **more},
    }


def trainer_after(*batches: tuple[Any, Any], document: dict[str, Any] | None = None) -> Trainer:
    trainer = Trainer(document or spec(), seed=1)
    for x, y in batches:
        trainer.step(x, y)
    return trainer


def test_steps_equal_those_of_fully_validated_batches() -> None:
    """A list is always validated in full."""
    document = spec(metrics=["accuracy"])
    short, long = Trainer(document, seed=1), Trainer(document, seed=1)
    for x, y in zip(X, Y, strict=True):
        assert short.step(x, y) == long.step(x.tolist(), y.tolist())
    assert short.plan_trainer.cached_layout is not None
    assert long.plan_trainer.cached_layout is None
    for name, array in short.weights().items():
        assert (array == long.weights()[name]).all()


def inputs_with(value: float) -> np.ndarray:
    x = X[1].copy()
    x[2, 3] = value
    return x


WRONG: dict[str, tuple[Any, Any]] = {
    "nan": (inputs_with(np.nan), Y[1]),
    "infinity": (inputs_with(-np.inf), Y[1]),
    "two-infinities": (inputs_with(np.inf) * np.array([1, 1, 1, -1, 1], np.float32), Y[1]),
    "label-too-large": (X[1], np.array([0, 1, 3, 2], np.int32)),
    "label-negative": (X[1], np.array([0, -1, 1, 2], np.int32)),
    "other-width": (X[1][:, :4], Y[1]),
    "fewer-labels": (X[1], Y[1][:3]),
    "no-samples": (X[1][:0], Y[1][:0]),
    "text": (X[1].astype(str), Y[1]),
    "no-target": (X[1], None),
}


@pytest.mark.parametrize("name", WRONG)
def test_an_invalid_batch_gives_the_same_error_as_the_first_batch(name: str) -> None:
    with pytest.raises(FeedError) as earlier:
        trainer_after(WRONG[name])
    trainer = trainer_after((X[0], Y[0]))
    assert trainer.plan_trainer.cached_layout is not None
    before = trainer.weights()
    with pytest.raises(FeedError) as later:
        trainer.step(*WRONG[name])
    assert str(later.value) == str(earlier.value)
    assert all((array == before[key]).all() for key, array in trainer.weights().items())


OTHERS: dict[str, tuple[Any, Any]] = {
    "float64": (X[1].astype(np.float64), Y[1]),
    "int64": (X[1], Y[1].astype(np.int64)),
    "more-samples": (np.concatenate(X), np.concatenate(Y)),
    "turned": (np.asfortranarray(X[1]), Y[1]),
    "every-second": (np.concatenate(X)[::2], np.concatenate(Y)[::2]),
    "other-byte-order": (X[1].astype(">f4"), Y[1].astype(">i4")),
    "columns": (X[1], Y[1][:, None]),
    "by-name": ({"x": X[1]}, {"dense": Y[1]}),
}


@pytest.mark.parametrize("name", OTHERS)
def test_batches_of_another_layout_are_accepted(name: str) -> None:
    x, y = OTHERS[name]
    plain = {"x": x["x"] if isinstance(x, dict) else x, "y": y["dense"] if isinstance(y, dict) else y}
    expected = trainer_after((X[0], Y[0]), (plain["x"].tolist(), plain["y"].tolist())).weights()
    weights = trainer_after((X[0], Y[0]), (x, y)).weights()
    for key, array in weights.items():
        np.testing.assert_allclose(array, expected[key], atol=1e-7)


def test_a_step_with_random_numbers_has_no_cached_layout() -> None:
    document = spec()
    document["layers"].insert(0, {"type": "Dropout", "rate": 0.5})
    assert trainer_after((X[0], Y[0]), document=document).plan_trainer.cached_layout is None


def test_ignored_labels_are_accepted() -> None:
    document = spec()
    document["training"]["loss"] = {"type": "sparse_categorical_crossentropy", "ignore_class": -1}
    labels = np.array([0, -1, 2, 1], np.int32)
    expected = trainer_after((X[0], Y[0]), (X[1].tolist(), labels.tolist()), document=document).weights()
    weights = trainer_after((X[0], Y[0]), (X[1], labels), document=document).weights()
    assert all((array == expected[name]).all() for name, array in weights.items())


def test_set_weights_and_fit_take_effect_between_two_steps() -> None:
    weights_of_runs = []
    for form in (np.asarray, np.ndarray.tolist):
        trainer = trainer_after((X[0], Y[0]))
        trainer.set_weights({name: 2 * array for name, array in trainer.weights().items()})
        trainer.step(form(X[1]), form(Y[1]))
        trainer.fit(X[2], Y[2], batch_size=2, epochs=1)
        trainer.step(form(X[3]), form(Y[3]))
        weights_of_runs.append(trainer.weights())
    assert all((array == weights_of_runs[1][name]).all() for name, array in weights_of_runs[0].items())
