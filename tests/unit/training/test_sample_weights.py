"""Weights of samples and of classes: trainings of Keras, and the same through each way to give weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonnx
import numpy as np
import pytest
from jsonnx.data.samples.dataset import Dataset

from .weight_cases import BATCH_SIZE, CASES, EPOCHS, SAMPLES, Case, data_of, initial_weights

RECORDED = {
    result["name"]: result
    for result in json.loads((Path(__file__).parent / "fixtures" / "sample_weights.json").read_text("utf-8"))
}


def fitted(case: Case, **arguments: Any) -> tuple[jsonnx.Trainer, jsonnx.History]:
    """A trainer after 20 steps, and its history."""
    trainer = jsonnx.Trainer(case.spec, seed=0)
    trainer.set_weights(initial_weights({name: array.shape for name, array in trainer.weights().items()}))
    x, y, weights = data_of(case)
    arguments = {**case.fit, **arguments}
    if "sample_weight" in arguments:
        arguments["sample_weight"] = weights
    return trainer, trainer.fit(x, y, batch_size=BATCH_SIZE, epochs=EPOCHS, shuffle=False, **arguments)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_weighted_training_equals_that_of_keras(case: Case) -> None:
    recorded = RECORDED[case.name]
    trainer, history = fitted(case)
    assert sorted(history.history) == sorted([*recorded["history"], "learning_rate"])
    for name in recorded["history"]:
        metrics = history.history[name]
        np.testing.assert_allclose(metrics, recorded["history"][name], rtol=1e-5, atol=1e-5, err_msg=name)
    for name, array in trainer.weights().items():
        np.testing.assert_allclose(array, recorded["weights"][name], rtol=1e-4, atol=1e-5, err_msg=name)


SPARSE_CASE = CASES[0]


def equal_weights(trainer: jsonnx.Trainer, other: jsonnx.Trainer) -> bool:
    weights = other.weights()
    return all((array == weights[name]).all() for name, array in trainer.weights().items())


def csv_spec(folder: Path, **training: Any) -> dict[str, Any]:
    """A spec beside files of samples with weights in the column `w`; those for tests lack it."""
    x, y, weights = data_of(SPARSE_CASE)
    rows = [
        [*map(float, sample), int(label), float(weight)] for sample, label, weight in zip(x, y, weights, strict=True)
    ]
    for name, width in (("train", 6), ("test", 5)):
        lines = [["a", "b", "c", "d", "kind", "w"], *rows]
        (folder / f"{name}.csv").write_text(
            "\n".join(",".join(map(repr, row[:width])).replace("'", "") for row in lines)
        )
    data = {"train": "train.csv", "test": "test.csv", "x": ["a", "b", "c", "d"], "y": "kind", "sample_weight": "w"}
    spec = SPARSE_CASE.spec
    spec["training"] |= {"data": data, "epochs": EPOCHS, "batch_size": BATCH_SIZE, "shuffle": False, **training}
    (folder / "spec.json").write_text(json.dumps(spec))
    return spec


def test_a_column_gives_the_weights_of_the_argument(tmp_path: Path) -> None:
    csv_spec(tmp_path)
    by_column = jsonnx.Trainer(tmp_path / "spec.json", seed=0)
    by_column.fit()
    by_argument = jsonnx.Trainer(SPARSE_CASE.spec, seed=0)
    x, y, weights = data_of(SPARSE_CASE)
    by_argument.fit(x, y, epochs=EPOCHS, batch_size=BATCH_SIZE, shuffle=False, sample_weight=weights)
    assert equal_weights(by_column, by_argument)
    assert by_column.evaluate()["loss"] == pytest.approx(by_argument.evaluate(x, y)["loss"], rel=1e-6)


def test_the_weights_of_the_spec_are_those_of_the_argument() -> None:
    x, y, _ = data_of(SPARSE_CASE)
    spec = SPARSE_CASE.spec
    spec["training"]["class_weight"] = {"0": 0.5, "1": 3.0}
    spec["labels"] = ["red", "green", "blue"]
    trainers = []
    for setting, argument in ((None, {"red": 0.5, 1: 3.0}), ({"red": 0.5, "1": 3.0}, None)):
        trainer = jsonnx.Trainer({**spec, "training": {**spec["training"], "class_weight": setting}}, seed=0)
        trainer.fit(x, y, epochs=2, class_weight=argument)
        trainers.append(trainer)
    assert equal_weights(*trainers)
    assert trainers[0].class_weights == {"y": {0: 0.5, 1: 3.0}}


def test_balanced_weights_are_those_of_the_training_samples() -> None:
    x, y, _ = data_of(SPARSE_CASE)
    y = np.where(np.arange(len(y)) < 20, 0, y)
    trainer = jsonnx.Trainer(SPARSE_CASE.spec, seed=0)
    trainer.fit(x, y, epochs=1, validation_split=0.25, class_weight="balanced")
    counts = np.bincount(y[:30])
    expected = {number: 30 / (3 * count) for number, count in enumerate(counts)}
    assert trainer.class_weights["y"] == pytest.approx(expected)


def test_weights_of_classes_and_of_samples_are_multiplied() -> None:
    x, y, weights = data_of(SPARSE_CASE)
    factors = np.array([0.5, 3.0, 1.0], np.float32)[y]
    trainers = [jsonnx.Trainer(SPARSE_CASE.spec, seed=0) for _ in range(2)]
    trainers[0].fit(x, y, sample_weight=weights, class_weight={0: 0.5, 1: 3.0})
    trainers[1].fit(x, y, sample_weight=weights * factors)
    assert equal_weights(*trainers)


def test_classes_of_positions_have_weights() -> None:
    case = next(case for case in CASES if case.name == "masked positions")
    x, y, _ = data_of(case)
    trainers = [jsonnx.Trainer(case.spec, seed=0) for _ in range(2)]
    trainers[0].fit(x, y, class_weight={1: 4.0})
    trainers[1].fit(x, y, sample_weight=np.where(y == 1, np.float32(4), np.float32(1)))
    assert equal_weights(*trainers)


def test_a_weight_for_each_sample_is_that_of_its_positions() -> None:
    case = next(case for case in CASES if case.name == "masked positions")
    x, y, weights = data_of(case)
    trainers = [jsonnx.Trainer(case.spec, seed=0) for _ in range(2)]
    trainers[0].fit(x, y, sample_weight=weights[:, 0])
    trainers[1].fit(x, y, sample_weight=np.repeat(weights[:, :1], y.shape[1], axis=1))
    assert equal_weights(*trainers)


def test_weighted_metrics_skip_masked_positions() -> None:
    case = next(case for case in CASES if case.name == "masked positions")
    case = case._replace(training={**case.training, "weighted_metrics": ["accuracy"]})
    x, y, weights = data_of(case)
    trainer = jsonnx.Trainer(case.spec, seed=0)
    hits = trainer.predict(x).argmax(-1) == y
    expected = (hits * weights * (x > 0)).sum() / (weights * (x > 0)).sum()
    assert trainer.evaluate(x, y, sample_weight=weights)["accuracy"] == pytest.approx(expected, rel=1e-5)


def test_a_run_with_other_weights_is_not_resumed(tmp_path: Path) -> None:
    x, y, weights = data_of(SPARSE_CASE)
    path = tmp_path / "run.checkpoint"
    trainer = jsonnx.Trainer(SPARSE_CASE.spec, seed=0)
    trainer.fit(x, y, epochs=1, sample_weight=weights)
    trainer.save_checkpoint(path)
    trainer.fit(x, y, epochs=1, sample_weight=weights)
    for other, message in (
        (None, "the sample weights are missing"),
        (weights[::-1], "the sample weights have changed"),
    ):
        resumed = jsonnx.Trainer(SPARSE_CASE.spec, seed=0)
        resumed.load_checkpoint(path)
        with pytest.raises(jsonnx.CompileError, match=message):
            resumed.fit(x, y, epochs=2, sample_weight=other)
    resumed.fit(x, y, epochs=2, sample_weight=weights)
    whole = jsonnx.Trainer(SPARSE_CASE.spec, seed=0)
    whole.fit(x, y, epochs=2, sample_weight=weights)
    assert equal_weights(resumed, whole)


def test_a_fit_without_weights_takes_none_after_one_with_weights() -> None:
    x, y, weights = data_of(SPARSE_CASE)
    trainer = jsonnx.Trainer(SPARSE_CASE.spec, seed=0)
    trainer.fit(x, y, epochs=1, sample_weight=weights)
    start = trainer.weights()
    trainer.fit(x, y, epochs=1)
    assert trainer.plan.weighted_outputs == frozenset()
    assert not all((array == start[name]).all() for name, array in trainer.weights().items())
    assert trainer.steps == 4


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"class_weight": 3}, TypeError, "class_weight is a dict of numbers by class"),
        ({"class_weight": {0: -1}}, ValueError, "must be a number of at least 0"),
        ({"class_weight": {7: 1}}, ValueError, "there is no class 7: the classes are 0 to 2"),
        ({"class_weight": {"q": {0: 1}}}, ValueError, "there is no output 'q' with a loss"),
        ({"sample_weight": np.ones(3)}, jsonnx.FeedError, "the sample weight has 3"),
        ({"sample_weight": np.full(SAMPLES, np.nan)}, jsonnx.FeedError, "the sample weight is nan"),
        ({"sample_weight": np.ones((SAMPLES, 2))}, jsonnx.FeedError, r"the sample weight has shape \[samples, 2\]"),
        ({"sample_weight": {"q": np.ones(SAMPLES)}}, jsonnx.FeedError, "there is no target 'q'"),
    ],
)
def test_unusable_weights_are_errors(arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    x, y, _ = data_of(SPARSE_CASE)
    with pytest.raises(error, match=message):
        jsonnx.Trainer(SPARSE_CASE.spec).fit(x, y, **arguments)


def test_a_loss_of_a_whole_batch_takes_no_weights() -> None:
    spec = CASES[4].spec
    spec["training"] = {"loss": "dice"}
    with pytest.raises(ValueError, match="averages over all samples"):
        jsonnx.Trainer(spec).fit(np.zeros((4, 4)), np.zeros((4, 2)), sample_weight=np.ones(4))


def test_a_split_keeps_weights_beside_their_samples() -> None:
    spec = jsonnx.Trainer(SPARSE_CASE.spec).plan.data_spec_weighting({"y"})
    numbers = np.arange(10)
    samples = Dataset({"x": np.zeros((10, 4))}, {"y": numbers}, spec, {"y": numbers.astype(np.float32)})
    train, held_out = samples.split(0.3)
    assert train.take(slice(None))["y/sample_weight"].tolist() == train.targets["y"].tolist()
    assert held_out.weights["y"].tolist() == [7, 8, 9]
