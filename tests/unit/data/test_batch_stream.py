"""Batches from iterables, generators, sequences and functions train as arrays do."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonnx
import numpy as np
import pytest
from jsonnx.data.samples.data_errors import FeedError

RNG = np.random.default_rng(0)
X = RNG.normal(size=(50, 3)).astype(np.float32)
Y = RNG.integers(0, 3, 50)
BATCHES = [(X[start : start + 8], Y[start : start + 8]) for start in range(0, 50, 8)]


def trainer(*layers: dict[str, Any], **training: Any) -> jsonnx.Trainer:
    output = {"type": "Dense", "name": "y", "units": 3, "activation": "softmax"}
    return jsonnx.Trainer(
        {
            "inputs": {"x": {"shape": [3]}},
            "layers": [*layers, output],
            "training": {"loss": "sparse_categorical_crossentropy", "batch_size": 8, **training},
        }
    )


class Loader:
    """As a data loader of PyTorch: a list for each batch."""

    def __iter__(self) -> Iterator[list[np.ndarray]]:
        return iter([list(batch) for batch in BATCHES])


class Indexed:
    """As a Keras PyDataset."""

    def __len__(self) -> int:
        return len(BATCHES)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        return BATCHES[index]


def endless() -> Iterator[tuple[np.ndarray, np.ndarray]]:
    while True:
        yield from BATCHES


SOURCES = [Loader(), Indexed(), BATCHES, lambda: iter(BATCHES), lambda: Indexed()]


def same_weights(first: jsonnx.Trainer, second: jsonnx.Trainer) -> bool:
    other = second.weights()
    return all(np.allclose(weight, other[name], atol=1e-6) for name, weight in first.weights().items())


@pytest.fixture(scope="module")
def expected() -> jsonnx.Trainer:
    result = trainer({"type": "Normalization"})
    result.fit(X, Y, epochs=3, shuffle=False)
    return result


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("steps", [None, 7])
def test_batches_train_as_the_samples_do(expected: jsonnx.Trainer, source: Any, steps: int | None) -> None:
    result = trainer({"type": "Normalization"})
    history = result.fit(source, epochs=3, steps_per_epoch=steps)
    assert len(history.epoch) == 3
    assert result.steps == 21
    assert same_weights(result, expected)
    assert result.evaluate(source) == pytest.approx(result.evaluate(X, Y), rel=1e-5)
    assert np.allclose(result.predict(source), result.predict(X), atol=1e-6)


def test_an_epoch_goes_on_in_the_pass_where_the_last_one_ended() -> None:
    by_steps, by_arrays = trainer(), trainer()
    by_steps.fit(Loader(), epochs=4, steps_per_epoch=5)
    by_arrays.fit(X, Y, epochs=4, steps_per_epoch=5, shuffle=False)
    assert same_weights(by_steps, by_arrays)


def test_a_generator_trains_for_so_many_steps() -> None:
    result, other = trainer(), trainer()
    generator = endless()
    result.fit(generator, epochs=3, steps_per_epoch=7)
    other.fit(X, Y, epochs=3, shuffle=False)
    assert same_weights(result, other)
    assert next(generator)[0] is BATCHES[0][0]  # none was read in vain


def test_a_generator_that_ends_too_early_is_reported() -> None:
    with pytest.raises(jsonnx.UsageError, match="the iterator ended after 7 batches"):
        trainer().fit(iter(BATCHES), epochs=2, steps_per_epoch=5)


@pytest.mark.parametrize("steps", [None, 5])
@pytest.mark.parametrize("source", [Loader(), Indexed()])
def test_a_run_goes_on_in_the_middle_of_an_epoch(tmp_path: Path, source: Any, steps: int | None) -> None:
    whole = trainer()
    whole.fit(source, epochs=3, steps_per_epoch=steps)
    first = trainer()

    class Stop(jsonnx.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            if first.steps == 9:
                first.save_checkpoint(tmp_path / "checkpoint")
                first.stop()

    first.fit(source, epochs=3, steps_per_epoch=steps, callbacks=[Stop()])
    second = trainer()
    second.load_checkpoint(tmp_path / "checkpoint")
    second.fit(source, epochs=3, steps_per_epoch=steps)
    assert second.steps == whole.steps
    assert same_weights(second, whole)
    third = trainer()
    third.load_checkpoint(tmp_path / "checkpoint")
    with pytest.raises(ValueError, match="cannot go on where the checkpoint was saved"):
        third.fit(endless(), epochs=3, steps_per_epoch=5)


def test_sample_weights_and_class_weights_of_batches() -> None:
    weights = RNG.uniform(0.5, 2, 50).astype(np.float32)
    weighted = [(x, y, weights[8 * n : 8 * n + 8]) for n, (x, y) in enumerate(BATCHES)]
    result, other = trainer(), trainer()
    result.fit(weighted, epochs=2, class_weight={0: 2.0})
    other.fit(X, Y, epochs=2, shuffle=False, sample_weight=weights, class_weight={0: 2.0})
    assert same_weights(result, other)
    with pytest.raises(TypeError, match="the first batch had none"):
        trainer().fit([BATCHES[0], weighted[1]])
    with pytest.raises(ValueError, match="balanced class weights"):
        trainer().fit(BATCHES, class_weight="balanced")


def test_an_iterable_serves_for_validation() -> None:
    result = trainer()
    history = result.fit(BATCHES, epochs=2, validation_data=Loader())
    assert history.history["val_loss"][-1] == pytest.approx(result.evaluate(X, Y)["loss"], rel=1e-5)
    with pytest.raises(TypeError, match="allows a single pass"):
        result.fit(X, Y, validation_data=endless())


def test_errors_name_the_batch() -> None:
    bad = X[8:16].copy()
    bad[3, 1] = np.nan
    with pytest.raises(FeedError, match="batch 1: sample 3, element \\[1\\]"):
        trainer().fit([BATCHES[0], (bad, Y[8:16])])
    with pytest.raises(TypeError, match="batch 0: a batch is x"):
        trainer().fit([(X, Y, Y, Y)])
    with pytest.raises(TypeError, match="not an iterable of batches"):
        trainer().fit(lambda: 5)
    with pytest.raises(jsonnx.UsageError, match="no batches"):
        trainer().fit(lambda: iter(()))


def test_an_iterator_is_refused_where_data_are_read_twice() -> None:
    with pytest.raises(ValueError, match="several epochs need steps_per_epoch"):
        trainer().fit(endless(), epochs=2)
    with pytest.raises(ValueError, match="learns from the data before the first step"):
        trainer({"type": "Normalization"}).fit(endless(), steps_per_epoch=2)


def test_an_exception_of_a_generator_reaches_the_caller() -> None:
    def broken() -> Iterator[Any]:
        yield BATCHES[0]
        raise KeyError("no such sample")

    with pytest.raises(KeyError, match="no such sample"):
        trainer().fit(broken)
